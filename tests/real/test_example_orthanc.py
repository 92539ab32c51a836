"""`examples/in-front-of-orthanc`: a real Orthanc, the proxy as a process, and a real nginx before it."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.ports import free_port
from tests.real.servers import _needed, _running, nginx_with
from tests.real.study import STUDY, Image
from tests.unit.commands.test_cli import COMMAND

EXAMPLE = Path(__file__).parents[2] / "examples" / "in-front-of-orthanc"
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
MULTIPART = {"accept": "multipart/related; type=application/octet-stream; transfer-syntax=*"}

SHARED = ("progressive-proxy; hit", "progressive-proxy; fwd=miss; collapsed")
"""Values of Cache-Status that mean that the origin was not asked again."""

pytestmark = pytest.mark.demo


@pytest.fixture(scope="module")
def orthanc(study: list[Image], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Orthanc with the example's configuration, but for folders and ports. Its base URL."""
    program, port = _needed("Orthanc", "orthanc orthanc-dicomweb"), free_port()
    if not PLUGIN.exists():
        pytest.skip("Orthanc's DICOMweb is not installed: apt-get install orthanc-dicomweb")
    folder = tmp_path_factory.mktemp("orthanc")
    settings = json.loads((EXAMPLE / "orthanc.json").read_text("utf-8"))
    here = {"HttpPort": port, "StorageDirectory": str(folder), "IndexDirectory": str(folder)}
    (folder / "orthanc.json").write_text(json.dumps(settings | here | {"Plugins": [str(PLUGIN)]}))
    url, user = f"http://127.0.0.1:{port}", next(iter(settings["RegisteredUsers"].items()))
    with _running([program, str(folder / "orthanc.json")], url, folder / "log"):
        for image in study:
            httpx.post(
                f"{url}/instances", content=image.part10(), auth=user, trust_env=False, timeout=240
            ).raise_for_status()
        yield url + settings["DicomWeb"]["Root"].rstrip("/")


@pytest.fixture(scope="module")
def page(orthanc: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address that a browser uses: nginx, and behind it the proxy."""
    folder, port, admin = tmp_path_factory.mktemp("proxy"), free_port(), free_port()
    config = yaml.safe_load((EXAMPLE / "config.yaml").read_text("utf-8"))
    config["origins"][0]["url"] = orthanc
    config["listen"] |= {"viewers": f"127.0.0.1:{port}", "admin": f"127.0.0.1:{admin}"}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    compose = yaml.safe_load((EXAMPLE / "compose.yaml").read_text("utf-8"))
    environment = os.environ | compose["services"]["proxy"]["environment"]
    command = [str(COMMAND), "serve", "--config", str(folder / "config.yaml")]
    text = (EXAMPLE / "nginx.conf").read_text("utf-8").replace("proxy:8080;", f"127.0.0.1:{port};")
    with (
        _running(command, f"http://127.0.0.1:{admin}/livez", folder / "log", environment),
        nginx_with(folder, text, 8000) as url,
    ):
        yield url


def test_a_page_finds_the_study_and_its_frames(page: str, study: list[Image]) -> None:
    with httpx.Client(base_url=f"{page}/dicom-web", trust_env=False, timeout=240) as browser:
        (found,) = browser.get("/studies", headers={"accept": "application/dicom+json"}).json()
        assert found["0020000D"]["Value"] == [str(STUDY)]
        for image in study:
            for path, stored in zip(image.paths, image.stored, strict=True):
                cold, hot = (browser.get(path, headers=MULTIPART) for _ in range(2))
                assert (cold.status_code, hot.status_code) == (200, 200), path
                assert stored in cold.content
                assert cold.content == hot.content
                assert hot.headers["cache-status"] in SHARED


def test_a_page_may_upload_and_a_stranger_s_page_may_not(page: str, study: list[Image]) -> None:
    boundary = "boundary"
    part = b"--boundary\r\nContent-Type: application/dicom\r\n\r\n" + study[0].part10() + b"\r\n--boundary--"
    kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
    with httpx.Client(base_url=f"{page}/dicom-web", trust_env=False, timeout=240) as browser:
        for origin, status in ((page, 200), ("http://stranger.example", 403)):
            headers = {"content-type": kind, "accept": "application/dicom+json", "origin": origin}
            assert browser.post("/studies", content=part, headers=headers).status_code == status
