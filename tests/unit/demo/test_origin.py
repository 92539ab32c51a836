import io
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from proxy.archive.prepare import prepare
from proxy.codecs.htj2k import decode_htj2k, encode_htj2k
from proxy.commands.processes import Children, address, listen
from proxy.demo.images import ALTERNATES, DemoPicture, PackagedFile, find, pictures
from proxy.demo.origin import run
from proxy.errors import ConfigurationError
from tests.small_tree import small_instances

pytestmark = pytest.mark.slow

SERIES = "/studies/1.2.1/series/1.2.1.1"
FRAME = f"{SERIES}/instances/1.2.1.1.1/frames/1"
SINGLE = {"accept": "image/jphc"}
HTJ2K_RPCL = "1.2.840.10008.1.2.4.202"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("origin") / "tree"
    prepare(folder, "small", small_instances, encode_htj2k, io.StringIO(), ALTERNATES)
    return folder


@pytest.fixture(scope="module")
def origin(tree: Path) -> Iterator[httpx.Client]:
    with listen() as listener, Children() as children:
        host, port = address(listener)
        children.start("origin", run, listener, str(tree))
        with httpx.Client(base_url=f"http://{host}:{port}", headers={"accept": "*/*"}, timeout=240) as client:
            yield client


def values(answer: httpx.Response, tag: str) -> list[object]:
    assert answer.headers["content-type"] == "application/dicom+json"
    return [row[tag]["Value"][0] for row in answer.json()]


def test_lists_are_searched(origin: httpx.Client) -> None:
    assert values(origin.get("/studies"), "0020000D") == ["1.2.1", "1.2.2"]
    assert values(origin.get("/studies?limit=1&offset=1"), "0020000D") == ["1.2.2"]
    assert values(origin.get("/studies?StudyInstanceUID=1.2.2"), "0020000D") == ["1.2.2"]
    assert values(origin.get("/studies?0020000D=1.2.2,1.2.1"), "0020000D") == ["1.2.1", "1.2.2"]
    assert values(origin.get("/studies?PatientID=patient%201.2.1"), "0020000D") == ["1.2.1"]
    assert values(origin.get("/studies?Modality=XC&includefield=all"), "0020000D") == ["1.2.2"]
    assert values(origin.get("/studies?PatientID=nobody"), "0020000D") == []
    assert values(origin.get("/studies/1.2.1/series"), "0020000E") == ["1.2.1.1"]
    assert values(origin.get("/studies/1.2.1/series?SeriesInstanceUID=9"), "0020000E") == []
    assert values(origin.get("/studies/1.2.1/instances"), "00080018") == ["1.2.1.1.1", "1.2.1.1.2"]
    assert values(origin.get(f"{SERIES}/instances?limit=1"), "00080018") == ["1.2.1.1.1"]
    assert origin.get("/studies?limit=-1").status_code == 400


def test_metadata_comes_at_every_height(origin: httpx.Client) -> None:
    everything = origin.get("/studies/1.2.1/metadata")
    assert values(everything, "00200013") == [1, 2]
    assert origin.get(f"{SERIES}/metadata").json() == everything.json()
    assert origin.get(f"{SERIES}/instances/1.2.1.1.2/metadata").json() == everything.json()[1:]


def test_a_frame_comes_alone_or_in_its_envelope(origin: httpx.Client, tree: Path) -> None:
    alone = origin.get(FRAME, headers=SINGLE)
    assert alone.headers["content-type"] == f"image/jphc;transfer-syntax={HTJ2K_RPCL}"
    assert np.array_equal(decode_htj2k(alone.content), small_instances()[0].pixels[0])
    wrapped = origin.get(FRAME)
    boundary = wrapped.headers["content-type"].removeprefix('multipart/related; type="image/jphc"; boundary=')
    assert wrapped.content.startswith(f"--{boundary}\r\n".encode())
    assert wrapped.content.endswith(f"--{boundary}--".encode())
    assert alone.content in wrapped.content
    assert alone.headers["vary"] == wrapped.headers["vary"] == "Accept"
    assert alone.headers["etag"] != wrapped.headers["etag"]
    assert origin.get(FRAME, params={"accept": "image/jphc"}).content == alone.content


