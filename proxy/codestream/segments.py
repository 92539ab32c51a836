"""What single marker segments of the main header say (T.800 annex A.5 to A.7, T.814 A.3)."""

import struct
from dataclasses import dataclass

from proxy.codestream.markers import CAP, COD, SIZ, TLM, MainHeader
from proxy.errors import CodestreamError

ORDERS = ("LRCP", "RLCP", "RPCL", "PCRL", "CPRL")
"""Progression orders by their number (T.800 table A.16)."""

_SIZ = struct.Struct(">H8IH")
_COD = struct.Struct(">BBHB5B")
_MIN_TILE_PART = 14  # SOT and SOD (T.800 A.4.2)


@dataclass(frozen=True, slots=True)
class Size:
    """The picture on its grid, from SIZ."""

    capabilities: int
    """Rsiz; bit 14 says that there is a CAP."""
    left: int
    """First column on the grid."""
    top: int
    """First row on the grid."""
    right: int
    """One past the last column."""
    bottom: int
    """One past the last row."""
    tiles: int
    """How many tiles cover the picture."""
    components: int
    """1 is grey, 3 is colour."""
    bit_depth: int
    """Bits of the first component, sign included."""
    is_signed: bool
    """Whether the first component has a sign."""

    def base(self, decompositions: int) -> tuple[int, int]:
        """Width and height of the smallest resolution (T.800 B.5)."""
        scale = 1 << decompositions
        return (
            -(-self.right // scale) - -(-self.left // scale),
            -(-self.bottom // scale) - -(-self.top // scale),
        )


@dataclass(frozen=True, slots=True)
class Style:
    """How the picture is coded, from COD."""

    progression: str
    """One of `ORDERS`."""
    layers: int
    """Quality layers."""
    decompositions: int
    """Wavelet decompositions."""
    is_reversible: bool
    """Whether the wavelet is the lossless 5/3."""

    @property
    def goes_by_resolution(self) -> bool:
        """Whether all of a resolution comes before any of the next; with one layer LRCP is RLCP."""
        return self.progression in ("RLCP", "RPCL") or (self.progression == "LRCP" and self.layers == 1)


def read_size(main: MainHeader) -> Size:
    """What SIZ says. Raises `CodestreamError` (T.800 A.5.1)."""
    body = main.first(SIZ) or b""
    if len(body) < _SIZ.size:
        raise CodestreamError("SIZ is too short")
    rsiz, right, bottom, left, top, tile_w, tile_h, tile_x, tile_y, components = _SIZ.unpack_from(body)
    if not 1 <= components <= 16384 or len(body) != _SIZ.size + 3 * components:
        raise CodestreamError("SIZ does not have the length of its components")
    depth = (body[_SIZ.size] & 0x7F) + 1
    if depth > 38 or left >= right or top >= bottom:  # T.800 tables A.9 and A.11
        raise CodestreamError("SIZ describes no picture")
    if not (tile_x <= left < tile_x + tile_w and tile_y <= top < tile_y + tile_h):  # T.800 B.3
        raise CodestreamError("SIZ describes no tiles")
    tiles = -(-(right - tile_x) // tile_w) * -(-(bottom - tile_y) // tile_h)
    if tiles > 65535:  # T.800 A.4.2: Isot
        raise CodestreamError("SIZ describes more tiles than can be numbered")
    return Size(rsiz, left, top, right, bottom, tiles, components, depth, bool(body[_SIZ.size] & 0x80))


def read_style(main: MainHeader) -> Style:
    """What COD says. Raises `CodestreamError` (T.800 A.6.1)."""
    body = main.first(COD)
    if body is None or len(body) < _COD.size:
        raise CodestreamError("no COD, or one that is too short")
    _, order, layers, _, decompositions, _, _, _, wavelet = _COD.unpack_from(body)
    if order >= len(ORDERS) or layers == 0 or decompositions > 32 or wavelet > 1:
        raise CodestreamError("COD describes no coding style")
    return Style(ORDERS[order], layers, decompositions, is_reversible=wavelet == 1)


def has_ht_blocks(main: MainHeader) -> bool:
    """Whether CAP announces high-throughput blocks (T.814 A.3: Pcap15)."""
    body = main.first(CAP)
    return body is not None and len(body) >= 4 and bool(body[1] & 0x02)


def read_tile_parts(main: MainHeader) -> tuple[int, ...]:
    """Bytes of each tile-part; empty without TLM. Raises `CodestreamError` (T.800 A.7.1)."""
    lengths: list[int] = []
    for body in sorted(main.every(TLM), key=lambda body: body[:1]):  # Ztlm orders them
        if len(body) < 2 or body[1] & 0x30 == 0x30:
            raise CodestreamError("TLM is damaged")
        skip, width = (body[1] >> 4) & 3, 4 if body[1] & 0x40 else 2  # Ttlm is not needed, Ptlm is
        if (len(body) - 2) % (skip + width):
            raise CodestreamError("TLM is damaged")
        entries = range(2 + skip, len(body), skip + width)
        lengths.extend(int.from_bytes(body[at : at + width], "big") for at in entries)
    if any(length < _MIN_TILE_PART for length in lengths):
        raise CodestreamError("TLM names a tile-part that is shorter than its own header")
    return tuple(lengths)
