"""Reads packet headers: how many bytes of code-blocks follow them (T.800 B.10, T.814 B.3)."""

from collections.abc import Iterable

from proxy.codestream.bits import Bits, TagTree, tree_parents
from proxy.errors import CodestreamError

HT, MIXED = 0x40, 0xC0
"""High-throughput blocks, and a mixture of both kinds, in a block style (T.814 A.4)."""

_LAZY, _ENDS_ALL = 0x01, 0x04  # selective bypass, termination on each pass (T.800 table A.19)
_MAX_PLANES = 84  # guard bits and a region of interest give 38 bits no more bit-planes
_MAX_LBLOCK = 32


class Blocks:
    """The state of one precinct's code-blocks in one band, after the packets read so far."""

    __slots__ = ("inclusion", "lblocks", "passes", "planes")

    def __init__(self, wide: int, high: int) -> None:
        parents = tree_parents(wide, high)
        self.inclusion = TagTree(parents)
        """For each block: the first layer that contains data of it."""
        self.planes = TagTree(parents)
        """For each block: the bit-planes that are all zero."""
        self.passes = [0] * (wide * high)
        """For each block: coding passes so far."""
        self.lblocks = [3] * (wide * high)
        """For each block: Lblock, the least number of bits in a length (T.800 B.10.7.1)."""


def read_packet(bits: Bits, bands: Iterable[Blocks], layer: int, style: int) -> int:
    """Reads one packet header and returns the bytes of the body that follows. `layer` is 0-based.

    Raises `NeedMore` if the prefix is too short, and `CodestreamError` if the header is invalid.
    """
    length = 0
    if bits.take(1):
        for band in bands:
            for block in range(len(band.passes)):
                length += _read_block(bits, band, block, layer, style)
    bits.align()
    return length


def _read_block(bits: Bits, band: Blocks, block: int, layer: int, style: int) -> int:
    before = band.passes[block]
    if before:
        if not bits.take(1):
            return 0
    else:
        if band.inclusion.reach(block, layer + 1, bits) > layer:
            return 0
        if band.planes.reach(block, _MAX_PLANES, bits) == _MAX_PLANES:
            raise CodestreamError("a code-block has no bit-plane")
    count = _read_passes(bits)
    band.passes[block] = before + count
    lblock = band.lblocks[block]
    while bits.take(1):
        lblock += 1
        if lblock > _MAX_LBLOCK:
            raise CodestreamError("a code-block has an impossible length")
    band.lblocks[block] = lblock
    if count == 1:
        return bits.take(lblock)
    return sum(bits.take(lblock + passes.bit_length() - 1) for passes in split_passes(style, before, count))


def _read_passes(bits: Bits) -> int:
    """Reads the number of coding passes (T.800 table B.4)."""
    if not bits.take(1):
        return 1
    if not bits.take(1):
        return 2
    for least, width in ((3, 2), (6, 5)):
        more = bits.take(width)
        if more + 1 < 1 << width:
            return least + more
    return 37 + bits.take(7)


def split_passes(style: int, before: int, count: int) -> list[int]:
    """Splits coding passes into codeword segments, each with its own length (T.800 D.6, T.814 B.3).

    >>> split_passes(0, 0, 22), split_passes(0x40, 0, 6), split_passes(0x01, 8, 7)
    ([22], [4, 2], [2, 2, 1, 2])
    """
    if style & HT:  # empty sets of three passes belong to the clean-up pass
        first = (count - 1) // 3 * 3 + 1
        return [first, count - first] if count > first else [first]
    if not style & (_LAZY | _ENDS_ALL):
        return [count]
    ends = [
        number + 1
        for number in range(before, before + count - 1)
        if style & _ENDS_ALL or (number >= 9 and number % 3 != 1)
    ]
    return [stop - start for start, stop in zip([before, *ends], [*ends, before + count], strict=True)]
