"""Walks a prefix from packet to packet and records where each resolution ends.

A resolution of the picture ends when no tile has further packets of that resolution or a smaller one. A
packet's header contains its length, so an end can be known before its bytes arrive.
"""

from collections import Counter

from proxy.codestream.bits import Bits
from proxy.codestream.geometry import Packet, Resolution, packets_of, resolutions_of
from proxy.codestream.limits import PACKET_WORK, Budget, NeedMore
from proxy.codestream.markers import EOC_LENGTH, EPH, SOP
from proxy.codestream.packets import Blocks, read_packet
from proxy.codestream.segments import Size, Style
from proxy.codestream.tileparts import TilePart, packet_lengths, read_tile_part
from proxy.errors import CodestreamError

_SOP_LENGTH, _EPH_LENGTH = 6, 2
_ENDLESS = 1 << 62  # stop of a tile-part that extends to EOC


class Tile:
    """The packets that one tile has left."""

    __slots__ = ("packets", "precincts", "remaining")

    def __init__(self, size: Size, style: Style, number: int, budget: Budget) -> None:
        resolutions = resolutions_of(size, style, number, budget)
        self.packets = packets_of(style, resolutions, budget)
        """The packets not walked yet, in order."""
        self.remaining = Counter[int]()
        """The number of packets left, by resolution of the picture."""
        for each in resolutions:
            self.remaining[_in_picture(style, each)] += each.wide * each.high * style.layers
        self.precincts: dict[tuple[int, int, int], list[Blocks]] = {}
        """Code-blocks by component, resolution and precinct; kept only if there are several layers."""


def _in_picture(style: Style, resolution: Resolution) -> int:
    # Components may have different numbers of resolutions. Halving the picture halves all of them.
    return max(0, resolution.number - resolution.coding.decompositions + style.decompositions)


class Walk:
    """One walk; it holds the results afterwards."""

    def __init__(self, prefix: bytes, size: Size, style: Style, start: int) -> None:
        self.ends: list[int | None] = [None] * (style.decompositions + 1)
        """For each resolution, smallest first: the offset of its end; None if unknown."""
        self.total: int | None = None
        """Bytes of the codestream; None if its tile-parts do not tell."""
        self.has_lengths = False
        """True if the first tile-part has packet lengths that can be used."""
        self._prefix, self._size, self._style, self._at = prefix, size, style, start
        self._budget = Budget()
        self._tiles: dict[int, Tile] = {}
        self._lacking = [size.tiles] * len(self.ends)  # by resolution: tiles that have packets left
        self._last = [start] * len(self.ends)  # by resolution: the end of its last packet so far
        self._ended_tiles = 0

    def run(self) -> str:
        """Walks as far as the prefix goes. Returns why more bytes would not help; empty if they would."""
        try:
            while None in self.ends:
                self._walk_tile_part(read_tile_part(self._prefix, self._at, self._budget))
        except NeedMore:
            return ""
        except CodestreamError as error:
            return str(error)
        return ""

    def _walk_tile_part(self, part: TilePart) -> None:
        # Some tile-parts may have lengths and others not. A later layer's header needs the earlier ones read.
        lengths = packet_lengths(part) if part.lengths and self._style.layers == 1 else None
        if not self._tiles:
            self.has_lengths = lengths is not None
        tile = self._enter(part)
        self._at, stop = part.start, part.stop or _ENDLESS
        while self._at < stop and None in self.ends:
            packet = next(tile.packets, None)
            if packet is None:
                break
            self._budget.spend(PACKET_WORK)
            self._at += self._read(tile, packet, stop) if lengths is None else next(lengths, _ENDLESS)
            if self._at > stop:
                raise CodestreamError("a packet extends past its tile-part")
            self._count(tile, _in_picture(self._style, packet[0]))
        if stop == _ENDLESS:
            raise CodestreamError("the last tile-part ends before the packets do")
        self._at = stop

    def _enter(self, part: TilePart) -> Tile:
        sot = part.sot
        if sot.tile >= self._size.tiles:
            raise CodestreamError(f"a tile-part belongs to tile {sot.tile}, which does not exist")
        if part.stop is not None and sot.number + 1 == sot.of:
            self._ended_tiles += 1
            if self._ended_tiles == self._size.tiles:
                self.total = part.stop + EOC_LENGTH
        if sot.tile not in self._tiles:
            tile = self._tiles[sot.tile] = Tile(self._size, self._style, sot.tile, self._budget)
            for resolution in range(len(self.ends)):
                self._lacking[resolution] -= not tile.remaining[resolution]
        return self._tiles[sot.tile]

    def _read(self, tile: Tile, packet: Packet, stop: int) -> int:
        """Reads the header of the packet that starts here and returns the bytes of the whole packet."""
        start = self._at
        resolution, precinct, layer = packet
        if self._style.has_sop:  # T.800 A.8.1: optional for each packet
            if len(self._prefix) < start + 2:
                raise NeedMore
            if self._prefix.startswith(SOP.to_bytes(2, "big"), start):
                start += _SOP_LENGTH
        bits = Bits(self._prefix, start, stop)
        bands = self._bands(tile, resolution, precinct)
        length = read_packet(bits, bands, layer, resolution.coding.block_style)
        if self._style.has_eph:  # T.800 A.8.2
            if len(self._prefix) < bits.at + _EPH_LENGTH:
                raise NeedMore
            if self._prefix.startswith(EPH.to_bytes(2, "big"), bits.at):
                bits.at += _EPH_LENGTH
        return bits.at + length - self._at

    def _bands(self, tile: Tile, resolution: Resolution, precinct: int) -> list[Blocks]:
        key = resolution.component, resolution.number, precinct
        bands = tile.precincts.get(key)
        if bands is None:
            grids = list(resolution.grids(precinct))
            self._budget.spend(sum(wide * high for wide, high in grids))
            bands = [Blocks(wide, high) for wide, high in grids if wide and high]
            if self._style.layers > 1:
                tile.precincts[key] = bands
        else:
            self._budget.spend(sum(len(band.passes) for band in bands))
        return bands

    def _count(self, tile: Tile, resolution: int) -> None:
        """Counts one more packet of a resolution, which ends here."""
        self._last[resolution] = self._at  # later packets end later, unless a tile-part is out of order
        tile.remaining[resolution] -= 1
        if tile.remaining[resolution]:
            return
        self._lacking[resolution] -= 1
        for smaller, lacking in enumerate(self._lacking):
            if lacking:
                break
            if self.ends[smaller] is None:
                self.ends[smaller] = max(self._last[: smaller + 1])
