"""How an origin fares: whether it is asked at all just now, and whether it may be asked again.

    well ── FAILURES in a row ──► resting ── REST seconds ──► one is let through ──► well, or resting again

While it rests whoever needs it hears so at once, instead of waiting for a timeout; what is held is served.
Asking again is for a few: a tenth of what went well, so that an origin in trouble is not asked twice as much.
"""

from collections.abc import Callable
from time import monotonic

from proxy.errors import OriginBusy, OriginError, OriginTimeout, OriginUnreachable
from proxy.metrics import Metrics

FAILURES = 5
"""Requests in a row that found no origin, or one in trouble, until it rests."""
REST = 5.0
"""Seconds for which it is left alone."""
MOST_AGAIN = 10.0
"""Requests that may be asked again before any went well."""
AGAIN_FOR_EACH = 0.1
"""How many more for each that went well."""


class Health:
    """Of one origin."""

    def __init__(self, origin: str, metrics: Metrics, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._rests_until = 0.0
        self._again = MOST_AGAIN
        self._up = metrics.origin_up.labels(origin)
        self._reached = metrics.origin_reached.labels(origin)  # both are 0 until the origin has answered
        self.was_reached = False
        """Whether it has answered since the start."""

    @property
    def is_resting(self) -> bool:
        """Whether it has failed so often that it is left alone."""
        return self._failures >= FAILURES

    def ask(self) -> None:
        """Somebody wants to ask it. Raises `OriginBusy` while it rests."""
        if not self.is_resting:
            return
        left = self._rests_until - self._clock()
        if left > 0:
            raise OriginBusy(503, left)
        self._rests_until = self._clock() + REST  # this one is let through, and others wait for what it finds

    def well(self) -> None:
        """It answered."""
        self._failures = 0
        self._again = min(MOST_AGAIN, self._again + AGAIN_FOR_EACH)
        self._up.set(1)
        if not self.was_reached:
            self.was_reached = True
            self._reached.set(1)

    def note(self, error: OriginError) -> None:
        """It failed; that counts if it was not there or is in trouble, not if it keeps a limit (429)."""
        is_trouble = isinstance(error, OriginBusy) and error.status in (502, 504)
        if not is_trouble and not isinstance(error, OriginUnreachable | OriginTimeout):
            return
        self._failures += 1
        if self.is_resting:
            self._rests_until = self._clock() + REST
            self._up.set(0)

    def may_ask_again(self) -> bool:
        """Whether one request that failed may be asked again; counts it."""
        if self._again < 1:
            return False
        self._again -= 1
        return True
