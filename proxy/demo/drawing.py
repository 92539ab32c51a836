"""Draws the bytes that have arrived at the page, in the proxy's own worker processes with their limits.

Nothing is drawn that the bytes do not hold. A prefix of HTJ2K is cut to its finest complete resolution, and
the cut is a codestream of its own, so the workers' header gate checks it like any other frame.
"""

import shutil
from dataclasses import dataclass, replace

from proxy.codecs.jobs import Rendering
from proxy.codecs.workers import PROGRAM, Workers
from proxy.codestream.cutting import cut_reduced
from proxy.codestream.layout import Layout, read_layout
from proxy.errors import CodestreamError, MeasureError
from proxy.measure.two_step import jls_size
from proxy.wire.display import Display
from proxy.wire.pixels import ImagePixel

HTJ2K = "1.2.840.10008.1.2.4.202"
JPEG_LS = "1.2.840.10008.1.2.4.80"
MEMORY = 2 * 1024**3
"""Bytes that a worker may take."""
SECONDS = 30.0
"""Seconds that one picture may take."""
NUMBER = 2
"""Workers. Pictures that wait for them arrive later; the clocks count bytes, so they do not change."""

_SOC, _EOC = b"\xff\x4f", b"\xff\xd9"


@dataclass(frozen=True, slots=True)
class Drawn:
    """One picture."""

    png: bytes
    """The picture as PNG, 8 bits."""
    columns: int
    """Pixel columns of the picture."""
    rows: int
    """Pixel rows of the picture."""
    reduce: int
    """Halvings of width and height; 0 is full size."""


def drawing_workers() -> Workers:
    """Returns workers that give way to all else that runs, so that they do not slow what is measured."""
    nice = shutil.which("nice")
    return Workers(NUMBER, MEMORY, SECONDS, (nice, "-n", "10", *PROGRAM) if nice else PROGRAM)


def layout_of(prefix: bytes) -> Layout | None:
    """Returns the layout as far as a prefix tells; None if it does not. Raises `CodestreamError`."""
    return read_layout(prefix) if prefix.startswith(_SOC) else None


async def draw(workers: Workers, content: bytes, pixel: ImagePixel, display: Display, side: int) -> Drawn:
    """Draws the finest resolution that `content` holds.

    With a `side` above 0, draws the smallest resolution with that many pixels on its longer side, if it is
    there. Raises `CodestreamError` if no resolution is complete or the bytes can't be decoded, `NotMade` if
    the picture is of a kind that is not supported.
    """
    if content.startswith(_SOC):
        job, reduce = _htj2k(content, pixel, display, side)
    else:
        job, reduce = _jpeg_ls(content, pixel, display, side)
    made = await workers.make(job)
    return Drawn(made.content, *made.size, reduce)


def _htj2k(content: bytes, pixel: ImagePixel, display: Display, side: int) -> tuple[Rendering, int]:
    layout = read_layout(content)
    if layout is None:
        raise CodestreamError("the bytes end inside the main header")
    if layout.sizes[-1] != (pixel.columns, pixel.rows):
        raise CodestreamError("the codestream has another size than the metadata says")
    finest = layout.finest(len(content))
    if finest is None and layout.method != "unknown":
        raise CodestreamError("the bytes hold no complete resolution")
    last = len(layout.sizes) - 1
    enough = [number for number, size in enumerate(layout.sizes) if side and max(size) >= side]
    number = last if finest is None else min([finest, *enough])
    columns, rows = layout.sizes[number]
    if number == last and (finest is None or content.endswith(_EOC)):
        return _job(content, HTJ2K, pixel, display, (columns, rows)), 0
    # A reduced picture may overshoot the bits that the original uses.
    reduced = replace(pixel, rows=rows, columns=columns, stored=pixel.allocated, low=0)
    cut = cut_reduced(content, number, layout)
    return _job(cut, HTJ2K, reduced if number < last else pixel, display, (columns, rows)), last - number


def _jpeg_ls(content: bytes, pixel: ImagePixel, display: Display, side: int) -> tuple[Rendering, int]:
    try:
        columns, rows = jls_size(content)
    except MeasureError as error:
        raise CodestreamError("the bytes are neither HTJ2K nor JPEG-LS") from error
    if not 0 < columns <= pixel.columns or not 0 < rows <= pixel.rows:
        raise CodestreamError("the picture is larger than the metadata says")
    shrink = max(1, max(columns, rows) // side) if side else 1
    size = max(1, columns // shrink), max(1, rows // shrink)
    job = _job(content, JPEG_LS, replace(pixel, rows=rows, columns=columns), display, size)
    return job, round(pixel.columns / size[0]).bit_length() - 1


def _job(
    content: bytes, syntax: str, pixel: ImagePixel, display: Display, size: tuple[int, int]
) -> Rendering:
    region = (0.0, 0.0, float(pixel.columns), float(pixel.rows))
    return Rendering(content, syntax, pixel, display, region, size, "image/png", 90)
