"""Reads single marker segments of the main header (T.800 annex A.5 to A.7, T.814 A.3)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from proxy.codestream.markers import CAP, COC, COD, SIZ, TLM, MainHeader
from proxy.errors import CodestreamError

ORDERS = ("LRCP", "RLCP", "RPCL", "PCRL", "CPRL")
"""Progression orders by their number (T.800 table A.16)."""
MIN_TILE_PART = 14
"""Bytes of SOT and SOD (T.800 A.4.2)."""

_SIZ = struct.Struct(">H8IH")
_COD = struct.Struct(">BBHB")


@dataclass(frozen=True, slots=True)
class Area:
    """A half-open rectangle on a grid."""

    left: int
    """First column."""
    top: int
    """First row."""
    right: int
    """One past the last column."""
    bottom: int
    """One past the last row."""

    def over(self, across: int, down: int) -> "Area":
        """Returns the rectangle on a grid that is coarser by these factors (T.800 B.2 and B.5).

        >>> Area(0, 0, 301, 200).over(4, 4)
        Area(left=0, top=0, right=76, bottom=50)
        """
        return Area(
            -(-self.left // across), -(-self.top // down), -(-self.right // across), -(-self.bottom // down)
        )


@dataclass(frozen=True, slots=True)
class Size:
    """The picture and its tiles on the grid, from SIZ."""

    capabilities: int
    """Rsiz; bit 14 announces CAP."""
    area: Area
    """The picture."""
    tile: Area
    """The first tile, before it is clipped to the picture."""
    samplings: tuple[tuple[int, int], ...]
    """For each component: grid columns and rows per sample."""
    bit_depth: int
    """Bits of the first component, sign included."""
    is_signed: bool
    """True if the first component is signed."""

    @property
    def components(self) -> int:
        """1 is grey, 3 is colour."""
        return len(self.samplings)

    @property
    def tiles(self) -> int:
        """Number of tiles that cover the picture."""
        return self._across * -(-(self.area.bottom - self.tile.top) // (self.tile.bottom - self.tile.top))

    @property
    def _across(self) -> int:
        return -(-(self.area.right - self.tile.left) // (self.tile.right - self.tile.left))

    def reduced(self, reduce: int) -> tuple[int, int]:
        """Returns width and height at 1/2^`reduce`, in pixels (T.800 B.5)."""
        area = self.area.over(1 << reduce, 1 << reduce)
        return area.right - area.left, area.bottom - area.top

    def tile_area(self, number: int) -> Area:
        """Returns the part of the picture that a tile covers; `number` is 0-based (T.800 B.3)."""
        row, column = divmod(number, self._across)
        x, y = (self.tile.right - self.tile.left) * column, (self.tile.bottom - self.tile.top) * row
        return Area(
            max(self.tile.left + x, self.area.left),
            max(self.tile.top + y, self.area.top),
            min(self.tile.right + x, self.area.right),
            min(self.tile.bottom + y, self.area.bottom),
        )


@dataclass(frozen=True, slots=True)
class Coding:
    """The coding parameters of one component, from COD or its own COC (T.800 table A.15)."""

    decompositions: int
    """Wavelet decompositions; there is one more resolution than that."""
    block: tuple[int, int]
    """Width and height of code-blocks, as exponents of 2."""
    block_style: int
    """Flags of the block coder (T.800 table A.19, T.814 A.4)."""
    is_reversible: bool
    """True if the wavelet is the lossless 5/3."""
    precincts: tuple[tuple[int, int], ...]
    """For each resolution: width and height of precincts, as exponents of 2."""


@dataclass(frozen=True, slots=True)
class Style:
    """The coding style of the picture, from COD."""

    progression: str
    """One of `ORDERS`."""
    layers: int
    """Number of quality layers."""
    has_sop: bool
    """True if a packet may start with SOP."""
    has_eph: bool
    """True if packet headers end with EPH."""
    codings: tuple[Coding, ...]
    """One for each component."""

    @property
    def decompositions(self) -> int:
        """Wavelet decompositions that every component has; the picture can be halved this often."""
        return min(coding.decompositions for coding in self.codings)

    @property
    def goes_by_resolution(self) -> bool:
        """True if each resolution is complete before the next begins; with one layer LRCP equals RLCP."""
        return self.progression in ("RLCP", "RPCL") or (self.progression == "LRCP" and self.layers == 1)


def read_size(main: MainHeader) -> Size:
    """Reads SIZ (T.800 A.5.1). Raises `CodestreamError` if it is invalid."""
    body = main.first(SIZ) or b""
    if len(body) < _SIZ.size:
        raise CodestreamError("SIZ is too short")
    rsiz, right, bottom, left, top, tile_w, tile_h, tile_x, tile_y, components = _SIZ.unpack_from(body)
    if not 1 <= components <= 16384 or len(body) != _SIZ.size + 3 * components:
        raise CodestreamError("the length of SIZ does not match its components")
    depth = (body[_SIZ.size] & 0x7F) + 1
    samplings = tuple(zip(body[_SIZ.size + 1 :: 3], body[_SIZ.size + 2 :: 3], strict=True))
    if depth > 38 or left >= right or top >= bottom or any(0 in each for each in samplings):
        raise CodestreamError("SIZ does not describe a valid picture")  # T.800 tables A.9 and A.11
    if not (tile_x <= left < tile_x + tile_w and tile_y <= top < tile_y + tile_h):  # T.800 B.3
        raise CodestreamError("SIZ does not describe valid tiles")
    tile = Area(tile_x, tile_y, tile_x + tile_w, tile_y + tile_h)
    is_signed = bool(body[_SIZ.size] & 0x80)
    size = Size(rsiz, Area(left, top, right, bottom), tile, samplings, depth, is_signed)
    if size.tiles > 65535:  # T.800 A.4.2: Isot
        raise CodestreamError("SIZ describes more than 65535 tiles")
    return size


def read_style(main: MainHeader, components: int) -> Style:
    """Reads COD, and COC of components (T.800 A.6.1, A.6.2). Raises `CodestreamError` if invalid."""
    body = main.first(COD)
    if body is None or len(body) < _COD.size:
        raise CodestreamError("COD is missing or too short")
    flags, order, layers, _ = _COD.unpack_from(body)
    if order >= len(ORDERS) or layers == 0:
        raise CodestreamError("COD does not describe a valid coding style")
    own = dict(_own_codings(main, components))
    coding = _read_coding(body[_COD.size :], bool(flags & 1))
    codings = tuple(own.get(component, coding) for component in range(components))
    return Style(ORDERS[order], layers, bool(flags & 2), bool(flags & 4), codings)


def _own_codings(main: MainHeader, components: int) -> Iterator[tuple[int, Coding]]:
    width = component_width(components)
    for body in main.every(COC):
        if len(body) < width + 1:
            raise CodestreamError("COC is too short")
        has_precincts = bool(body[width] & 1)
        yield int.from_bytes(body[:width], "big"), _read_coding(body[width + 1 :], has_precincts)


def component_width(components: int) -> int:
    """Returns the bytes of a component's number in COC, QCC and RGN (T.800 A.6.2)."""
    return 1 if components < 257 else 2


