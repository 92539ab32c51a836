"""Bytes that have arrived become the finest picture that they hold, and no finer one."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from proxy.codecs.htj2k import decode_htj2k, encode_htj2k
from proxy.codecs.jobs import Alternate, Job
from proxy.codecs.render import windowed
from proxy.codecs.transcode import make
from proxy.codecs.workers import Workers
from proxy.codestream.layout import read_layout
from proxy.demo.drawing import draw, drawing_workers, layout_of
from proxy.errors import CodestreamError, NotMade
from proxy.wire.display import Display, DisplayWindow
from proxy.wire.pixels import ImagePixel

pytestmark = pytest.mark.anyio

PIXEL = ImagePixel(300, 200, allocated=16, stored=12)
DISPLAY = Display(window=DisplayWindow(1000, 2000))
PIXELS = np.random.default_rng(1).integers(0, 4096, (300, 200), dtype=np.uint16)
CODESTREAM = encode_htj2k(PIXELS)


@pytest.fixture
def idle() -> Workers:
    return drawing_workers()


def greys(png: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.array(Image.open(io.BytesIO(png)))


async def test_every_prefix_is_drawn_as_its_finest_resolution(idle: Workers) -> None:
    layout = read_layout(CODESTREAM)
    assert layout is not None
    async with idle as workers:
        for number, end in enumerate(layout.ends):
            assert end is not None
            drawn = await draw(workers, CODESTREAM[:end], PIXEL, DISPLAY, 0)
            reduce = len(layout.ends) - 1 - number
            assert (drawn.columns, drawn.rows, drawn.reduce) == (*layout.sizes[number], reduce)
            expected = windowed(decode_htj2k(CODESTREAM, reduce), DISPLAY)
            assert np.array_equal(greys(drawn.png), expected)
            if number + 1 < len(layout.ends):
                drawn = await draw(
                    workers, CODESTREAM[: (layout.ends[number + 1] or 0) - 1], PIXEL, DISPLAY, 0
                )
                assert drawn.reduce == reduce


async def test_a_side_takes_the_smallest_resolution_that_is_enough(idle: Workers) -> None:
    async with idle as workers:
        drawn = await draw(workers, CODESTREAM, PIXEL, DISPLAY, 70)
    assert (drawn.columns, drawn.rows, drawn.reduce) == (50, 75, 2)


async def test_jpeg_ls_is_drawn_whole_and_by_side(idle: Workers) -> None:
    plain = Job(PIXELS.astype("<u2").tobytes(), "1.2.840.10008.1.2.1", PIXEL, Alternate("jpegls"), 1)
    content = make(plain).content
    async with idle as workers:
        whole = await draw(workers, content, PIXEL, DISPLAY, 0)
        small = await draw(workers, content, PIXEL, DISPLAY, 75)
    assert np.array_equal(greys(whole.png), windowed(PIXELS, DISPLAY))
    assert (small.columns, small.rows, small.reduce) == (50, 75, 2)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", CODESTREAM[:60], b"a text", b"\xff\xd8\xff\xf7"],
    ids=["nothing", "a byte", "a header", "a text", "a marker"],
)
async def test_bytes_that_hold_no_picture_are_refused(idle: Workers, content: bytes) -> None:
    async with idle as workers:
        with pytest.raises(CodestreamError):
            await draw(workers, content, PIXEL, DISPLAY, 0)


async def test_a_picture_that_is_not_supported_is_refused_by_name(idle: Workers) -> None:
    async with idle as workers:
        with pytest.raises(NotMade, match="Modality"):
            await draw(workers, CODESTREAM, PIXEL, replace(DISPLAY, lack="no Modality LUT"), 0)


async def test_a_picture_that_is_larger_than_its_metadata_is_refused(idle: Workers) -> None:
    async with idle as workers:
        with pytest.raises(CodestreamError):
            await draw(workers, CODESTREAM, replace(PIXEL, rows=100), DISPLAY, 0)


def test_a_layout_is_told_of_htj2k_only() -> None:
    assert layout_of(b"\xff\xd8") is None
    layout = layout_of(CODESTREAM[:1000])
    assert layout is not None
    assert layout.ends[-1] is not None
