"""The pauses before a fetch is retried because the origin was busy, or failed.

If the response to a viewer has not begun, the viewer can be told that the origin is busy. So the proxy makes
only a few retries, after short pauses. If the response has begun, an error could only cut it. So the proxy
waits as long as the origin says, up to `stall` seconds in which no bytes come.

A plan waits by itself.

After another 5xx, the proxy retries only once, and only if the response has begun, or if it will begin at any
moment with the bytes that are in.
"""

from asyncio import sleep
from collections.abc import Callable
from random import uniform
from time import monotonic

from proxy.errors import OriginBusy, OriginFailed
from proxy.fetch.fill import Fill

AGAIN = 2
"""Retries of a fetch for viewers whose responses have not begun."""
LONGEST_PAUSE = 0.5
"""Longest Retry-After, in seconds, that the proxy waits for them; for longer ones it sends the error."""
BACKOFF = 0.05
"""Seconds before the first retry, give or take half; four times as long before each next one."""
LONGEST_BACKOFF = 4.0
"""Longest pause, in seconds, if the origin names none."""


class Pauses:
    """The pauses of one response that has begun.

    Each is as long as the busy origin says. All have to end within `stall` seconds.
    """

    def __init__(self, stall: float) -> None:
        self.taken = 0
        """Number of pauses so far."""
        self._until = monotonic() + stall

    def next(self, error: OriginBusy) -> float:
        """Seconds of the next pause."""
        backoff = min(BACKOFF * 4 ** min(self.taken, 8), LONGEST_BACKOFF) * uniform(0.5, 1.5)  # noqa: S311
        pause: float = max(error.retry_after or 0.0, backoff)
        return pause

    def has_time(self, pause: float) -> bool:
        """True if a pause ends in time."""
        return monotonic() + pause <= self._until

    async def wait(self, error: OriginBusy) -> None:
        """Waits until the next try is due. Raises the error if there is to be none."""
        pause = self.next(error)
        if not self.has_time(pause):
            raise error.anew()
        self.taken += 1
        await sleep(pause)


class Patience:
    """Counts the retries of one fetch."""

    def __init__(self, fill: Fill, count: Callable[[], None], close: Callable[[Fill], None]) -> None:
        """`count` is called for each retry, and `close` if there is to be none."""
        self._fill = fill
        self._count = count
        self._close = close
        self._has_failed = False
        self._begin()

    def _begin(self) -> None:
        self._size = self._fill.size
        self._pauses = Pauses(self._fill.order.source.stall)

    async def wait(self, error: OriginBusy | OriginFailed, start: int) -> None:
        """Waits until the next try of a span is due. Raises the error if there is to be none."""
        await self._fill.reached(start)
        await sleep(0)  # responses that these bytes begin have begun
        pause = self._pause(error)
        if pause is None:
            self._close(self._fill)
            raise error.anew()  # this frame holds `error`
        self._count()
        await sleep(pause)

    def _pause(self, error: OriginBusy | OriginFailed) -> float | None:
        if isinstance(error, OriginFailed):
            return self._pause_once(error)
        if self._fill.size > self._size:
            self._begin()
        pause, wanted = self._pauses.next(error), error.retry_after or 0.0
        if not (self._pauses.has_time(pause) if self._is_begun else self._may_retry(wanted)):
            return None
        self._pauses.taken += 1
        return pause

    def _pause_once(self, error: OriginFailed) -> float | None:
        begins = self._fill.identity is not None and self._fill.demand.readers > 0
        if self._has_failed or error.refused is not None or not (begins or self._is_begun):
            return None
        self._has_failed = True
        return BACKOFF

    @property
    def _is_begun(self) -> bool:
        """True if the response to a viewer has begun, and needs more bytes."""
        return self._fill.demand.is_sent_beyond(self._fill.size)

    def _may_retry(self, wanted: float) -> bool:
        is_short = self._pauses.taken < AGAIN and wanted <= LONGEST_PAUSE
        is_planned = self._fill.demand.planned is not None
        return is_short and not is_planned and self._fill.order.source.supplier.may_ask_again()
