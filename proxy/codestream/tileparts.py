"""Reads the headers of tile-parts (T.800 A.4.2, A.7.3)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from proxy.codestream.limits import Budget, NeedMore
from proxy.codestream.markers import COC, COD, PLT, POC, PPT, QCC, QCD, RGN, SOD
from proxy.codestream.segments import MIN_TILE_PART
from proxy.errors import CodestreamError

_SOT = struct.Struct(">HHHIBB")
_NAMES = {COD: "COD", COC: "COC", QCD: "QCD", QCC: "QCC", RGN: "RGN", POC: "POC", PPT: "PPT"}
_MAX_PACKET = 1 << 32  # no tile-part is longer


@dataclass(frozen=True, slots=True)
class Sot:
    """The SOT segment of a tile-part."""

    tile: int
    """The tile's number, 0-based."""
    length: int
    """Psot: bytes from this SOT on; 0 extends to EOC."""
    number: int
    """TPsot: the tile-part's number within its tile, 0-based."""
    of: int
    """TNsot: number of tile-parts in the tile; 0 if not stated."""


@dataclass(frozen=True, slots=True)
class TilePart:
    """A tile-part whose header is complete."""

    sot: Sot
    """Its SOT segment."""
    start: int
    """The offset of the first packet."""
    stop: int | None
    """The offset one past the last packet; None if the tile-part extends to EOC."""
    lengths: tuple[bytes, ...]
    """The bodies of the PLT segments, in order; empty without PLT."""


def read_sot(prefix: bytes, at: int) -> Sot:
    """Reads the SOT at an offset. Raises `NeedMore`, or `CodestreamError` if there is none."""
    if not b"\xff\x90\x00\x0a".startswith(prefix[at : at + 4]):
        raise CodestreamError(f"there is no tile-part at byte {at}")
    if len(prefix) < at + _SOT.size:
        raise NeedMore
    _, _, tile, length, number, of = _SOT.unpack_from(prefix, at)
    if 0 < length < MIN_TILE_PART or (of and number >= of):
        raise CodestreamError(f"the tile-part at byte {at} is impossible")
    return Sot(tile, length, number, of)


def read_tile_part(prefix: bytes, at: int, budget: Budget) -> TilePart:
    """Reads the header of the tile-part at an offset.

    Raises `NeedMore` if the prefix is too short. Raises `CodestreamError` if the header is invalid or changes
    how packets are read.
    """
    sot = read_sot(prefix, at)
    stop = at + sot.length if sot.length else None
    lengths: list[bytes] = []
    at += _SOT.size
    while True:
        budget.spend(1)
        if len(prefix) < at + 2:
            raise NeedMore
        marker = int.from_bytes(prefix[at : at + 2], "big")
        if marker == SOD:
            break
        if marker in _NAMES:
            raise CodestreamError(f"there is {_NAMES[marker]} inside a tile")
        if len(prefix) < at + 4:
            raise NeedMore
        end = at + 2 + int.from_bytes(prefix[at + 2 : at + 4], "big")
        if marker <= 0xFF4F or end < at + 4 or (stop and end > stop):
            raise CodestreamError(f"the tile-part header has an invalid marker at byte {at}")
        if marker == PLT:
            if len(prefix) < end:
                raise NeedMore
            lengths.append(prefix[at + 4 : end])
        at = end
    if stop is not None and at + 2 > stop:
        raise CodestreamError(f"a tile-part is shorter than its header, at byte {at}")
    return TilePart(sot, at + 2, stop, tuple(sorted(lengths, key=lambda body: body[:1])))  # Zplt orders them


def packet_lengths(part: TilePart) -> Iterator[int]:
    """Yields the bytes of each packet in a tile-part, from its PLT (T.800 A.7.3, table A.36)."""
    length = 0
    for body in part.lengths:
        for byte in body[1:]:
            length = length << 7 | byte & 0x7F
            if length > _MAX_PACKET:
                raise CodestreamError("PLT has an impossible length")
            if byte < 0x80:
                yield length
                length = 0
