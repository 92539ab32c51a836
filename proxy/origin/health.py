"""The health of an origin: it decides if the origin is asked for frames now, and if a request may be retried.

    well ── FAILURES in a row ──► resting ── REST seconds ──► one request tries it ──► well, or resting again
                                     └── a forwarded request is answered ─────────────► well

While the origin rests, a viewer that needs it gets an error at once, instead of waiting for a timeout. Frames
that are held are still served. While one request tries the origin, all others wait for its outcome, for
`LONGEST_TRY` seconds at most. Forwarded requests count as successes and failures too, and are never delayed.

Retries are limited to a tenth of the requests that succeeded, so that an origin in trouble does not get twice
the load.
"""

import asyncio
from collections.abc import Callable
from time import monotonic

from proxy.errors import OriginBusy, OriginError, OriginRefused, OriginTimeout, OriginUnreachable
from proxy.telemetry.telemetry import Telemetry

FAILURES = 5
"""Failures in a row after which the origin rests."""
REST = 5.0
"""Seconds for which the origin rests."""
LONGEST_TRY = 10.0
"""Seconds for which others wait for a request that tries a resting origin, from its start."""
PAUSE = 1.0
"""Retry-After, in seconds, for a request that did not get the outcome of a try."""
MOST_AGAIN = 10.0
"""Retries that are allowed before any request has succeeded, and the most that can be saved up."""
AGAIN_FOR_EACH = 0.1
"""Retries that each success adds."""


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
        """True if the origin has answered since the start."""

    @property
    def is_resting(self) -> bool:
        """True if the origin has failed so often that it is not asked."""
        return self._failures >= FAILURES

    async def admit(self) -> asyncio.Event | None:
        """Waits until the origin may be asked. If this request tries it, returns the event for `tried`.

        Raises `OriginBusy` while the origin rests, and if the request that tries it fails or takes too long.
        """
        while self.is_resting and self._trying is not None:
            try:
                async with asyncio.timeout(max(0.0, self._tries_until - self._clock())):
                    await self._trying.wait()
            except TimeoutError:
                raise OriginBusy(503, PAUSE) from None
        return self.ask()

    def ask(self) -> asyncio.Event | None:
        """Like `admit`, but does not wait: also raises `OriginBusy` while another request tries it."""
        if not self.is_resting:
            return None
        left = PAUSE if self._trying is not None else self._rests_until - self._clock()
        if left > 0:
            raise OriginBusy(503, left)
        self._tries_until = self._clock() + LONGEST_TRY
        self._trying = asyncio.Event()
        return self._trying

    def tried(self, trying: asyncio.Event) -> None:
        """A request that tried the origin has ended. If it was cancelled, the next request tries."""
        if self._trying is trying:
            self._end_try()

    def well(self) -> None:
        """The origin answered."""
        self._again = min(MOST_AGAIN, self._again + AGAIN_FOR_EACH)
        self._reach()
        self._is_there()

    def note(self, error: OriginError, trying: asyncio.Event | None = None) -> None:
        """A request failed. That counts if the origin is down or in trouble, but not if it limits (429).

        `trying` is the event from `admit`. Only a failure of such a request makes a rest longer. Otherwise
        callers could prolong the rest for ever.
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
        """Counts a retry, and returns True if a failed request may be retried now."""
        if self._again < 1:
            return False
        self._again -= 1
        return True
