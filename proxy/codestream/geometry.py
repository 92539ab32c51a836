"""Lists the packets of a tile in order: resolutions, precincts and code-blocks (T.800 B.5 to B.12)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from proxy.codestream.limits import RESOLUTION_WORK, Budget
from proxy.codestream.segments import Area, Coding, Size, Style


@dataclass(frozen=True, slots=True)
class Resolution:
    """One resolution of one component in one tile."""

    component: int
    """0-based."""
    number: int
    """0-based; 0 is the component's smallest."""
    coding: Coding
    """The component's coding parameters."""
    tile: Area
    """The tile, on the picture's grid."""
    sampling: tuple[int, int]
    """Grid columns and rows per sample."""
    area: Area
    """The resolution, in its own samples."""
    precincts: Area
    """The resolution, in precincts."""

    @property
    def wide(self) -> int:
        """Precincts per row."""
        return self.precincts.right - self.precincts.left

    @property
    def high(self) -> int:
        """Precincts per column."""
        return self.precincts.bottom - self.precincts.top

    def columns(self) -> dict[int, int]:
        """Maps a grid column to the precinct column, of `wide`, whose turn comes there (T.800 B.12.1.3)."""
        scale = self.coding.precincts[self.number][0] + self.coding.decompositions - self.number
        first = self.precincts.left
        return {max(self.tile.left, (first + x << scale) * self.sampling[0]): x for x in range(self.wide)}

    def rows(self) -> dict[int, int]:
        """Maps a grid row to the precinct row, of `high`, whose turn comes there (T.800 B.12.1.3)."""
        scale = self.coding.precincts[self.number][1] + self.coding.decompositions - self.number
        first = self.precincts.top
        return {max(self.tile.top, (first + y << scale) * self.sampling[1]): y for y in range(self.high)}

    def grids(self, precinct: int) -> Iterator[tuple[int, int]]:
        """Yields a precinct's code-blocks across and down: LL, or HL, LH, HH (T.800 B.5, B.7 and B.9)."""
        row, column = divmod(precinct, self.wide)
        column, row = column + self.precincts.left, row + self.precincts.top
        halved = 1 if self.number else 0
        across, down = (exponent - halved for exponent in self.coding.precincts[self.number])
        level = self.coding.decompositions - self.number + halved
        samples = self.tile.over(*self.sampling)
        for high_x, high_y in ((1, 0), (0, 1), (1, 1)) if self.number else ((0, 0),):
            half = 1 << level >> 1
            x, y = half * high_x, half * high_y
            shifted = Area(samples.left - x, samples.top - y, samples.right - x, samples.bottom - y)
            band = shifted.over(1 << level, 1 << level)
            yield (
                _blocks(band.left, band.right, column, across, self.coding.block[0]),
                _blocks(band.top, band.bottom, row, down, self.coding.block[1]),
            )


def _blocks(start: int, stop: int, precinct: int, exponent: int, block: int) -> int:
    """Returns how many code-blocks of a band lie in a precinct, along one axis."""
    start, stop = max(start, precinct << exponent), min(stop, precinct + 1 << exponent)
    block = min(block, exponent)
    return -(-stop >> block) - (start >> block) if start < stop else 0


def resolutions_of(size: Size, style: Style, tile: int, budget: Budget) -> list[Resolution]:
    """Returns the resolutions of a tile that have packets, by component, the smallest first."""
    budget.spend(RESOLUTION_WORK * sum(coding.decompositions + 1 for coding in style.codings))
    found = []
    area = size.tile_area(tile)
    for component, (sampling, coding) in enumerate(zip(size.samplings, style.codings, strict=True)):
        samples = area.over(*sampling)
        for number, (across, down) in enumerate(coding.precincts):
            scale = 1 << coding.decompositions - number
            own = samples.over(scale, scale)
            if own.left == own.right or own.top == own.bottom:
                continue
            precincts = Area(
                own.left >> across, own.top >> down, -(-own.right >> across), -(-own.bottom >> down)
            )
            found.append(Resolution(component, number, coding, area, sampling, own, precincts))
    return found


Packet = tuple[Resolution, int, int]
"""Resolution, precinct and layer of a packet; precinct and layer are 0-based."""


def packets_of(style: Style, resolutions: Sequence[Resolution], budget: Budget) -> Iterator[Packet]:
    """Yields the packets of a tile in codestream order (T.800 B.12.1)."""
    layers = range(style.layers)
    by_number = sorted(resolutions, key=lambda each: each.number)
    match style.progression:
        case "LRCP":
            yield from (
                (each, precinct, layer)
                for layer in layers
                for each in by_number
                for precinct in range(each.wide * each.high)
            )
            return
        case "RLCP":
            for _, group in groupby(by_number, key=lambda each: each.number):
                same = list(group)
                yield from (
                    (each, precinct, layer)
                    for layer in layers
                    for each in same
                    for precinct in range(each.wide * each.high)
                )
            return
        case "RPCL":
            groups = [list(group) for _, group in groupby(by_number, key=lambda each: each.number)]
        case "PCRL":
            groups = [list(resolutions)]
        case _:
            groups = [list(group) for _, group in groupby(resolutions, key=lambda each: each.component)]
    for same in groups:
        yield from (
            (each, precinct, layer) for each, precinct in _by_position(same, budget) for layer in layers
        )


def _by_position(places: Sequence[Resolution], budget: Budget) -> Iterator[tuple[Resolution, int]]:
    budget.spend(sum(place.wide + place.high for place in places))
    rows = [(place, place.rows(), place.columns()) for place in places]
    for y in sorted({y for _, below, _ in rows for y in below}):
        budget.spend(len(rows))
        here = [(place, below[y], across) for place, below, across in rows if y in below]
        for x in sorted({x for _, _, across in here for x in across}):
            for place, row, across in here:
                if x in across:
                    yield place, row * place.wide + across[x]
