"""The real Cornerstone3D progressively loads images that their origin stores uncompressed."""

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread

from proxy.codecs.transcode import averaged
from proxy.demo.images import PackagedFile, find
from tests.browser import pictures
from tests.browser.pictures import Series
from tests.browser.plans import KIB, REST, first, two
from tests.browser.serving import EXPLICIT, MODULES
from tests.browser.test_volume import WITH_FIRST
from tests.browser.viewing import ANYWHERE, FULL, SUBRESOLUTION, Viewer
from tests.codestreams import Pixels
from tests.house import House, house
from tests.scripted_origin import UID, Asked, Reply, ScriptedOrigin, honest
from tests.stories.test_alternates import ALTERNATES

pytestmark = pytest.mark.anyio

LABEL = f"application/octet-stream; transfer-syntax={EXPLICIT}"
HTJ2K = {"framesPath": "/htj2k/"}
JLS = {"framesPath": "/jls/"}
REDUCED = {"framesPath": "/jlsThumbnail/", "imageQualityStatus": SUBRESOLUTION}
PLANS = {
    "htj2k by range": (two(first(16 * KIB, decodeLevel=2) | HTJ2K, REST | HTJ2K), ["/htj2k/"] * 2),
    "jlsReduced": (two(REDUCED, JLS), ["/jlsThumbnail/", "/jls/"]),
}
"""Stages of a stack, and the paths that they request."""


def interleaved(fast: dict[str, Any], final: dict[str, Any]) -> dict[str, Any]:
    options = {"default": final, "multipleFast": fast, "multipleFinal": final}
    return {"stages": "interleaved", "retrieveOptions": options}


VOLUMES = {
    "htj2k by range": interleaved(first(16 * KIB, decodeLevel=1) | HTJ2K, REST | HTJ2K),
    "jlsReduced": interleaved(REDUCED, JLS),
}


@dataclass(frozen=True)
class Uncompressed(Series):
    """A series whose origin has only its plain pixels."""

    stored: int = 16
    """Number of bits in use."""
    by_range: int = 2
    """The factor by which the viewer reduces the image after 16 KiB. It depends on the share of the whole."""

    def origin(self) -> ScriptedOrigin:
        frames = {path: pixels.tobytes() for path, pixels in zip(self.frames, self.pixels, strict=True)}

        def script(asked: Asked) -> Reply | None:
            body = frames.get(asked.path.partition("?")[0])
            return honest(body, asked, label=LABEL) if body else None

        return ScriptedOrigin(script=script, metadata={f"{self.path}/metadata": self.metadata})

    def digest(self, image: int = 0, reduce: int = 0) -> str:
        pixels = averaged(self.pixels[image], 1 << reduce)
        return hashlib.sha256((pixels + np.array(self.intercept, pixels.dtype)).tobytes()).hexdigest()

    def _instance(self, image: int) -> dict[str, Any]:
        told, pixels = super()._instance(image), self.pixels[image]
        changed: dict[str, Any] = {
            "00083002": EXPLICIT,
            "00280002": 1 if pixels.ndim == 2 else 3,
            "00280004": "MONOCHROME2" if pixels.ndim == 2 else "RGB",
            "00280100": 8 * pixels.itemsize,
            "00280101": self.stored,
            "00280102": self.stored - 1,
        }
        for tag, value in changed.items():
            told[tag]["Value"] = [value]
        return told


def read(name: str) -> Pixels:
    pixels: Pixels = dcmread(find(PackagedFile("data_store", f"data/{name}.dcm"))).pixel_array
    return pixels


def path(number: int) -> str:
    return f"/studies/{UID}.11/series/{UID}.{number}"


@cache
def made(name: str) -> Uncompressed:
    match name:
        case "signed CT":
            return Uncompressed(path(21), (read("693_UNCR"),), (40, 400), -1024, stored=14)
        case "unsigned, 12 bits":
            pixels = pictures.radiograph().pixels[0] >> 3
            assert 2000 < pixels.max() < 4096
            return Uncompressed(path(22), (pixels,), (1500, 3000), stored=12, by_range=4)
        case "colour":
            return Uncompressed(path(23), (read("US1_UNCR"),), (128, 256), stored=8)
    volume = pictures.volume()
    return Uncompressed(path(24), volume.pixels, volume.window, volume.intercept)


@pytest.fixture(scope="module")
def charls() -> bytes:
    """Cornerstone3D's decoder of JPEG-LS, which the page of other tests does not have."""
    return (MODULES / "@cornerstonejs/codec-charls/dist/charlswasm_decode.wasm").read_bytes()


@pytest.fixture
def viewer(viewer: Viewer, charls: bytes) -> Viewer:
    viewer.server.files["/wasm/charlswasm_decode.wasm"] = charls
    return viewer


@pytest.fixture(params=["signed CT", "unsigned, 12 bits", "colour"])
def uncompressed(request: pytest.FixtureRequest) -> Uncompressed:
    return made(request.param)


@pytest.fixture
def slices() -> Uncompressed:
    return made("volume")


def root(home: House) -> str:
    return str(home.viewer.base_url)


def smaller(series: Series, scale: int) -> tuple[int, int]:
    rows, columns = series.pixels[0].shape[:2]
    return -(-rows // scale), -(-columns // scale)


@pytest.mark.parametrize("is_hot", [False, True], ids=["cold", "hot"])
@pytest.mark.parametrize("plan", PLANS)
async def test_a_stack(viewer: Viewer, uncompressed: Uncompressed, plan: str, is_hot: bool) -> None:
    retrieve, paths = PLANS[plan]
    origin, [frame] = uncompressed.origin(), uncompressed.frames
    async with house(origin, cors=ANYWHERE, alternates=ALTERNATES) as home:
        if is_hot:
            for path in paths:
                await home.viewer.get(frame.replace("/frames/", path))
        seen = await viewer.show("stack", root(home), uncompressed, retrieve)
    assert seen.statuses() == [SUBRESOLUTION, FULL]
    scale = 4 if plan == "jlsReduced" else uncompressed.by_range
    assert seen.sizes() == [smaller(uncompressed, scale), smaller(uncompressed, 1)]
    assert seen.digests()[-1] == uncompressed.digest()
    if plan == "jlsReduced":
        assert seen.digests()[0] == uncompressed.digest(reduce=2)
    assert [each.path for each in seen.exchanges] == [frame.replace("/frames/", path) for path in paths]
    assert all(render["lit"] > 0.3 for render in seen.renders)
    assert seen.rendering == "gpu"
    assert (viewer.faults, seen.errors) == ([], [])
    assert origin.ranges_of(frame) == [None], "the frame it is made from is fetched only once"
    assert (await viewer.looks_like("stack", uncompressed))["differing"] == 0


@pytest.mark.parametrize("plan", VOLUMES)
async def test_a_volume(viewer: Viewer, slices: Uncompressed, plan: str) -> None:
    series, origin = slices, slices.origin()
    async with house(origin, cors=ANYWHERE, alternates=ALTERNATES) as home:
        seen = await viewer.show("volume", root(home), series, VOLUMES[plan])
    for image, frame in enumerate(series.frames):
        own = [status for status in seen.statuses(image) if status >= SUBRESOLUTION]
        assert own == ([SUBRESOLUTION, FULL] if image in WITH_FIRST else [FULL])
        assert seen.digests(image)[-1] == series.digest(image)
        assert origin.ranges_of(frame) == [None]
    assert (viewer.faults, seen.errors) == ([], [])
    drawn = await viewer.looks_like("volume", series)
    assert drawn["differing"] == 0
    assert 0.1 < drawn["lit"] < 0.9
