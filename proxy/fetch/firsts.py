"""First fetches that run, and completions that pause for them.

A first fetch that still waits, or whose origin is silent, does not pause a completion, because the link would
be idle.
"""

import asyncio
from math import inf
from typing import Protocol

from proxy.fetch.turns import Rank
from proxy.origin.window import Clock, Window

SILENT = (4, 0.05, 1.0)
"""Round trips without a byte after which a first fetch pauses nothing; least and most, in seconds."""


class FirstFetch(Protocol):
    """A fetch that has gone out and whose first bytes are still to come."""

    rank: Rank
    """The rank of the fetch now."""
    heard_at: float
    """When the request went out, or when the last bytes came, if they have."""


class Firsts:
    """The first fetches that run at one origin."""

    def __init__(self, window: Window, clock: Clock) -> None:
        self._window = window
        self._clock = clock
        self._running: set[FirstFetch] = set()
        self._ended = asyncio.Event()

    def begin(self, fetch: FirstFetch) -> None:
        """A first fetch goes out."""
        self._running.add(fetch)

    def end(self, fetch: FirstFetch) -> None:
        """The first bytes of a fetch are in, or will not come."""
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
        """Seconds until all first fetches of a higher rank count as silent, if no more bytes come."""
        times, least, most = SILENT
        silent = min(most, max(least, times * (self._window.round_trip or 0.0)))
        heard = (each.heard_at for each in self._running if each.rank < rank)
        return max(heard, default=-inf) + silent - self._clock()
