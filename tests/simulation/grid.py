"""A grid of loads for which a cold proxy must not be slower than no proxy."""

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
"""Frame sizes of the grid in bytes, and the factor from one to the next."""
MOST_SLOWER, MOST_LATER = 1.05, 0.010
"""Limits for a load through the proxy: this factor times the direct load, plus these seconds."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One load over one line, loaded directly and through a cold proxy."""

    network: Network
    load: Load
    direct: Times
    proxy: Times

    @property
    def excess(self) -> float:
        """How far the proxy is over its limit, as a fraction of the limit. At most 0 if the rule holds."""
        pairs = ((self.proxy.first, self.direct.first), (self.proxy.final, self.direct.final))
        return max(ours / (MOST_SLOWER * theirs + MOST_LATER) for ours, theirs in pairs) - 1


def sizes(step: float = STEP) -> Iterator[int]:
    """Yields frame sizes in bytes, from the smallest to the largest."""
    size = float(SMALLEST)
    while size < LARGEST:
        yield int(size)
        size *= step
    yield LARGEST


def loads(most_bytes: int, step: float = STEP) -> Iterator[tuple[Network, Load]]:
    """All cells of the grid. A series has at most `most_bytes` in total, or one frame."""
    for network, size, connections, way in product(NETWORKS, sizes(step), CONNECTIONS, get_args(Way)):
        yield network, Load(size, max(1, most_bytes // size), connections, way)


def play(network: Network, load: Load) -> Cell:
    """Plays one cell in virtual time."""
    return Cell(network, load, run(directly(load, network)), run(through(load, network, Telemetry())))
