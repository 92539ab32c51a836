"""Orthanc with JPEG, JPEG 2000, RLE and HTJ2K: every frame comes as it is stored, with few requests."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import generate_frames

from proxy.origin.spellings import FORMS
from tests.house import house
from tests.real.plain import CORNERSTONE, frame_of
from tests.real.servers import orthanc
from tests.real.study import Image
from tests.scripted_origin import ScriptedOrigin
from tests.streams import streams

pytestmark = [pytest.mark.anyio, pytest.mark.demo]

FILES = ("examples_ybr_color.dcm", "JPEG-LL.dcm", "examples_jpeg2k.dcm", "JPEG2000.dcm", "MR_small_RLE.dcm")
"""pydicom's files of JPEG (30 frames), lossless JPEG, lossless and lossy JPEG 2000, and RLE."""
SINGLE = {"accept": "image/jphc"}


@dataclass(frozen=True)
class Stored:
    """One of pydicom's files."""

    content: bytes
    paths: tuple[str, ...]
    frames: tuple[bytes, ...]

    def part10(self) -> bytes:
        return self.content


def read(name: str) -> Stored:
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"pydicom's {name} is not here")
    dataset = dcmread(str(path))
    count = int(dataset.get("NumberOfFrames", 1))
    frames = tuple(generate_frames(dataset.PixelData, number_of_frames=count))
    base = f"/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
    base += f"/instances/{dataset.SOPInstanceUID}/frames"
    paths = tuple(f"{base}/{number + 1}" for number in range(count))
    return Stored(Path(str(path)).read_bytes(), paths[:6], frames[:6])


@dataclass(frozen=True)
class Mixed:
    """Orthanc's base URL, and the paths of its frames by kind."""

    url: str
    kinds: dict[str, dict[str, bytes]]


@pytest.fixture(scope="module")
def mixed(study: list[Image], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mixed]:
    others = {name: read(name) for name in FILES}
    htj2k = [image for image in study if image.is_htj2k]
    with orthanc(tmp_path_factory.mktemp("orthanc-mixed"), [*htj2k, *others.values()]) as url:
        kinds = {name: dict(zip(each.paths, each.frames, strict=True)) for name, each in others.items()}
        padded = {p: b + b"\0" * (len(b) % 2) for i in htj2k for p, b in zip(i.paths, i.stored, strict=True)}
        yield Mixed(url, kinds | {"htj2k": padded})


def test_orthanc_gives_what_is_stored_in_one_form_only(mixed: Mixed) -> None:
    for kind, frames in mixed.kinds.items():
        for path, stored in frames.items():
            accept = "multipart/related" if kind == "htj2k" else CORNERSTONE
            answer = httpx.get(mixed.url + path, headers={"accept": accept}, trust_env=False, timeout=240)
            assert frame_of(answer).body == stored, path


class Relay:
    """A relay in front of Orthanc that counts requests and response bytes."""

    def __init__(self, url: str) -> None:
        self._to = urlsplit(url)
        self.requests = 0
        self.received = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        async with streams(self._serve) as port:
            yield f"http://127.0.0.1:{port}{self._to.path}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._to.hostname, self._to.port)

        async def answers() -> None:
            while chunk := await there.read(65536):
                self.received += len(chunk)
                writer.write(chunk)
                await writer.drain()
            writer.close()

        answering = asyncio.create_task(answers())
        try:
            while chunk := await reader.read(65536):
                self.requests += chunk.count(b" HTTP/1.1\r\n")
                back.write(chunk)
                await back.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            answering.cancel()
            for each in (back, writer):
                each.close()


@pytest.mark.parametrize("first", ["htj2k", *FILES])
async def test_each_frame_comes_as_it_is_stored_whatever_came_first(mixed: Mixed, first: str) -> None:
    kinds = [first, *(kind for kind in mixed.kinds if kind != first)]
    relay, series = Relay(mixed.url), set[str]()
    async with relay.running() as url, house(ScriptedOrigin(), origin={"url": url}) as home:
        greeting = relay.requests, relay.received
        for kind in kinds:
            for path, stored in mixed.kinds[kind].items():
                answer = await home.viewer.get(path, headers=SINGLE)
                assert (answer.status_code, answer.content) == (200, stored), (kind, path)
                await home.until_idle()
                series.add(path.partition("/instances/")[0])
        bodies = [body for frames in mixed.kinds.values() for body in frames.values()]
        most = len(bodies) + len(FORMS) + 2 * len(series)
        assert relay.requests - greeting[0] <= most
        assert relay.received - greeting[1] < sum(map(len, bodies)) + 1024 * most
