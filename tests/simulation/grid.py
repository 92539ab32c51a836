"""The grid of loads on which a cold proxy may never be slower than none."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import get_args

from proxy.telemetry.telemetry import Telemetry
from tests.simulation.clock import run
from tests.simulation.line import Network
from tests.simulation.load import Load, Times, Way, directly, through

NETWORKS = (
    Network("4g", 30e6 / 8, 0.010),
    Network("100 Mbit/s, 40 ms", 100e6 / 8, 0.040),
    Network("1 Gbit/s, 1 ms", 1e9 / 8, 0.001),
)
CONNECTIONS = (1, 6, 24)
SMALLEST, STEP, LARGEST = 8192, 1.25, 12_000_000
"""Bytes of frames."""
MOST_SLOWER, MOST_LATER = 1.05, 0.010
"""How many times as long as directly, and how many seconds longer on top, a load may take at most."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One load over one line, directly and through a cold proxy."""

    network: Network
    load: Load
    direct: Times
    proxy: Times

    @property
    def excess(self) -> float:
        """By how much the proxy misses the rule, as a part of the time it may take; at most 0 is right."""
        pairs = ((self.proxy.first, self.direct.first), (self.proxy.final, self.direct.final))
        return max(ours / (MOST_SLOWER * theirs + MOST_LATER) for ours, theirs in pairs) - 1


def sizes(step: float = STEP) -> Iterator[int]:
    """Bytes of a frame, from the smallest to the largest."""
    size = float(SMALLEST)
    while size < LARGEST:
        yield int(size)
        size *= step
    yield LARGEST


def loads(most_bytes: int, step: float = STEP) -> Iterator[tuple[Network, Load]]:
    """All of the grid, with so many bytes a cell at most, or one frame."""
    for network, size, connections, way in product(NETWORKS, sizes(step), CONNECTIONS, get_args(Way)):
        yield network, Load(size, max(1, most_bytes // size), connections, way)


def play(network: Network, load: Load) -> Cell:
    """Plays one cell, in virtual time."""
    return Cell(network, load, run(directly(load, network)), run(through(load, network, Telemetry())))
