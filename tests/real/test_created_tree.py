"""Trees that `create` wrote from files of every kind, behind real nginx and behind the embedded origin."""

import gzip
import json
import os
import pwd
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import httpx
import imagecodecs
import numpy as np
import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom import dcmread

from proxy.archive.tree import BOUNDARY
from proxy.cli import main
from proxy.codecs.transcode import averaged
from proxy.commands.processes import Children, address, listen
from proxy.demo.origin import run
from tests.dicom_files import ALL, KEPT, LOSSLESS, LOSSY, STUDY, write
from tests.ports import free_port
from tests.real.plain import taken_apart
from tests.real.servers import _needed, _running
from tests.unit.commands.test_cli import COMMAND, hear_ctrl_c
from tests.unit.commands.test_create import JLS, as_read

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom warns about its own files

ANY = (("application/octet-stream", "*"),)
ANY_JPHC = 'multipart/related; type="image/jphc"'
MAIN = """
daemon off; worker_processes 1; pid nginx.pid; %s
events { worker_connections 512; }
http {
  client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp;
  scgi_temp_path tmp; access_log off;
  include dicomweb.conf;
}
"""


@dataclass(frozen=True)
class Served:
    """A tree and the server in front of it."""

    url: str
    """URL up to /studies."""
    originals: Path
    """Folder of the DICOM files from which the tree was made."""

    def path(self, name: str) -> str:
        """Path of an instance, below the base URL."""
        number = ALL.index(name) + 1
        return f"/studies/{STUDY}/series/{STUDY}.{number}/instances/{STUDY}.{number}.1"

    def get(self, path: str, accept: str = "*/*", **headers: str) -> httpx.Response:
        said = {"accept": accept, "accept-encoding": "identity"} | headers
        return httpx.get(self.url + path, headers=said, trust_env=False, timeout=240)

    @property
    def client(self) -> DICOMwebClient:
        made = DICOMwebClient(self.url)
        made.set_http_retry_params(retry=False)
        return made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of DICOM files, and the tree made from them."""
    folder = tmp_path_factory.mktemp("created")
    for number, name in enumerate(ALL, start=1):
        write(folder / "files", name, number)
    options = ("--thumbnails", "--instances", "--gzip", *JLS)
    assert main(["create", str(folder / "files"), "-o", str(folder / "tree"), *options]) == 0
    return folder / "files", folder / "tree"


@pytest.fixture(scope="module")
def by_nginx(made: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The tree behind nginx, with the configuration that the command prints."""
    program, port, user = _needed("nginx", "nginx-light"), free_port(), pwd.getpwuid(os.getuid())
    folder, (files, tree) = tmp_path_factory.mktemp("nginx"), made
    command = [str(COMMAND), "create", "--nginx", "-o", str(tree)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=240).stdout
    (folder / "dicomweb.conf").write_text(printed.replace("127.0.0.1:8080", f"127.0.0.1:{port}"))
    (folder / "nginx.conf").write_text(MAIN % (f"user {user.pw_name};" if user.pw_uid == 0 else ""))
    url = f"http://127.0.0.1:{port}"
    with _running([program, "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"], url, folder / "log"):
        yield Served(url, files)


@pytest.fixture(scope="module")
def embedded(made: tuple[Path, Path]) -> Iterator[Served]:
    files, tree = made
    with listen() as listener, Children() as children:
        children.start("origin", run, listener, str(tree))
        yield Served("http://{}:{}".format(*address(listener)), files)


@pytest.fixture(params=["by_nginx", "embedded"])
def served(request: pytest.FixtureRequest) -> Served:
    """Both servers in turn."""
    found: Served = request.getfixturevalue(request.param)
    return found


def test_searches_and_metadata_are_what_the_tree_says(served: Served) -> None:
    client = served.client
    (study,) = client.search_for_studies()
    assert study["00201208"]["Value"] == [len(ALL)]
    assert len(client.search_for_series(STUDY)) == len(client.search_for_instances(STUDY)) == len(ALL)
    assert len(client.search_for_instances(STUDY, f"{STUDY}.1")) == 1
    metadata = client.retrieve_study_metadata(STUDY)
    assert len(metadata) == len(ALL)
    (alone,) = client.retrieve_series_metadata(STUDY, f"{STUDY}.1")
    told = client.retrieve_instance_metadata(STUDY, f"{STUDY}.1", f"{STUDY}.1.1")
    assert set(told) == set(alone) == set(metadata[0])
    assert told["00100010"] == alone["00100010"] == metadata[0]["00100010"]
    for path in ("/studies", f"/studies/{STUDY}/metadata", f"{served.path('CT_small')}/metadata"):
        assert served.get(path).headers["content-type"] == "application/dicom+json"


