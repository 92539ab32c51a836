"""Writes main headers and tile-part headers (T.800 annex A)."""

import struct
from collections.abc import Iterable, Iterator, Sequence

from proxy.codestream import markers
from proxy.codestream.markers import COD, PLM, SOC, SOD, SOT, TLM, MainHeader, Segment
from proxy.codestream.segments import ORDERS, Size, component_width
from proxy.errors import CodestreamError

_SOT_LENGTH = 14  # with SOD
_POSITIONS = struct.Struct(">8I")  # of the picture and the first tile in SIZ (T.800 A.5.1)


def write_main_header(segments: Iterable[Segment], packets: Sequence[int]) -> bytes:
    """Writes SOC, the segments, and TLM. `packets` has the bytes of packets in each tile-part.

    Raises `CodestreamError` if a tile-part is too long for TLM.
    """
    lengths = [_SOT_LENGTH + each for each in packets]
    if max(lengths) >= 1 << 32:
        raise CodestreamError("a tile-part is too long for TLM")
    entries = b"".join(struct.pack(">HI", 0, length) for length in lengths)
    tlm = Segment(TLM, b"\x00\x60" + entries)  # the only TLM; Ttlm of 2 bytes, Ptlm of 4 (T.800 A.7.1)
    written = (struct.pack(">HH", each.marker, 2 + len(each.body)) + each.body for each in (*segments, tlm))
    return SOC.to_bytes(2, "big") + b"".join(written)


def write_sot(packets: int, number: int, of: int) -> bytes:
    """Writes SOT and SOD of a tile-part of the only tile, with `packets` bytes of packets (T.800 A.4.2)."""
    return struct.pack(">HHHIBBH", SOT, 10, 0, _SOT_LENGTH + packets, number, of, SOD)


def in_order(main: MainHeader, progression: str) -> Iterator[Segment]:
    """Yields a main header's segments with this progression, without lengths of tile-parts and packets."""
    for segment in main.segments:
        if segment.marker == COD:
            order = ORDERS.index(progression)
            yield Segment(COD, segment.body[:1] + bytes((order,)) + segment.body[2:])
        elif segment.marker not in (TLM, PLM):
            yield segment


def reduced(segment: Segment, size: Size, resolution: int, reduce: int) -> Segment:
    """Rewrites a main header segment for the picture at 1/2^`reduce`; `resolution` becomes the finest.

    Raises `CodestreamError` if the segment lacks a value that is needed.
    """
    body, number = segment.body, component_width(size.components)
    match segment.marker:
        case markers.SIZ:
            area = size.area.over(1 << reduce, 1 << reduce)
            body = (
                body[:2]
                + _POSITIONS.pack(
                    *(area.right, area.bottom, area.left, area.top), *(area.right, area.bottom, 0, 0)
                )
                + body[2 + _POSITIONS.size :]
            )
        case markers.COD:
            body = body[:5] + _coding(body[5:], resolution)
        case markers.COC:
            body = body[: number + 1] + _coding(body[number + 1 :], resolution)
        case markers.QCD:
            body = _quantization(body, resolution)
        case markers.QCC:
            body = body[:number] + _quantization(body[number:], resolution)
    return Segment(segment.marker, body)


def _coding(body: bytes, resolution: int) -> bytes:
    """Rewrites decompositions and the fields after them in COD and COC (T.800 table A.15)."""
    decompositions = min(body[0], resolution)
    return bytes((decompositions,)) + body[1 : 6 + decompositions]


def _quantization(body: bytes, resolution: int) -> bytes:
    """Truncates the bands of QCD and QCC: one, then three for each resolution (T.800 A.6.4)."""
    bands = 1 + 3 * resolution
    length = 1 + {0: bands, 1: 2, 2: 2 * bands}.get(body[0] & 0x1F if body else 3, 1 << 16)
    if len(body) < length:
        raise CodestreamError("QCD or QCC does not cover every band")
    return body[:length]
