"""How an origin fares: whether it is asked for frames just now, and whether it may be asked again.

    well ── FAILURES in a row ──► resting ── REST seconds ──► one request tries it ──► well, or resting again
                                     └── anything handed through is answered ─────────► well

While the origin rests, a viewer that needs it hears so at once, instead of waiting for a timeout; what is
held is served. While one request tries it, all others wait for the outcome, `LONGEST_TRY` at most. Forwarded
requests count as well, and are never held back.
Asking again is for a few: a tenth of what went well, so that an origin in trouble is not asked twice as much.
"""

import asyncio
from collections.abc import Callable
from time import monotonic

from proxy.errors import OriginBusy, OriginError, OriginRefused, OriginTimeout, OriginUnreachable
from proxy.telemetry.telemetry import Telemetry

FAILURES = 5
"""Requests in a row that found no origin, or one in trouble, until it rests."""
REST = 5.0
"""Seconds for which it is left alone."""
LONGEST_TRY = 10.0
"""Seconds from the start of a request that tries a resting origin, for which others wait for its outcome."""
PAUSE = 1.0
"""Seconds after which whoever did not wait for that outcome may come again."""
MOST_AGAIN = 10.0
"""Requests that may be asked again before any went well."""
AGAIN_FOR_EACH = 0.1
"""How many more for each that went well."""


class Health:
    """The health of one origin."""

    def __init__(self, origin: str, telemetry: Telemetry, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._rests_until = 0.0
        self._trying: asyncio.Event | None = None
        self._tries_until = 0.0
        self._again = MOST_AGAIN
        # Both are 0 until the origin has answered.
        self._up = telemetry.metrics.origin_up.labels(origin)
        self._reached = telemetry.metrics.origin_reached.labels(origin)
        self.was_reached = False
        """True if it has answered since the start."""

    @property
    def is_resting(self) -> bool:
        """True if it has failed so often that it is left alone."""
        return self._failures >= FAILURES

    async def admit(self) -> asyncio.Event | None:
        """Returns once it may be asked; if this request tries it, with what is to be given to `tried`.

        Raises `OriginBusy` while it rests, and if the request that tries it finds nobody or takes too long.
        """
        while self.is_resting and self._trying is not None:
            try:
                async with asyncio.timeout(max(0.0, self._tries_until - self._clock())):
                    await self._trying.wait()
            except TimeoutError:
                raise OriginBusy(503, PAUSE) from None
        return self.ask()

    def ask(self) -> asyncio.Event | None:
        """The same without waiting: while one request tries it, this raises `OriginBusy` too."""
        if not self.is_resting:
            return None
        left = PAUSE if self._trying is not None else self._rests_until - self._clock()
        if left > 0:
            raise OriginBusy(503, left)
        self._tries_until = self._clock() + LONGEST_TRY
        self._trying = asyncio.Event()
        return self._trying

    def tried(self, trying: asyncio.Event) -> None:
        """A request that tried it is over; if it has no outcome, as it was cancelled, the next one tries."""
        if self._trying is trying:
            self._end_try()

    def well(self) -> None:
        """It answered."""
        self._again = min(MOST_AGAIN, self._again + AGAIN_FOR_EACH)
        self._reach()
        self._is_there()

    def note(self, error: OriginError, trying: asyncio.Event | None = None) -> None:
        """It failed; that counts if it was not there or is in trouble, not if it keeps a limit (429).

        `trying` is what `admit` gave: only such a failure makes a rest longer, or callers could keep it up.
        """
        is_trouble = isinstance(error, OriginBusy) and error.status in (502, 504)
        if not is_trouble and not isinstance(error, OriginUnreachable | OriginTimeout):
            if isinstance(error, OriginRefused):
                self._reach()
            self._is_there()
            return
        self._failures += 1
        if self._failures == FAILURES or (trying is not None and trying is self._trying):
            self._rests_until = self._clock() + REST
            self._up.set(0)
            self._end_try()

    def _reach(self) -> None:
        if not self.was_reached:
            self.was_reached = True
            self._reached.set(1)

    def _is_there(self) -> None:
        self._failures = 0
        self._up.set(int(self.was_reached))
        self._end_try()

    def _end_try(self) -> None:
        if self._trying is not None:
            self._trying.set()
            self._trying = None

    def may_ask_again(self) -> bool:
        """True if one request that failed may be asked again; counts it."""
        if self._again < 1:
            return False
        self._again -= 1
        return True
