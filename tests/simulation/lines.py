"""Lines of every kind, and what the best fixed number of fetches at once would have reached on each."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from proxy.telemetry.telemetry import Telemetry
from tests.simulation.clock import run
from tests.simulation.line import Network
from tests.simulation.load import Load, Times, Way, directly, through

RATES = (10e6, 30e6, 100e6, 1e9)
"""Bits a second of all connections together."""
TRIPS = (0.001, 0.010, 0.020, 0.040, 0.100, 0.200)
"""Seconds of a round trip."""
EACH = (None, 0.3e6, 2e6, 10e6)
"""Bytes a second of one connection at most."""
CONNECTIONS = (6, 24)
WAYS: tuple[Way, ...] = ("whole", "ranged")
SIZE = 131_072
"""Bytes of a frame."""
NUMBERS = (1, 2, 4, 6, 12, 24)
"""Fetches at once among which the best one is looked for."""
MOST_WORSE = 1.15
"""How many times as long as the best fixed number the proxy may take at most."""


@dataclass(frozen=True, slots=True)
class Point:
    """One load over one line."""

    network: Network
    load: Load
    seen: float
    """Seconds until every frame is seen, with the best fixed number of connections."""
    final: float
    """Seconds until every frame is whole, with the best fixed number for that."""
    proxy: Times

    @property
    def excess(self) -> float:
        """How many times as long as the best the proxy takes, to all first pictures or to the end."""
        return max(self.proxy.seen / self.seen, self.proxy.final / self.final)


def points() -> Iterator[tuple[Network, Load]]:
    """The grid; about three seconds of bytes on each line, and a volume at most."""
    for rate, trip, each in product(RATES, TRIPS, EACH):
        if each and each >= rate / 8:
            continue
        network = Network(
            f"{rate / 1e6:g} Mbit/s, {trip * 1000:g} ms, {each or 0:g} each", rate / 8, trip, each
        )
        for connections, way in product(CONNECTIONS, WAYS):
            frames = max(12, min(174, int(rate / 8 * 3 / SIZE)))
            yield network, Load(SIZE, frames, connections, way)


def play(network: Network, load: Load) -> Point:
    """Plays one load, in virtual time."""
    numbers = [number for number in NUMBERS if number <= load.connections]
    fixed = [run(directly(load.over(number), network)) for number in numbers]
    best = min(times.seen for times in fixed), min(times.final for times in fixed)
    return Point(network, load, *best, run(through(load, network, Telemetry())))
