"""First fetches that run or are expected, and completions that pause for them.

A first fetch that still waits, or whose origin is silent, does not pause a completion, because the link would
be idle.

A viewer that gets a first picture usually asks for the next frame's at once. A completion that goes out in
between delays it. So for `SOON` seconds the next first fetch counts as if it were on its way.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Protocol

from proxy.fetch.turns import Rank, Turn
from proxy.origin.window import Clock, Window

SILENT = (4, 0.05, 1.0)
"""Round trips without a byte after which a first fetch pauses nothing; least and most, in seconds."""
SOON = 0.03
"""Seconds in which a viewer with a first picture is expected to ask for the next one."""
LATELY = 0.25
"""Seconds after a viewer's first picture in which no experiment delays its next one."""


class FirstFetch(Protocol):
    """A fetch that has gone out and whose first bytes are still to come."""

    rank: Rank
    """The rank of the fetch now."""
    heard_at: float
    """When the request went out, or when the last bytes came, if they have."""
    first_size: int
    """Bytes of the first picture, as expected when the request went out."""


class Firsts:
    """The first fetches that run at one origin."""

    def __init__(self, window: Window, clock: Clock, on_missed: Callable[[], None]) -> None:
        """`on_missed` is called when a fetch that was expected did not come."""
        self._window = window
        self._clock = clock
        self._on_missed = on_missed
        self._running: set[FirstFetch] = set()
        self._ended = asyncio.Event()
        self._soon: deque[tuple[float, int]] = deque()
        """Until when a fetch is expected, and its bytes."""
        self._alarm: asyncio.TimerHandle | None = None
        self._ended_at = -inf

    def begin(self, fetch: FirstFetch) -> None:
        """A first fetch goes out."""
        self._running.add(fetch)
        if self._soon and fetch.rank.turn is Turn.VIEWER_FIRST:
            self._soon.popleft()

    @property
    def soon(self) -> int:
        """Number of fetches that are expected, because their viewers have a first picture."""
        return len(self._soon)

    @property
    def was_lately(self) -> bool:
        """True if a viewer got a first picture within the last `LATELY` seconds."""
        return self._clock() < self._ended_at + LATELY

    def expected(self) -> int:
        """Bytes of all viewers' first fetches that run, and of those that are expected.

        The bytes of a running one count until all of them are in, because another fetch usually follows it.
        """
        running = sum(each.first_size for each in self._running if each.rank.turn is Turn.VIEWER_FIRST)
        return running + sum(size for _, size in self._soon)

    def end(self, fetch: FirstFetch) -> None:
        """The first bytes of a fetch are in, or will not come."""
        if fetch in self._running and fetch.rank.turn is Turn.VIEWER_FIRST:
            self._ended_at = self._clock()
            self._soon.append((self._ended_at + SOON, fetch.first_size))
            self._set_alarm()
        self._running.discard(fetch)
        ended, self._ended = self._ended, asyncio.Event()
        ended.set()

    def _set_alarm(self) -> None:
        if self._alarm is None and self._soon:
            left = self._soon[0][0] - self._clock()
            self._alarm = asyncio.get_running_loop().call_later(left, self._miss)

    def _miss(self) -> None:
        self._alarm = None
        now = self._clock()
        while self._soon and self._soon[0][0] <= now:
            self._soon.popleft()
        self._set_alarm()
        self._on_missed()

    async def until_none_before(self, fetch: FirstFetch) -> None:
        """Waits while first bytes of a higher rank than this fetch's arrive."""
        while (left := self._patience(fetch.rank)) > 0:
            try:
                async with asyncio.timeout(left):
                    await self._ended.wait()
            except TimeoutError:
                continue

    def _patience(self, rank: Rank) -> float:
        """Seconds until all first fetches of a higher rank count as silent, if no more bytes come."""
        times, least, most = SILENT
        silent = min(most, max(least, times * (self._window.round_trip or 0.0)))
        heard = (each.heard_at for each in self._running if each.rank < rank)
        return max(heard, default=-inf) + silent - self._clock()