@pytest.mark.parametrize("name", LOSSLESS + LOSSY + KEPT)
def test_dicomweb_client_gets_the_very_same_pixels(served: Served, name: str) -> None:
    study, series, instance = served.path(name).split("/")[2::2]
    client, path = served.client, f"{served.url}{served.path(name)}/metadata"
    metadata = client.retrieve_instance_metadata(study, series, instance)
    frames: list[bytes] = []
    for number in range(1, metadata["00280008"]["Value"][0] + 1):
        frames += client.retrieve_instance_frames(study, series, instance, [number], media_types=ANY)
    read = as_read(metadata, frames, lambda uri: client.retrieve_bulkdata(urljoin(path, uri), ANY)[0])
    original = dcmread(served.originals / f"{name}.dcm")
    assert np.array_equal(read.pixel_array, original.pixel_array)


@pytest.mark.parametrize("name", ALL)
def test_pydicom_reads_every_instance_back(served: Served, name: str) -> None:
    content = (served.originals / f"{name}.dcm").read_bytes()
    alone = served.get(served.path(name), "application/dicom")
    assert (alone.headers["content-type"], alone.content) == ("application/dicom", content)
    study, series, instance = served.path(name).split("/")[2::2]
    told = served.client.retrieve_instance(study, series, instance)
    assert told == dcmread(served.originals / f"{name}.dcm")


def test_a_frame_comes_alone_or_as_multipart_as_it_is_asked_for(served: Served) -> None:
    path = f"{served.path('CT_small')}/frames/1"
    alone = served.get(path, "image/jphc")
    assert alone.headers["content-type"].startswith("image/jphc")
    assert served.get(f"{path}?accept=image/jphc").content == alone.content
    assert served.get(f"{path}?accept=image%2Fjphc").content == alone.content
    for accept in ("*/*", 'multipart/related; type="application/octet-stream"; transfer-syntax=*', ANY_JPHC):
        wrapped = served.get(path, accept)
        assert re.fullmatch(f"multipart/related;.* boundary={BOUNDARY}", wrapped.headers["content-type"])
        part = taken_apart(wrapped.content)
        assert (part.label, part.body) == (
            "image/jphc;transfer-syntax=1.2.840.10008.1.2.4.202",
            alone.content,
        )


def test_files_are_found_by_their_own_names_too(by_nginx: Served) -> None:
    path = f"{by_nginx.path('CT_small')}/frames/1"
    assert by_nginx.get(f"{path}.jphc").content == by_nginx.get(path, "image/jphc").content
    assert by_nginx.get(f"{path}.mht", "image/jphc").content == by_nginx.get(path).content


@pytest.mark.parametrize("accept", ["image/jls", 'multipart/related; type="image/jls"'])
def test_alternates_lie_at_paths_of_their_own(served: Served, accept: str) -> None:
    pixels = dcmread(served.originals / "CT_small.dcm").pixel_array
    for name, wanted in (("jls", pixels), ("small", averaged(pixels, 4))):
        answer = served.get(f"{served.path('CT_small')}/{name}/1", accept)
        body = answer.content if accept == "image/jls" else taken_apart(answer.content).body
        assert np.array_equal(imagecodecs.jpegls_decode(body).view(pixels.dtype), wanted)


