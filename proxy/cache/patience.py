"""How long a replica waits for a server that it shares, and for another replica. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from proxy.cache.tier import Budget

PIECE_WITHIN = 0.25
"""Seconds that a look-up of a piece may take."""
REST_WAITED = 2.0
"""Seconds that a fill waits for the rest that another replica fetches."""
LOOKED_EVERY = (0.002, 0.025)
"""Seconds between two looks for what another replica fetches: at first, and at most."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long calls may take, in seconds."""

    first: float
    """All answers of the server for a look-up of first bytes."""
    wait: float
    """The time that another replica has to bring the first bytes."""
    piece: float = PIECE_WITHIN
    """A look-up of a piece."""
    rest: float = REST_WAITED
    """The time that another replica has to bring the rest."""

    @property
    def budget(self) -> Budget:
        """The time for all of it: the time to wait, and that of the server. A wait in vain is a miss."""
        return Budget(self.first + self.wait, 3 * self.piece + self.rest)


def looks() -> Iterator[float]:
    """Seconds between two looks."""
    pause, most = LOOKED_EVERY
    while True:
        yield pause
        pause = min(2 * pause, most)
