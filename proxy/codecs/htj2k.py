"""Encodes and decodes HTJ2K in the current process.

Use it only for pixels and codestreams of our own, because a hostile codestream can crash or hang the decoder.
Both directions release the GIL. The code corrects two habits of the decoder. A value outside its type wraps
around instead of being clamped, even at reduced sizes of complete codestreams. A truncated codestream yields
wrong pixels without an error.
"""

import math
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from proxy.codestream.header import Header, read_header
from proxy.errors import CodestreamError

MIN_DECOMPOSITIONS = 5
"""The encoders' default, for pictures that need no more."""

_SSIZ = 42  # SOC, SIZ and its length, Rsiz, eight positions, Csiz (T.800 A.5.1)
_WIDE = 24
_SIGNED_AND_WIDE = 0x80 | (_WIDE - 1)
_ACCEPTED = tuple(map(np.dtype, (np.uint8, np.int8, np.uint16, np.int16)))


def encode_htj2k(pixels: NDArray[Any], step: float = 0.0, *, is_rgb: bool = True) -> bytes:
    """Encodes one frame as 1.2.840.10008.1.2.4.202, with one tile-part per resolution.

    `pixels` is (rows, columns), or (rows, columns, 3) for colour, with 8 or 16 bits in native byte order.
    With a quantization `step` the result is lossy, and 1.2.840.10008.1.2.4.203. Colour that is not RGB keeps
    its components separate. Raises `ValueError` for any other input.
    """
    is_colour = pixels.ndim == 3 and pixels.shape[2] == 3
    if not (pixels.ndim == 2 or is_colour) or pixels.size == 0:
        raise ValueError(f"pixels must be one frame of grey or colour, not {pixels.shape}")
    if pixels.dtype not in _ACCEPTED or not pixels.dtype.isnative:
        raise ValueError(f"pixels must have 8 or 16 bits in native byte order, not {pixels.dtype.str}")
    encoded = imagecodecs.htj2k_encode(
        np.ascontiguousarray(pixels),
        level=step or None,
        rgb=is_colour and is_rgb,
        planar=False,
        resolutions=decompositions_for(*pixels.shape[:2]),
        reversible=not step,
        tlm=True,
        tilepart=imagecodecs.HTJ2K.TILEPART.RESOLUTIONS,
    )
    return bytes(encoded)


def encode_proved(pixels: NDArray[Any]) -> bytes:
    """Encodes losslessly and proves it by decoding. Raises `CodestreamError` if the pixels differ."""
    codestream = encode_htj2k(pixels)
    back = imagecodecs.htj2k_decode(codestream, planar=False)
    if back.dtype != pixels.dtype or not np.array_equal(back, pixels):
        raise CodestreamError("the codestream does not decode to its source pixels")
    return codestream


def decompositions_for(height: int, width: int) -> int:
    """Returns the decompositions after which both sides have at most 64 pixels (PS3.5 10.18).

    >>> decompositions_for(512, 512), decompositions_for(3036, 3036)
    (5, 6)
    """
    return max(MIN_DECOMPOSITIONS, math.ceil(math.log2(max(height, width) / 64)))


def decode_htj2k(codestream: bytes, reduce: int = 0, *, is_prefix: bool = False) -> NDArray[Any]:
    """Decodes a codestream at 1/2^`reduce` of its size, clamped to its bit depth.

    Returns (rows, columns) or (rows, columns, 3), as uint8, uint16, int8 or int16. With `is_prefix`, missing
    data counts as empty, so the pixels are right only if the prefix holds that resolution. Raises
    `ValueError` if there is no such reduction, and `CodestreamError` if the codestream can't be decoded.
    """
    header = _header_of(codestream)
    if not 0 <= reduce <= header.decompositions:
        raise ValueError(f"reduce must be 0 to {header.decompositions}, not {reduce}")
    wide = _decode(_as_wide(codestream, header), reduce, is_prefix)
    if not header.is_reversible:  # here the depth sets the step of the values, not only their range
        spare = _WIDE - header.bit_depth
        wide = (wide + (1 << (spare - 1))) >> spare
    half = 1 << (header.bit_depth - 1)
    # The decoder omits this shift, because the components are declared as signed (T.800 G.1).
    shift = 0 if header.is_signed else half
    clamped: NDArray[Any] = np.clip(wide, -half, half - 1) + shift
    return clamped.astype(f"{'i' if header.is_signed else 'u'}{1 if header.bit_depth <= 8 else 2}")


def complete_reduce(codestream: bytes, have: int) -> int | None:
    """Returns the finest reduction that the first `have` bytes hold completely; None if there is none.

    This is proved by decoding: at that reduction, the prefix yields the same pixels as the whole codestream.
    Resolutions are tried from the smallest to the first that differs, so little is decoded at full size.
    """
    prefix, best = codestream[:have], None
    if read_header(prefix) is None:
        return None
    for reduce in range(_header_of(codestream).decompositions, -1, -1):
        try:
            is_same = np.array_equal(
                _decode(prefix, reduce, is_prefix=True), _decode(codestream, reduce, is_prefix=False)
            )
        except CodestreamError:
            break
        if not is_same:
            break
        best = reduce
    return best


def _header_of(codestream: bytes) -> Header:
    header = read_header(codestream)
    if header is None:
        raise CodestreamError("the codestream ends inside its main header")
    if header.bit_depth > 16:
        raise CodestreamError(f"the codestream has {header.bit_depth} bits per pixel, above the limit of 16")
    return header


def _as_wide(codestream: bytes, header: Header) -> bytes:
    # Declared as 24-bit signed, values have margin on both sides and no shift. The coded data stays the same.
    depths = bytes((_SIGNED_AND_WIDE,)) + codestream[_SSIZ + 1 : _SSIZ + 3]
    return codestream[:_SSIZ] + depths * header.components + codestream[_SSIZ + 3 * header.components :]


def _decode(codestream: bytes, reduce: int, is_prefix: bool) -> NDArray[Any]:
    try:
        pixels: NDArray[Any] = imagecodecs.htj2k_decode(
            codestream, planar=False, skipres=reduce, resilient=is_prefix
        )
    except imagecodecs.Htj2kError as error:
        raise CodestreamError("the decoder refused the codestream") from error
    return pixels