@pytest.mark.parametrize("name", ["jls", "jlsThumbnail"])
def test_an_alternate_comes_as_a_frame_does(origin: httpx.Client, tree: Path, name: str) -> None:
    path = FRAME.replace("frames", name)
    alone = origin.get(path, headers={"accept": "image/jls"})
    assert alone.headers["content-type"] == "image/jls;transfer-syntax=1.2.840.10008.1.2.4.80"
    assert alone.content == (tree / f"{path[1:]}.jls").read_bytes()
    wrapped = origin.get(path, headers={"accept": 'multipart/related; type="image/jls"'})
    assert wrapped.headers["content-type"].startswith('multipart/related; type="image/jls"; boundary=')
    assert alone.content in wrapped.content
    assert alone.headers["etag"] != wrapped.headers["etag"]
    for whole, accept in ((alone, "image/jls"), (wrapped, "*/*")):
        part = origin.get(path, headers={"accept": accept, "range": "bytes=10-99"})
        assert (part.status_code, part.content) == (206, whole.content[10:100])
        assert part.headers["etag"] == whole.headers["etag"]
    assert origin.get(path, headers=SINGLE).status_code == 406


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("image/png", 406),
        ("text/html", 406),
        ("application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1", 406),
        ('multipart/related; type="application/octet-stream"; transfer-syntax=1.2.840.10008.1.2.1', 406),
        ('multipart/related; type="application/octet-stream"', 200),
        ('image/png, multipart/related; type="application/octet-stream"; transfer-syntax=*', 200),
        (f'multipart/related; type="image/jphc"; transfer-syntax={HTJ2K_RPCL}', 200),
        ("image/jphc; transfer-syntax=1.2.840.10008.1.2.4.90", 406),
    ],
)
def test_what_can_not_be_given_is_406(origin: httpx.Client, accept: str, status: int) -> None:
    answer = origin.get(FRAME, headers={"accept": accept})
    assert (answer.status_code, answer.headers["vary"]) == (status, "Accept")


@pytest.mark.parametrize(
    "path",
    [
        "/studies/9/series",
        f"{SERIES}/instances/9/frames/1",
        FRAME[:-1] + "3",
        FRAME[:-1] + "0",
        FRAME[:-1] + "1,2",
        FRAME + ".jphc",
        "/manifest.json",
        "/studies/index.json",
        "/studies/..%2fmanifest.json",
        "/",
    ],
)
def test_what_is_not_there_is_404(origin: httpx.Client, path: str) -> None:
    assert origin.get(path).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_405(origin: httpx.Client, method: str) -> None:
    answer = origin.request(method, FRAME)
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize("headers", [SINGLE, {}])
def test_ranges_are_slices_of_the_whole(origin: httpx.Client, headers: dict[str, str]) -> None:
    whole = origin.get(FRAME, headers=headers)
    total = len(whole.content)
    for value, wanted in [
        ("bytes=0-99", slice(0, 100)),
        ("bytes=100-", slice(100, None)),
        ("bytes=-7", slice(-7, None)),
        ("bytes=5-99999999", slice(5, None)),
    ]:
        part = origin.get(FRAME, headers={**headers, "range": value})
        start, stop, _ = wanted.indices(total)
        assert (part.status_code, part.content) == (206, whole.content[wanted])
        assert part.headers["content-range"] == f"bytes {start}-{stop - 1}/{total}"
        assert part.headers["etag"] == whole.headers["etag"]


@pytest.mark.parametrize("value", ["pixels=0-5", "bytes=9-2", "bytes=", "bytes=a-b", "bytes=-", "0-5"])
def test_a_range_that_is_none_is_ignored(origin: httpx.Client, value: str) -> None:
    answer = origin.get(FRAME, headers={**SINGLE, "range": value})
    assert (answer.status_code, len(answer.content)) == (200, int(answer.headers["content-length"]))


@pytest.mark.parametrize("value", ["bytes=9999999-", "bytes=-0", f"bytes={'9' * 60}-"])
def test_no_byte_in_a_range_is_416_without_a_body(origin: httpx.Client, value: str) -> None:
    total = len(origin.get(FRAME, headers=SINGLE).content)
    answer = origin.get(FRAME, headers={**SINGLE, "range": value})
    assert (answer.status_code, answer.content) == (416, b"")
    assert answer.headers["content-range"] == f"bytes */{total}"


def test_head_is_the_answer_without_its_body_whatever_the_range(origin: httpx.Client) -> None:
    whole = origin.get(FRAME, headers=SINGLE)
    head = origin.head(FRAME, headers={**SINGLE, "range": "bytes=0-5"})
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "content-type", "etag", "vary", "accept-ranges"):
        assert head.headers[name] == whole.headers[name]


def test_if_none_match_comes_before_the_range(origin: httpx.Client) -> None:
    etag = origin.head(FRAME, headers=SINGLE).headers["etag"]
    for value in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = origin.get(FRAME, headers={**SINGLE, "if-none-match": value, "range": "bytes=0-5"})
        assert (answer.status_code, answer.content) == (304, b"")
        assert (answer.headers["etag"], answer.headers["vary"]) == (etag, "Accept")
    other = origin.get(FRAME, headers={**SINGLE, "if-none-match": '"other"', "range": "bytes=0-5"})
    assert other.status_code == 206
    listed = origin.get("/studies")
    assert origin.get("/studies", headers={"if-none-match": listed.headers["etag"]}).status_code == 304


