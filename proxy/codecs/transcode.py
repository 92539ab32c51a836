"""Converts one frame into an alternate: decode, reduce, encode. Pure, and slow: it runs in workers.

Reduction averages blocks, so a pixel differs by at most a half from the mean of its block. Palette indices
are sampled instead, because the mean of two colours' indices is a third colour.
"""

from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from proxy.codecs.decode import decode_stored
from proxy.codecs.htj2k import encode_htj2k
from proxy.codecs.jobs import LABELS, Alternate, Job, Made
from proxy.errors import CodestreamError, NotMade
from proxy.wire.pixels import ImagePixel


def make(job: Job) -> Made:
    """Does a job. Raises `CodestreamError`."""
    pixel, alternate, scale = job.pixel, job.alternate, job.scale
    stored = decode_stored(job.content, job.syntax, pixel)
    reduced = stored[::scale, ::scale] if _is_palette(pixel) else averaged(stored, scale)
    encoded = encode(np.ascontiguousarray(reduced), alternate, is_rgb=_is_rgb(pixel))
    label = LABELS[alternate.codec, alternate.is_lossy]
    return Made(encoded, label, (reduced.shape[1], reduced.shape[0]))


def encode(pixels: NDArray[Any], alternate: Alternate, *, is_rgb: bool = True) -> bytes:
    """Encodes (rows, columns) or (rows, columns, 3) with a codec. Raises `CodestreamError`."""
    try:
        match alternate.codec:
            case "htj2k":
                return encode_htj2k(pixels, alternate.step, is_rgb=is_rgb)
            case "jpegls":
                return _jpegls(pixels, alternate.near)
            case "jpeg":
                return _jpeg(pixels, alternate.quality, "RGB" if is_rgb else "YCBCR")
    except (ValueError, RuntimeError) as error:
        raise CodestreamError(f"these pixels can't be encoded as {alternate.codec}") from error


def _jpegls(pixels: NDArray[Any], near: int) -> bytes:
    """Encodes JPEG-LS, which has no signed values and takes the bits as they are.

    Nothing may be lost if a small difference could turn the largest value into the smallest.
    """
    if pixels.dtype.kind == "i" and near:
        limits = np.iinfo(pixels.dtype)
        has_room = limits.min + near <= pixels.min() and pixels.max() <= limits.max - near
        near = near if has_room else 0
    return bytes(imagecodecs.jpegls_encode(pixels.view(f"u{pixels.itemsize}"), level=near))


def _jpeg(pixels: NDArray[Any], quality: int, space: str) -> bytes:
    if pixels.dtype != np.uint8:
        raise NotMade(f"JPEG needs 8 unsigned bits; these pixels are {pixels.dtype}")
    if pixels.ndim == 2:
        return bytes(imagecodecs.jpeg8_encode(pixels, level=quality))
    # The markers say luma and chroma, so YBR_FULL must not be transformed again.
    return bytes(imagecodecs.jpeg8_encode(pixels, level=quality, colorspace=space, outcolorspace="YCBCR"))


def averaged(pixels: NDArray[Any], scale: int) -> NDArray[Any]:
    """Averages blocks of `scale` by `scale`, rounded; blocks at the edge may be smaller."""
    if scale == 1:
        return pixels
    rows, columns, *colours = pixels.shape
    down, across = -(-rows // scale), -(-columns // scale)
    missing = [(0, down * scale - rows), (0, across * scale - columns), *[(0, 0)] * len(colours)]
    blocks = np.pad(pixels, missing).reshape(down, scale, across, scale, *colours)
    sums = blocks.sum(axis=3, dtype=np.int64).sum(axis=1)
    ends = (
        np.minimum(np.arange(1, n + 1) * scale, length) for n, length in ((down, rows), (across, columns))
    )
    high, wide = (np.diff(end, prepend=0) for end in ends)
    counts = np.multiply.outer(high, wide).reshape(down, across, *[1] * len(colours))
    mean: NDArray[Any] = np.floor_divide(2 * sums + counts, 2 * counts)
    return mean.astype(pixels.dtype)


def _is_palette(pixel: ImagePixel) -> bool:
    return pixel.photometric == "PALETTE COLOR"


def _is_rgb(pixel: ImagePixel) -> bool:
    return pixel.samples == 3 and pixel.photometric != "YBR_FULL"
