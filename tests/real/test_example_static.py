"""`examples/static-archive`: `create`, nginx with the configuration that it prints, and the proxy."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from proxy.cli import main
from tests.dicom_files import LOSSLESS, STUDY, write
from tests.ports import free_port
from tests.real.servers import _running, nginx_with
from tests.unit.commands.test_cli import COMMAND

EXAMPLE = Path(__file__).parents[2] / "examples" / "static-archive"
NAMES = LOSSLESS[:3]

SHARED = ("progressive-proxy; hit", "progressive-proxy; fwd=miss; collapsed")
"""Values of Cache-Status that mean that the origin was not asked again."""

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom warns about its own files


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port, admin = tmp_path_factory.mktemp("static"), free_port(), free_port()
    for number, name in enumerate(NAMES, start=1):
        write(folder / "files", name, number)
    tree = folder / "tree"
    assert main(["create", str(folder / "files"), "-o", str(tree), "--thumbnails"]) == 0
    command = [str(COMMAND), "create", "--nginx", "-o", str(tree)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=240).stdout
    config = yaml.safe_load((EXAMPLE / "config.yaml").read_text("utf-8"))
    assert config["origins"][0]["url"] == "http://127.0.0.1:8080"
    with nginx_with(folder, printed, "127.0.0.1:8080") as archive:
        config["origins"][0]["url"] = archive
        config["listen"] = {"viewers": f"127.0.0.1:{port}", "admin": f"127.0.0.1:{admin}"}
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        command = [str(COMMAND), "serve", "--config", str(folder / "config.yaml")]
        with _running(command, f"http://127.0.0.1:{admin}/livez", folder / "proxy.log"):
            yield f"http://127.0.0.1:{port}"


def test_a_viewer_gets_lists_and_frames_cold_and_hot(proxy: str) -> None:
    with httpx.Client(base_url=proxy, trust_env=False, timeout=240) as viewer:
        assert len(viewer.get("/studies", headers={"accept": "application/dicom+json"}).json()) == 1
        for number, name in enumerate(NAMES, start=1):
            path = f"/studies/{STUDY}/series/{STUDY}.{number}/instances/{STUDY}.{number}.1/frames/1"
            cold, hot = (viewer.get(path, headers={"accept": "image/jphc"}) for _ in range(2))
            assert (cold.status_code, hot.status_code) == (200, 200), name
            assert cold.content == hot.content
            assert hot.headers["cache-status"] in SHARED
            assert hot.headers["etag"].startswith('"')