def test_if_modified_since_counts_where_there_is_no_etag_to_compare(origin: httpx.Client) -> None:
    date = origin.head(FRAME).headers["last-modified"]
    assert origin.get(FRAME, headers={"if-modified-since": date}).status_code == 304
    assert origin.get(FRAME, headers={"if-modified-since": date, "if-none-match": '"x"'}).status_code == 200
    assert origin.get(FRAME, headers={"if-modified-since": "yesterday"}).status_code == 200


def test_if_range_decides_between_the_part_and_the_whole(origin: httpx.Client) -> None:
    etag = origin.head(FRAME, headers=SINGLE).headers["etag"]
    for value, status in ((etag, 206), ('"other"', 200), (f"W/{etag}", 200)):
        answer = origin.get(FRAME, headers={**SINGLE, "if-range": value, "range": "bytes=0-5"})
        assert answer.status_code == status


def test_it_ends_with_exit_0_at_sigterm(tree: Path) -> None:
    with listen() as listener:
        child = multiprocessing.get_context("spawn").Process(target=run, args=(listener, str(tree)))
        child.start()
        host, port = address(listener)
        assert httpx.get(f"http://{host}:{port}/studies", timeout=240).status_code == 200
        child.terminate()
        child.join(10)
    assert child.exitcode == 0


SIZES = {
    "cr-chest": (1955, 1841),
    "cr-leg": (1760, 1760),
    "mr-shoulder": (1024, 1024),
    "ct-head": (512, 512),
    "dx-cat": (2614, 3072),
    "ct-series": (512, 512),
    "cr-large": (3036, 3036),
}


@pytest.fixture(scope="module")
def shown() -> dict[str, DemoPicture]:
    try:
        return {picture.name: picture for picture in pictures()}
    except ConfigurationError as error:
        pytest.skip(str(error))


@pytest.mark.demo
def test_every_picture_is_there_in_its_size(shown: dict[str, DemoPicture]) -> None:
    assert list(shown) == list(SIZES)
    assert len(shown["ct-series"].instances) == 174
    for name, size in SIZES.items():
        last = shown[name].instances[-1]
        (pixels,) = last.frames()
        assert pixels.shape == size == (last.dataset.Rows, last.dataset.Columns)
        assert pixels.max() < 1 << last.dataset.BitsStored


@pytest.mark.demo
def test_the_real_slice_survives_its_encoding(shown: dict[str, DemoPicture]) -> None:
    (pixels,) = shown["ct-head"].instances[0].frames()
    assert np.array_equal(decode_htj2k(encode_htj2k(pixels)), pixels)


@pytest.mark.demo
def test_what_is_made_says_so_everywhere(shown: dict[str, DemoPicture]) -> None:
    for picture in shown.values():
        assert picture.is_synthetic == picture.title.startswith("Synthetic")
        for instance in picture.instances:
            dataset = instance.dataset
            assert dataset.StudyDescription == dataset.SeriesDescription == picture.title
            if picture.is_synthetic:
                assert list(dataset.ImageType) == ["DERIVED", "SECONDARY"]
                assert dataset.DerivationDescription


@pytest.mark.demo
def test_the_series_is_ordered_and_sized_as_a_real_one(shown: dict[str, DemoPicture]) -> None:
    instances = shown["ct-series"].instances
    assert [instance.dataset.InstanceNumber for instance in instances] == list(range(1, 175))
    places = [float(instance.dataset.ImagePositionPatient[2]) for instance in instances]
    assert np.allclose(np.diff(places), 1.0)
    assert len({instance.dataset.SOPInstanceUID for instance in instances}) == 174
    for instance in instances[::29]:
        assert 115_000 < len(encode_htj2k(instance.frames()[0])) < 190_000


@pytest.mark.demo
def test_the_large_radiograph_is_eleven_megabytes_and_always_the_same(shown: dict[str, DemoPicture]) -> None:
    (instance,) = shown["cr-large"].instances
    (pixels,) = instance.frames()
    assert 11_000_000 < len(encode_htj2k(pixels)) < 11_200_000
    (again,) = pictures()[-1].instances
    assert again.dataset == instance.dataset
    assert np.array_equal(again.frames()[0], pixels)


@pytest.mark.demo
def test_no_person_of_a_source_is_named(shown: dict[str, DemoPicture]) -> None:
    for picture in shown.values():
        dataset = picture.instances[0].dataset
        text = dataset.to_json().lower()
        assert str(dataset.PatientName).startswith(("Demo^", "Synthetic^"))
        for word in ("wetzel", "busack", "rayburn", "hospital", "compressedsamples", "cq500"):
            assert word not in text


@pytest.mark.parametrize("package", ["no_such_package", "json"])
def test_packages_that_are_missing_are_named_with_their_extra(package: str) -> None:
    with pytest.raises(ConfigurationError, match=r"pip install progressive-proxy\[demo\]"):
        find(PackagedFile(package, "data/RG1_UNCR.dcm"))
