"""Decodes a frame of any transfer syntax to its stored pixels. Only for workers, or for trusted files.

The result is what the metadata describes, so a viewer may treat an alternate's pixels like the original's.
MONOCHROME1 stays inverted, palette pixels stay indices, and YBR_FULL stays YBR_FULL. The exception is a form
that no alternate can have: 4:2:2 chroma, and the transforms of JPEG 2000. Such frames become RGB, because
viewers assume RGB once such a frame has been decoded.
"""

import struct
from itertools import pairwise
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from proxy.codecs.headers import check_htj2k, check_jpeg, check_jpeg_2000, check_run_lengths, syntax_in
from proxy.codecs.htj2k import decode_htj2k
from proxy.codecs.jpeg import Coded, Jpeg
from proxy.errors import CodestreamError, NotMade, ProxyError
from proxy.wire.media import HTJ2K
from proxy.wire.pixels import ImagePixel

Pixels = NDArray[Any]

PLAIN = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"})
"""Uncompressed little endian. A single frame is never deflated (PS3.18 8.7.3.5)."""
RLE = "1.2.840.10008.1.2.5"
JPEG = frozenset(f"1.2.840.10008.1.2.4.{last}" for last in (50, 51, 57, 70))
JPEG_LS = frozenset(f"1.2.840.10008.1.2.4.{last}" for last in (80, 81))
JPEG_2000 = frozenset(f"1.2.840.10008.1.2.4.{last}" for last in (90, 91))
MOST_SAMPLES = 1 << 27
"""Samples of a frame. A few bytes of a codec can announce many more, at a cost of minutes and gigabytes."""

_ONE_SEGMENT = struct.pack("<16I", 1, 64, *[0] * 14)
"""The header of an RLE frame with one segment (PS3.5 G.5)."""


def decode_stored(content: bytes, syntax: str, pixel: ImagePixel) -> Pixels:
    """Decodes one frame to (rows, columns) or (rows, columns, 3); u/int8 or u/int16, native byte order.

    Raises `CodestreamError` if the frame can't be decoded or differs from the metadata, and `NotMade` if its
    form is not supported.
    """
    if pixel.allocated not in (8, 16) or pixel.samples not in (1, 3):
        raise NotMade(f"pixels of {pixel.samples} times {pixel.allocated} bits are not supported")
    if pixel.size > MOST_SAMPLES:
        raise NotMade(f"a picture of {pixel.columns}x{pixel.rows} pixels is not supported")
    try:
        decoded, coded = _decode(content, syntax, pixel)
    except ProxyError:
        raise
    except (ValueError, RuntimeError, MemoryError, IndexError) as error:  # a codec can raise any of these
        raise CodestreamError("the frame can't be decoded") from error
    shape = (pixel.rows, pixel.columns) + ((pixel.samples,) if pixel.samples > 1 else ())
    if decoded.shape != shape:
        raise CodestreamError(f"the picture has the shape {decoded.shape}, but the metadata says {shape}")
    return np.ascontiguousarray(_as_stored(decoded, pixel, coded))


def _decode(content: bytes, syntax: str, pixel: ImagePixel) -> tuple[Pixels, Coded]:
    if syntax in PLAIN or not syntax:  # many servers label anything as octet-stream
        syntax = syntax_in(content, pixel) or syntax
    coded = Coded(pixel.allocated, is_lossy=False)
    found: Pixels
    if syntax in PLAIN:
        found = _plain(content, pixel)
    elif syntax == RLE:
        found = _run_lengths(content, pixel)
    elif syntax in HTJ2K:
        codestream = content.rstrip(b"\x00")
        coded, found = check_htj2k(codestream, pixel), decode_htj2k(codestream)
    elif syntax in JPEG_2000:
        coded, found = check_jpeg_2000(content, pixel), imagecodecs.jpeg2k_decode(content, planar=False)
    elif syntax in JPEG_LS:
        coded, found = check_jpeg(content, pixel), imagecodecs.jpegls_decode(content)
    elif syntax in JPEG:
        coded = check_jpeg(content, pixel)
        found = _jpeg(content, pixel, coded)
    else:
        raise NotMade(f"transfer syntax {syntax or '(unknown)'} is not supported")
    return found, coded


def _jpeg(content: bytes, pixel: ImagePixel, jpeg: Jpeg) -> Pixels:
    """Decodes to YBR_FULL if the label says so, else to RGB. The markers tell how the colour is coded."""
    if pixel.samples == 1:
        return _decoded_jpeg(content)
    is_ybr, is_wanted = jpeg.is_ybr(pixel.photometric), pixel.photometric == "YBR_FULL"
    if is_ybr and not is_wanted and not jpeg.is_lossless:
        return _decoded_jpeg(content, "YCBCR", "RGB")
    # The lossless decoder does not transform colour, and none converts to luma and chroma.
    as_is = "YCBCR" if is_ybr and not jpeg.is_lossless else "RGB"
    found = _decoded_jpeg(content, as_is, as_is)
    if is_ybr == is_wanted:
        return found
    return rgb_of(found, jpeg.precision) if is_ybr else ybr_of(found, jpeg.precision)