@pytest.mark.parametrize("name", ["frames", "jls", "small"])
@pytest.mark.parametrize("accept", ["image/jphc, image/jls", "*/*"])
def test_ranges_are_guarded_slices(served: Served, name: str, accept: str) -> None:
    path = f"{served.path('examples_rgb_color')}/{name}/1"
    whole = served.get(path, accept)
    etag, total = whole.headers["etag"], len(whole.content)
    assert etag.startswith('"')
    part = served.get(path, accept, **{"range": "bytes=100-199", "if-range": etag})
    assert (part.status_code, part.content) == (206, whole.content[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{total}"
    assert served.get(path, accept, **{"range": "bytes=100-199", "if-range": '"x"'}).status_code == 200
    assert served.get(path, accept, range=f"bytes={total}-").status_code == 416
    assert served.get(path, accept, **{"if-none-match": etag}).status_code == 304


def test_thumbnails_are_pictures(served: Served) -> None:
    for path in (served.path("CT_small"), served.path("CT_small").partition("/instances")[0]):
        for accept in ("image/jpeg", "image/avif,image/webp,*/*;q=0.8"):
            answer = served.get(f"{path}/thumbnail", accept)
            assert answer.headers["content-type"] == "image/jpeg"
            assert imagecodecs.jpeg8_decode(answer.content).shape == (128, 128)


@pytest.mark.parametrize("path", ["/", "/manifest.json", "/studies/9/series", "/studies/../manifest.json"])
def test_what_is_no_resource_is_404(served: Served, path: str) -> None:
    assert served.get(path).status_code == 404


def test_nothing_of_a_folder_is_given_away(by_nginx: Served) -> None:
    folder = by_nginx.path("CT_small")
    for name in ("/manifest.json", "/frames/", "/frames", "/frames/2", "/"):
        assert by_nginx.get(folder + name).status_code == 404


def test_pages_from_anywhere_may_read_by_range(by_nginx: Served) -> None:
    url = f"{by_nginx.url}{by_nginx.path('CT_small')}/frames/1"
    asked = {"origin": "https://viewer.example", "access-control-request-headers": "range"}
    asked["access-control-request-method"] = "GET"
    allowed = httpx.options(url, headers=asked, trust_env=False, timeout=240)
    assert allowed.status_code == 204
    assert allowed.headers["access-control-allow-origin"] == "*"
    assert "Range" in allowed.headers["access-control-allow-headers"]
    part = by_nginx.get(
        url.removeprefix(by_nginx.url), "image/jphc", origin="https://v.example", range="bytes=0-9"
    )
    assert part.headers["access-control-allow-origin"] == "*"
    assert {"Content-Range", "ETag"} <= set(part.headers["access-control-expose-headers"].split(", "))
    assert "Accept" in part.headers.get_list("vary", split_commas=True)


def test_json_is_sent_as_it_lies_there_in_gzip(by_nginx: Served, made: tuple[Path, Path]) -> None:
    packed = (made[1] / f"studies/{STUDY}/metadata.json.gz").read_bytes()
    with httpx.stream(
        "GET",
        f"{by_nginx.url}/studies/{STUDY}/metadata",
        headers={"accept-encoding": "gzip"},
        trust_env=False,
        timeout=240,
    ) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        assert b"".join(answer.iter_raw()) == packed
    assert by_nginx.get(f"/studies/{STUDY}/metadata").content == gzip.decompress(packed)


def test_the_demo_measures_a_tree_that_is_given(made: tuple[Path, Path], tmp_path: Path) -> None:
    names = [made[0] / f"{name}.dcm" for name in ("CT_small", "MR_small_RLE")]
    options = ("--alternate", "jls=jpegls", "--alternate", "jlsThumbnail=jpegls,scale=1/16 area")
    assert main(["create", *map(str, names), "-o", str(tmp_path / "tree"), *options]) == 0
    command = [
        str(COMMAND),
        "demo",
        "--all",
        "--tree",
        str(tmp_path / "tree"),
        "--exit",
        "--network",
        "local",
        "--json",
    ]
    shown = subprocess.run(command, check=False, capture_output=True, text=True, timeout=240)
    assert (shown.returncode, shown.stderr.count("\n")) == (0, 1), shown.stderr
    assert {row["way"] for row in json.loads(shown.stdout)["rows"]} >= {"whole", "jls", "jlsReduced"}


def test_the_demo_serves_a_tree_that_it_can_not_measure(made: tuple[Path, Path]) -> None:
    command = [str(COMMAND), "demo", "--table", "--tree", str(made[1]), "--network", "local"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=hear_ctrl_c
    ) as shown:
        assert shown.stdout is not None
        url = next(found[1] for line in shown.stdout if (found := re.match(r"Serving (http\S+),", line)))
        assert len(httpx.get(f"{url}/{STUDY}/series", trust_env=False, timeout=240).json()) == len(ALL)
        shown.send_signal(signal.SIGINT)
        assert shown.wait(240) == 0
        assert "not measured" in shown.communicate()[1]


def test_what_is_no_tree_is_not_served(tmp_path: Path) -> None:
    command = [str(COMMAND), "demo", "--tree", str(tmp_path), "--exit"]
    refused = subprocess.run(command, check=False, capture_output=True, text=True, timeout=240)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "not a complete tree written by create" in refused.stderr
