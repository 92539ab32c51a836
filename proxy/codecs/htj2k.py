"""Encodes and decodes frames in this process; nothing else imports imagecodecs.

Only for pixels and codestreams of our own making: a hostile codestream can crash or hang the decoder.
Both directions release the GIL. The decoder has two habits that are answered here: it wraps around
instead of clamping where a value leaves its type, which happens at reduced sizes of whole codestreams
too, and it returns wrong pixels of a truncated codestream without a word.
"""

import math
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from proxy.codestream.header import Header, read_header
from proxy.errors import CodestreamError

MIN_DECOMPOSITIONS = 5
"""What encoders do where the picture is not larger."""

_SSIZ = 42  # SOC, SIZ and its length, Rsiz, eight positions, Csiz (T.800 A.5.1)
_WIDE = 24
_SIGNED_AND_WIDE = 0x80 | (_WIDE - 1)
_ACCEPTED = tuple(map(np.dtype, (np.uint8, np.int8, np.uint16, np.int16)))


def encode_htj2k(pixels: NDArray[Any], step: float = 0.0, *, is_rgb: bool = True) -> bytes:
    """One frame as a codestream that is 1.2.840.10008.1.2.4.202, with a tile-part a resolution.

    `pixels` is (rows, columns), or (rows, columns, 3) for colour; 8 or 16 bits in the machine's byte order.
    With a quantization `step` it is lossy, and 1.2.840.10008.1.2.4.203. Colour that is not RGB keeps its
    components apart. Raises `ValueError` for anything else.
    """
    is_colour = pixels.ndim == 3 and pixels.shape[2] == 3
    if not (pixels.ndim == 2 or is_colour) or pixels.size == 0:
        raise ValueError(f"not one frame of grey or colour: {pixels.shape}")
    if pixels.dtype not in _ACCEPTED or not pixels.dtype.isnative:
        raise ValueError(f"not 8 or 16 bits in native byte order: {pixels.dtype.str}")
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
    """The same, lossless, and seen to decode to the very same pixels. Raises `CodestreamError` too."""
    codestream = encode_htj2k(pixels)
    back = imagecodecs.htj2k_decode(codestream, planar=False)
    if back.dtype != pixels.dtype or not np.array_equal(back, pixels):
        raise CodestreamError("the codestream does not decode to the pixels that it was made of")
    return codestream


def decompositions_for(height: int, width: int) -> int:
    """How many decompositions make the smallest resolution 64 pixels or less each way (PS3.5 10.18).

    >>> decompositions_for(512, 512), decompositions_for(3036, 3036)
    (5, 6)
    """
    return max(MIN_DECOMPOSITIONS, math.ceil(math.log2(max(height, width) / 64)))


def decode_htj2k(codestream: bytes, reduce: int = 0, *, is_prefix: bool = False) -> NDArray[Any]:
    """The pixels of a codestream at 1/2^`reduce` of its size, clamped to its bit depth.

    (rows, columns) or (rows, columns, 3); uint8, uint16, int8 or int16. With `is_prefix` what is missing is
    taken as nothing, so the pixels are right only where the prefix holds that resolution. Raises `ValueError`
    for a reduce that there is not, and `CodestreamError` for what can't be decoded.
    """
    header = _header_of(codestream)
    if not 0 <= reduce <= header.decompositions:
        raise ValueError(f"reduce is 0 to {header.decompositions} here, not {reduce}")
    wide = _decode(_as_wide(codestream, header), reduce, is_prefix)
    if not header.is_reversible:  # there the depth says what a step of the values is, not only their range
        spare = _WIDE - header.bit_depth
        wide = (wide + (1 << (spare - 1))) >> spare
    half = 1 << (header.bit_depth - 1)
    # The decoder leaves this shift out, since the components are said to be signed (T.800 G.1).
    shift = 0 if header.is_signed else half
    clamped: NDArray[Any] = np.clip(wide, -half, half - 1) + shift
    return clamped.astype(f"{'i' if header.is_signed else 'u'}{1 if header.bit_depth <= 8 else 2}")


def complete_reduce(codestream: bytes, have: int) -> int | None:
    """The finest reduce that the first `have` bytes hold completely; None where they hold none.

    Proved by decoding: at that reduce the prefix gives the very pixels of the whole. Resolutions are tried
    from the smallest up to the first that differs, so little is decoded at full size.
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
        raise CodestreamError(f"{header.bit_depth} bits a pixel are more than the 16 that are decoded here")
    return header


def _as_wide(codestream: bytes, header: Header) -> bytes:
    # Said to be signed with 24 bits, values have room on both sides and no shift; the coded data is the same.
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