def _decoded_jpeg(content: bytes, space: str | None = None, wanted: str | None = None) -> Pixels:
    found: Pixels = imagecodecs.jpeg8_decode(content, colorspace=space, outcolorspace=wanted)
    return found


def _plain(content: bytes, pixel: ImagePixel) -> Pixels:
    bits = pixel.bits_of(len(content))
    if bits < pixel.size * pixel.allocated:
        return _half_chroma(np.frombuffer(content, np.uint8, pixel.size * 2 // 3), pixel)
    return _in_order(np.frombuffer(content, pixel.dtype, pixel.size), pixel, is_planar=pixel.is_planar)


def _half_chroma(samples: Pixels, pixel: ImagePixel) -> Pixels:
    """Converts YBR_FULL_422, two luma and one pair of chroma per two pixels (PS3.3 C.7.6.3.1.2), to RGB."""
    pairs = samples.reshape(pixel.rows, pixel.columns // 2, 4)
    luma = pairs[:, :, :2].reshape(pixel.rows, pixel.columns)
    blue, red = (pairs[:, :, at].repeat(2, axis=1) for at in (2, 3))
    return rgb_of(np.stack((luma, blue, red), axis=-1))


def rgb_of(ybr: Pixels, bits: int = 8) -> Pixels:
    """Converts YBR_FULL of `bits` bits to RGB (PS3.3 C.7.6.3.1.2)."""
    luma, blue, red = (ybr[..., at].astype(np.float64) for at in range(3))
    half = 1 << (bits - 1)
    blue, red = blue - half, red - half
    return _rounded(
        (luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue), ybr, bits
    )


def ybr_of(rgb: Pixels, bits: int = 8) -> Pixels:
    """Converts RGB of `bits` bits to YBR_FULL (PS3.3 C.7.6.3.1.2)."""
    red, green, blue = (rgb[..., at].astype(np.float64) for at in range(3))
    luma, half = 0.299 * red + 0.587 * green + 0.114 * blue, 1 << (bits - 1)
    return _rounded((luma, (blue - luma) / 1.772 + half, (red - luma) / 1.402 + half), rgb, bits)


def _rounded(colours: tuple[Pixels, ...], like: Pixels, bits: int) -> Pixels:
    rounded: Pixels = np.clip(np.rint(np.stack(colours, axis=-1)), 0, (1 << bits) - 1).astype(like.dtype)
    return rounded


def _run_lengths(content: bytes, pixel: ImagePixel) -> Pixels:
    """Decodes RLE: a segment has a byte of each sample, highest first (PS3.5 G.2); extras are ignored."""
    bounds = check_run_lengths(content, pixel)
    size, width = pixel.rows * pixel.columns, pixel.allocated // 8
    planes = np.empty((pixel.samples, size, width), np.uint8)
    for number, (start, stop) in enumerate(pairwise(bounds)):
        segment = imagecodecs.dicomrle_decode(_ONE_SEGMENT + content[start:stop], np.dtype(np.uint8))
        if len(segment) < size:
            raise CodestreamError(
                f"the RLE segment has {len(segment):,} samples, but the metadata says {size:,}"
            )
        planes[number // width, :, width - 1 - number % width] = np.frombuffer(segment, np.uint8, size)
    return _in_order(planes.reshape(-1).view(pixel.dtype), pixel, is_planar=True)


def _in_order(samples: Pixels, pixel: ImagePixel, *, is_planar: bool) -> Pixels:
    if pixel.samples == 1:
        return samples.reshape(pixel.rows, pixel.columns)
    if is_planar:
        return samples.reshape(pixel.samples, pixel.rows, pixel.columns).transpose(1, 2, 0)
    return samples.reshape(pixel.rows, pixel.columns, pixel.samples)


def _as_stored(decoded: Pixels, pixel: ImagePixel, coded: Coded) -> Pixels:
    """Returns the value's bits in the metadata's type, with the sign extended (PS3.5 8.1.1)."""
    wanted = np.dtype(pixel.dtype).newbyteorder("=")
    if decoded.dtype.itemsize > wanted.itemsize:
        limits = np.iinfo(wanted)
        if decoded.min() < limits.min or decoded.max() > limits.max:
            raise CodestreamError(f"a value has more than the {pixel.allocated} bits that the metadata says")
    as_stored: Pixels = decoded.astype(wanted, copy=False)
    has_others = coded.precision > pixel.stored  # otherwise the encoder has already extracted the value
    low = pixel.low if has_others else 0
    spare = pixel.allocated - low - pixel.stored
    if spare < 0 or pixel.stored == 0 or not (low or (spare and (pixel.is_signed or has_others))):
        return as_stored
    if coded.is_lossy and has_others and not low:  # a slight overshoot is not another bit
        most = 1 << pixel.stored - pixel.is_signed
        return as_stored.clip(-most if pixel.is_signed else 0, most - 1)
    return (as_stored << spare) >> (spare + low)