def _read_coding(body: bytes, has_precincts: bool) -> Coding:
    if len(body) < 5 or body[0] > 32 or body[4] > 1:
        raise CodestreamError("COD or COC does not describe a valid coding style")
    decompositions, block = body[0], ((body[1] & 15) + 2, (body[2] & 15) + 2)
    if max(block) > 10 or sum(block) > 12:  # T.800 table A.18
        raise CodestreamError("COD or COC does not describe valid code-blocks")
    sizes = body[5 : 6 + decompositions] if has_precincts else b"\xff" * (decompositions + 1)
    precincts = tuple((each & 15, each >> 4) for each in sizes)
    if len(precincts) <= decompositions or any(0 in each for each in precincts[1:]):  # T.800 table A.21
        raise CodestreamError("COD or COC does not describe valid precincts")
    return Coding(decompositions, block, body[3], body[4] == 1, precincts)


def has_ht_blocks(main: MainHeader) -> bool:
    """True if CAP announces high-throughput blocks (T.814 A.3: Pcap15)."""
    body = main.first(CAP)
    return body is not None and len(body) >= 4 and bool(body[1] & 0x02)


def read_tile_parts(main: MainHeader) -> tuple[int, ...]:
    """Returns the bytes of each tile-part; empty without TLM (T.800 A.7.1). Raises `CodestreamError`."""
    lengths: list[int] = []
    for body in sorted(main.every(TLM), key=lambda body: body[:1]):  # Ztlm orders them
        if len(body) < 2 or body[1] & 0x30 == 0x30:
            raise CodestreamError("TLM is damaged")
        skip, width = (body[1] >> 4) & 3, 4 if body[1] & 0x40 else 2  # skip Ttlm, read Ptlm
        if (len(body) - 2) % (skip + width):
            raise CodestreamError("TLM is damaged")
        entries = range(2 + skip, len(body), skip + width)
        lengths.extend(int.from_bytes(body[at : at + width], "big") for at in entries)
    if any(length < MIN_TILE_PART for length in lengths):
        raise CodestreamError("TLM lists a tile-part that is shorter than its own header")
    return tuple(lengths)
