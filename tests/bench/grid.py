"""Cold loads through the proxy compared with direct ones, over a grid of frame sizes, ways and lines.

The grid also varies the number of connections. It runs in virtual time with the proxy's own gate, fills and
store. A few of its cells run over real sockets as a check.
"""

import os
from multiprocessing import get_context

from tests.bench.cells import WIDTHS, show
from tests.bench.shared import print_row
from tests.simulation.grid import MOST_LATER, MOST_SLOWER, Cell, loads, play

MOST_BYTES = 16_000_000
"""Most bytes of a cell."""
WORST = 12
"""Number of cells that are shown, worst first."""


def run() -> None:
    cells = _played()
    missed = sum(cell.excess > 0 for cell in cells)
    print(
        f"{len(cells)} loads of at most {MOST_BYTES / 1e6:g} MB, in virtual time. The first picture and all"
        f" pictures\nmay take at most {MOST_SLOWER:g} × plus {MOST_LATER * 1e3:g} ms of the direct time."
        f"\n{missed} loads exceed this. The worst loads, in seconds:\n"
    )
    print_row(("", "first", "direct", "final", "direct", "of rule"), WIDTHS)
    for cell in sorted(cells, key=lambda cell: cell.excess, reverse=True)[:WORST]:
        show(cell)


def _played() -> list[Cell]:
    with get_context("spawn").Pool(os.cpu_count()) as pool:
        return pool.starmap(play, list(loads(MOST_BYTES)), chunksize=8)
