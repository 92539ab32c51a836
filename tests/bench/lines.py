"""How near the proxy comes to the best fixed number of fetches at once, over lines of every kind.

In virtual time, with the proxy's own gate, fills and store.
"""

import os
from multiprocessing import get_context

from tests.bench.shared import print_row
from tests.simulation.lines import MOST_WORSE, Point, play, points

WIDTHS = (36, 9, 7, 8, 8, 8, 8, 8)
WORST = 16
"""Loads that are shown."""


def run() -> None:
    played = _played()
    missed = sum(point.excess > MOST_WORSE for point in played)
    print(
        f"{len(played)} loads in virtual time, until every frame is seen and until every frame is whole."
        f" The best is\nthe best fixed number of fetches at once, found for each by trying. {missed} take"
        f" more than {MOST_WORSE:g} times as long.\nThe worst, in seconds:\n"
    )
    print_row(("", "", "at once", "seen", "best", "whole", "best", "ratio"), WIDTHS)
    for point in sorted(played, key=lambda point: point.excess, reverse=True)[:WORST]:
        _show(point)


def _show(point: Point) -> None:
    load, times = point.load, (point.proxy.seen, point.seen, point.proxy.final, point.final)
    numbers = [f"{seconds:.3f}" for seconds in times]
    print_row((point.network.name, load.way, str(load.connections), *numbers, f"{point.excess:.2f}"), WIDTHS)


def _played() -> list[Point]:
    with get_context("spawn").Pool(os.cpu_count()) as pool:
        return pool.starmap(play, list(points()), chunksize=4)
