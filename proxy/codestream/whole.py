"""Tells from its markers whether a codestream is complete; a decoder can't tell.

Tile-parts contain their lengths, so a chain leads from the main header to EOC. If the codestream was
truncated inside a tile-part, the chain breaks. If it was truncated at its end, EOC is missing. If somebody
wrote an EOC after the cut, TLM, TNsot or the number of tiles does not match (T.800 A.4).
"""

from collections import Counter

from proxy.codestream.header import Header, read_header
from proxy.codestream.limits import NeedMore
from proxy.codestream.markers import EOC
from proxy.codestream.tileparts import read_sot
from proxy.errors import CodestreamError

MAX_TILE_PARTS = 32768
"""Tile-parts that are followed, at most."""

_EOC = EOC.to_bytes(2, "big")


def is_whole(codestream: bytes) -> bool:
    """True if the codestream is complete up to EOC, with at most one byte of 00 after it (PS3.5 A.4)."""
    return not fault_of(codestream)


def fault_of(codestream: bytes) -> str:
    """Explains why a codestream is not complete; empty if it is. Packets are not read."""
    try:
        header = read_header(codestream)
        if header is None:
            return "it ends in its main header"
        return _fault_of_chain(codestream, header)
    except NeedMore:
        return "it ends in the header of a tile-part"
    except CodestreamError as error:
        return str(error)


def _fault_of_chain(codestream: bytes, header: Header) -> str:
    stop = len(codestream) - len(_EOC) - codestream.endswith(_EOC + b"\0")
    if not codestream.startswith(_EOC, stop):
        return "it does not end with EOC"
    at, lengths = header.length, list[int]()
    counts, expected = Counter[int](), dict[int, int]()
    while at < stop and len(lengths) < MAX_TILE_PARTS:
        sot = read_sot(codestream, at)
        if sot.number != counts[sot.tile]:
            return f"a tile-part is missing before byte {at}"
        counts[sot.tile] += 1
        expected[sot.tile] = max(sot.of, expected.get(sot.tile, 1))
        lengths.append(sot.length or stop - at)
        at += lengths[-1]
    if at != stop:
        return "its tile-parts do not end at EOC"
    if len(counts) != header.tiles or any(counts[tile] < count for tile, count in expected.items()):
        return "it lacks tile-parts"
    if header.tile_parts and tuple(lengths) != header.tile_parts:
        return "its tile-parts do not match TLM"
    return ""
