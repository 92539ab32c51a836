"""Renders one frame as a picture for people: decode, window or colour, scale, encode. Pure; runs in workers.

The order is the standard's (PS3.18 8.3.5.1). Values are rescaled and windowed to 256 greys, or become red,
green and blue. Then the region is taken and scaled; each pixel is the mean of the area that it covers. So
palette indices are never averaged, and values outside the window do not shine through.
"""

import math
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from proxy.codecs.decode import decode_stored, rgb_of
from proxy.codecs.jobs import Made, Rendering
from proxy.codecs.tables import coloured, mapped, most_of
from proxy.errors import CodestreamError, NotMade
from proxy.wire.display import Display, DisplayWindow
from proxy.wire.pixels import ImagePixel

Pixels = NDArray[Any]
Shown = NDArray[np.uint8]


def render(job: Rendering) -> Made:
    """Renders the frame of a job. Raises `CodestreamError` or `NotMade`."""
    stored = decode_stored(job.content, job.syntax, job.pixel)
    scaled = scale(show(stored, job.pixel, job.display), job.region, job.size)
    return Made(encode(scaled, job.media, job.quality), job.media, (scaled.shape[1], scaled.shape[0]))


def encode(shown: Shown, media: str, quality: int) -> bytes:
    """Encodes (rows, columns) or (rows, columns, 3) as PNG or JPEG. Raises `CodestreamError`."""
    # For PNG this takes a quarter of the default's time for the same size, since noise does not repeat.
    fast = {"level": 1, "strategy": imagecodecs.PNG.STRATEGY.RLE, "filter": imagecodecs.PNG.FILTER.SUB}
    try:
        if media == "image/jpeg":
            return bytes(imagecodecs.jpeg8_encode(shown, level=quality))
        return bytes(imagecodecs.png_encode(shown, **fast))
    except (ValueError, RuntimeError) as error:
        raise CodestreamError(f"this picture can't be encoded as {media}") from error


def show(stored: Pixels, pixel: ImagePixel, display: Display) -> Shown:
    """Converts stored pixels to 256 greys, or to RGB. Raises `NotMade` or `CodestreamError`."""
    if pixel.photometric == "PALETTE COLOR":
        if display.palette is None:
            raise NotMade(display.no_palette)
        return coloured(stored, display.palette)
    if pixel.samples == 1:
        if display.lack:
            raise NotMade(display.lack)
        return windowed(stored, display, is_inverted=pixel.photometric == "MONOCHROME1")
    eight = (stored >> max(0, pixel.stored - 8)).astype(np.uint8)
    return rgb_of(eight) if pixel.photometric == "YBR_FULL" else eight


def windowed(stored: Pixels, display: Display, *, is_inverted: bool = False) -> Shown:
    """Rescales and windows grey values; without a window, from the least value to the greatest.

    Padding does not count, and is black.
    """
    # Each value that the type can have is computed only once.
    index = stored.view(f"u{stored.itemsize}")
    every = np.arange(1 << 8 * stored.itemsize, dtype=index.dtype).view(stored.dtype)
    values = every.astype(np.float64)
    if display.modality is None:
        values = values * display.slope + display.intercept
    else:
        values = mapped(values, display.modality)
    is_black = np.zeros(len(every), bool)
    if display.voi is not None:
        shares = mapped(values, display.voi) / most_of(display.voi)
    elif display.window is not None:
        shares = share_of_white(values, display.window)
    else:
        if display.padding is not None:
            is_black = (every >= display.padding[0]) & (every <= display.padding[1])
        is_there = np.zeros(len(every), bool)
        is_there[index] = True
        shares = share_of_white(values, _window_over(values[is_there & ~is_black]))
    shares[is_black] = 0
    table = np.floor((1 - shares if is_inverted else shares) * 255 + 0.5).astype(np.uint8)
    shown: Shown = table[index]
    return shown


def _window_over(values: NDArray[np.float64]) -> DisplayWindow:
    """Returns the window from the least value to the greatest; any window if there are no values."""
    least, most = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    return DisplayWindow((least + most) / 2, most - least or 1.0, "linear-exact")


def share_of_white(values: NDArray[np.float64], window: DisplayWindow) -> NDArray[np.float64]:
    """Maps values to 0, black, to 1, white (PS3.3 C.11.2.1.2.1, C.11.2.1.3)."""
    center, width = window.center, window.width
    if window.function == "sigmoid":
        exponents = np.clip(-4 * (values - center) / width, -700, 700)
        return 1 / (1 + np.exp(exponents))
    if window.function == "linear":
        center, width = center - 0.5, width - 1
    if width == 0:
        return (values > center).astype(np.float64)
    shares: NDArray[np.float64] = np.clip((values - center) / width + 0.5, 0, 1)
    return shares


def scale(shown: Shown, region: tuple[float, float, float, float], size: tuple[int, int]) -> Shown:
    """Scales a region to `size` in pixels; each pixel is the mean of its area. Negative lengths mirror."""
    left, top, width, height = region
    across, down = size
    is_whole = (left, top, abs(width), abs(height)) == (0, 0, shown.shape[1], shown.shape[0])
    if is_whole and size == (shown.shape[1], shown.shape[0]):
        scaled = shown
    else:
        rows = _means(shown, top, top + abs(height), down)
        columns = _means(rows.swapaxes(0, 1), left, left + abs(width), across)
        scaled = np.floor(columns.swapaxes(0, 1) + 0.5).astype(np.uint8)
    return np.ascontiguousarray(scaled[:: -1 if height < 0 else 1, :: -1 if width < 0 else 1])


def _means(lines: Pixels, start: float, stop: float, count: int) -> NDArray[np.float64]:
    """Divides a stretch of the first axis into `count` equal parts and returns the mean of each."""
    before, after = math.floor(start), min(len(lines), math.ceil(stop))
    lines = np.concatenate((lines[before:after], np.zeros_like(lines[:1])))
    places = np.linspace(start, stop, count + 1).clip(before, after) - before
    whole = places.astype(np.intp)
    sums = np.add.reduceat(lines, whole, axis=0, dtype=np.int32 if lines.dtype == np.uint8 else None)[:-1]
    sums[np.diff(whole) == 0] = 0  # for an empty range reduceat returns a line
    parts = (places - whole).reshape(-1, *[1] * (lines.ndim - 1)) * lines[whole]
    means: NDArray[np.float64] = (sums + np.diff(parts, axis=0)) * (count / (stop - start))
    return means
