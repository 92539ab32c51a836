"""The stored pixels of a frame, out of any transfer syntax; only in a worker, or of files that are trusted.

What comes out is what the metadata goes on to describe, so a viewer may treat an alternate's pixels as
the original's: MONOCHROME1 stays inverted, a palette's pixels stay indices, YBR_FULL stays YBR_FULL. Only
where the metadata tells of a form that no alternate can have (chroma of half the width, the transforms of
JPEG 2000) it is RGB: that is what viewers take those for once they are decoded.
"""

from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from proxy.alternates.codec import decode_htj2k
from proxy.alternates.headers import see_htj2k, see_jpeg, see_jpeg_2000, see_run_lengths
from proxy.errors import CodestreamError, NotMade, ProxyError
from proxy.wire.media import HTJ2K
from proxy.wire.pixels import ImagePixel

Pixels = NDArray[Any]

PLAIN = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"})
"""Little endian, not compressed; a frame alone is never deflated (PS3.18 8.7.3.5)."""
RLE = "1.2.840.10008.1.2.5"
JPEG = frozenset(f"1.2.840.10008.1.2.4.{last}" for last in (50, 51, 57, 70))
JPEG_LS = frozenset(f"1.2.840.10008.1.2.4.{last}" for last in (80, 81))
JPEG_2000 = frozenset(f"1.2.840.10008.1.2.4.{last}" for last in (90, 91))
MOST_SAMPLES = 1 << 27
"""Of a frame; some bytes of a codec can name many more, and cost minutes and gigabytes."""

_AS_RGB = ("RGB", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT")


def decode_stored(content: bytes, syntax: str, pixel: ImagePixel) -> Pixels:
    """One frame: (rows, columns) or (rows, columns, 3), uint8, int8, uint16 or int16 in native order.

    Raises `CodestreamError` for what can't be decoded, or is another picture than the metadata says, and
    `NotMade` for what nobody can.
    """
    if pixel.allocated not in (8, 16) or pixel.samples not in (1, 3):
        raise NotMade(f"pixels of {pixel.samples} times {pixel.allocated} bits are left as they are")
    if pixel.size > MOST_SAMPLES:
        raise NotMade(f"a picture of {pixel.columns}x{pixel.rows} pixels is left as it is")
    try:
        decoded = _decode(content, syntax, pixel)
    except ProxyError:
        raise
    except (ValueError, RuntimeError, MemoryError, IndexError) as error:  # whatever a codec raises
        raise CodestreamError("the frame can't be decoded") from error
    shape = (pixel.rows, pixel.columns) + ((pixel.samples,) if pixel.samples > 1 else ())
    if decoded.shape != shape:
        raise CodestreamError(f"a picture of {decoded.shape} where the metadata says {shape}")
    return np.ascontiguousarray(_as_stored(decoded, pixel))


def _decode(content: bytes, syntax: str, pixel: ImagePixel) -> Pixels:
    if syntax in PLAIN:
        return _plain(content, pixel)
    if syntax == RLE:
        return _run_lengths(content, pixel)
    if syntax in HTJ2K:
        codestream = content.rstrip(b"\x00")
        see_htj2k(codestream, pixel)
        return decode_htj2k(codestream)
    found: Pixels
    if syntax in JPEG_2000:
        see_jpeg_2000(content, pixel)
        found = imagecodecs.jpeg2k_decode(content, planar=False)
    elif syntax in JPEG_LS:
        see_jpeg(content, pixel)
        found = imagecodecs.jpegls_decode(content)
    elif syntax in JPEG:
        see_jpeg(content, pixel)
        space = "YCBCR" if pixel.samples == 3 and pixel.photometric.startswith("YBR") else None
        wanted = "RGB" if pixel.photometric in _AS_RGB else space
        same = "RGB" if pixel.photometric == "RGB" else space
        found = imagecodecs.jpeg8_decode(content, colorspace=same, outcolorspace=wanted)
    else:
        raise NotMade(f"transfer syntax {syntax or 'not told'} is not decoded here")
    return found


def _plain(content: bytes, pixel: ImagePixel) -> Pixels:
    if pixel.photometric == "YBR_FULL_422" and len(content) - pixel.size * 2 // 3 in (0, 1):
        return _half_chroma(np.frombuffer(content, np.uint8, pixel.size * 2 // 3), pixel)
    size = pixel.size * pixel.allocated // 8
    if len(content) < size:  # more is padding
        raise CodestreamError(f"{len(content)} bytes where the metadata says {size}")
    return _in_order(np.frombuffer(content, pixel.dtype, pixel.size), pixel, is_planar=pixel.is_planar)


def _half_chroma(samples: Pixels, pixel: ImagePixel) -> Pixels:
    """YBR_FULL_422: two luma and one pair of chroma for each two pixels (PS3.3 C.7.6.3.1.2), as RGB."""
    pairs = samples.reshape(pixel.rows, pixel.columns // 2, 4)
    luma = pairs[:, :, :2].reshape(pixel.rows, pixel.columns)
    blue, red = (pairs[:, :, at].repeat(2, axis=1) for at in (2, 3))
    return rgb_of(np.stack((luma, blue, red), axis=-1))


def rgb_of(ybr: Pixels) -> Pixels:
    """YBR_FULL of 8 bits as RGB (PS3.3 C.7.6.3.1.2)."""
    luma, blue, red = (ybr[..., at].astype(np.float64) for at in range(3))
    blue, red = blue - 128, red - 128
    colours = luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue
    rounded: Pixels = np.clip(np.rint(np.stack(colours, axis=-1)), 0, 255).astype(np.uint8)
    return rounded


def _run_lengths(content: bytes, pixel: ImagePixel) -> Pixels:
    see_run_lengths(content, pixel)
    samples = np.frombuffer(imagecodecs.dicomrle_decode(content, np.dtype(pixel.dtype)), pixel.dtype)
    if samples.size != pixel.size:
        raise CodestreamError(f"{samples.size} samples where the metadata says {pixel.size}")
    return _in_order(samples, pixel, is_planar=True)  # PS3.5 G.2


def _in_order(samples: Pixels, pixel: ImagePixel, *, is_planar: bool) -> Pixels:
    if pixel.samples == 1:
        return samples.reshape(pixel.rows, pixel.columns)
    if is_planar:
        return samples.reshape(pixel.samples, pixel.rows, pixel.columns).transpose(1, 2, 0)
    return samples.reshape(pixel.rows, pixel.columns, pixel.samples)


def _as_stored(decoded: Pixels, pixel: ImagePixel) -> Pixels:
    """In the type that the metadata says, with the sign repeated above the bits that are used."""
    wanted = np.dtype(pixel.dtype).newbyteorder("=")
    if decoded.dtype.itemsize > wanted.itemsize:
        limits = np.iinfo(wanted)
        if decoded.min() < limits.min or decoded.max() > limits.max:
            raise CodestreamError(f"values of more bits than the {pixel.allocated} that the metadata says")
    as_stored: Pixels = decoded.astype(wanted, copy=False)
    spare = pixel.allocated - pixel.stored
    return (as_stored << spare) >> spare if pixel.is_signed and spare > 0 else as_stored
