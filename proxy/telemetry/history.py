"""The last hour of responses for frames, minute by minute.

Each minute has the difference of two counts, so the responses themselves cost nothing more. Minutes begin
with those of the clock, so the minutes of several processes fit together.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import time

from proxy.telemetry.deliveries import Counts, Deliveries

MINUTE = 60
"""Seconds."""
MINUTES = 60
"""Minutes that are kept."""


@dataclass(frozen=True, slots=True)
class Past:
    """One minute."""

    at: int
    """Unix time of its start."""
    counts: Counts
    """The responses that ended in it."""


class History:
    """The minutes of one process. A minute without `turn` counts to the one before."""

    def __init__(self, deliveries: Deliveries, clock: Callable[[], float] = time) -> None:
        self._deliveries = deliveries
        self._clock = clock
        self._past: deque[Past] = deque(maxlen=MINUTES - 1)
        self._at = self._minute()
        self._before = deliveries.counts()

    def _minute(self) -> int:
        return int(self._clock()) // MINUTE * MINUTE

    def now(self) -> Past:
        """The minute that has begun, so far."""
        self.turn()
        return Past(self._at, self._deliveries.counts() - self._before)

    def past(self) -> list[Past]:
        """The minutes of the last hour that have ended, oldest first."""
        self.turn()
        return [each for each in self._past if each.at > self._at - MINUTES * MINUTE]

    def turn(self) -> None:
        """Ends the minute if it is over. A clock that was set back ends none until it is past it again."""
        at = self._minute()
        if at <= self._at:
            return
        counts = self._deliveries.counts()
        self._past.append(Past(self._at, counts - self._before))
        self._at, self._before = at, counts

    async def keep(self) -> None:
        """Ends each minute, until it is cancelled."""
        while True:
            await asyncio.sleep(MINUTE - self._clock() % MINUTE)
            self.turn()
