"""First fetches that run, and completions that are not read on meanwhile.

A first fetch that waits, or whose origin is silent, holds back nothing: then nothing would use the line.
"""

import asyncio
from math import inf
from typing import Protocol

from proxy.fetch.turns import Rank
from proxy.origin.window import Clock, Window

SILENT = (4, 0.05, 1.0)
"""Round trips without a byte after which a first fetch holds back nothing; seconds at least and at most."""


class FirstFetch(Protocol):
    """A fetch that went out and whose first bytes are still to come."""

    rank: Rank
    """Its place now."""
    heard_at: float
    """When it was asked, or its last byte came."""


class Firsts:
    """The first fetches that run at one origin."""

    def __init__(self, window: Window, clock: Clock) -> None:
        self._window = window
        self._clock = clock
        self._running: set[FirstFetch] = set()
        self._ended = asyncio.Event()

    def begin(self, fetch: FirstFetch) -> None:
        """One goes out."""
        self._running.add(fetch)

    def end(self, fetch: FirstFetch) -> None:
        """The first bytes of one are in, or will not come."""
        self._running.discard(fetch)
        ended, self._ended = self._ended, asyncio.Event()
        ended.set()

    async def until_none_before(self, fetch: FirstFetch) -> None:
        """Waits while first bytes of a higher rank than this fetch's arrive."""
        while (left := self._patience(fetch.rank)) > 0:
            try:
                async with asyncio.timeout(left):
                    await self._ended.wait()
            except TimeoutError:
                continue

    def _patience(self, rank: Rank) -> float:
        """Seconds until all first fetches of a higher rank count as silent, unless bytes come before."""
        times, least, most = SILENT
        silent = min(most, max(least, times * (self._window.round_trip or 0.0)))
        heard = (each.heard_at for each in self._running if each.rank < rank)
        return max(heard, default=-inf) + silent - self._clock()
