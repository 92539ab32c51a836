"""Frames in memory, bounded by bytes. The one door to cachetools.

First bytes outlive rests: a picture that is seen at once everywhere beats a few complete ones. Each
frame is held as a first piece and, apart from it, the whole. When room is short the rest least recently
used loses its finest resolution, where it is known where that begins, and waits in line once more; the last
time all of it goes. First pieces may not crowd out every rest: above their share of the budget the one
least recently used goes, with its rest.

A frame that grows is put again, since cachetools takes sizes when a value is put.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

from cachetools import TLRUCache, TTLCache

from proxy.cache.frame import Frame, FrameKey
from proxy.metrics import Metrics


def _first_size(frame: Frame) -> int:
    return len(frame.pieces[0])


def _rest_size(frame: Frame) -> int:
    return frame.size - len(frame.pieces[0])


@dataclass(frozen=True, slots=True)
class _Kept:
    """A frame with its rest."""

    frame: Frame
    expires: float
    """By the clock: what is made smaller does not become younger."""


class MemoryStore:
    """Least recently used, in two parts under one budget; see above."""

    def __init__(
        self,
        budget: int,
        first_share: float,
        ttl: float,
        metrics: Metrics,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._budget = budget
        self._first_budget = int(budget * first_share)
        self._metrics = metrics
        # Each part may hold all of the budget; `_make_room` keeps their sum within it.
        self._firsts: TTLCache[FrameKey, Frame] = TTLCache(budget, ttl, clock, _first_size)
        self._rests: TLRUCache[FrameKey, _Kept] = TLRUCache(
            budget, lambda _key, kept, _now: kept.expires, clock, lambda kept: _rest_size(kept.frame)
        )
        self._ttl = ttl
        self._clock = clock
        metrics.cache_bytes.labels("first").set_function(self._first_bytes)
        metrics.cache_bytes.labels("rest").set_function(self._rest_bytes)

    def get(self, key: FrameKey) -> Frame | None:
        """What is held of a frame; both its parts count as used."""
        first: Frame | None = self._firsts.get(key)
        kept = self._rests.get(key)
        return kept.frame if first and kept else first

    def put(self, key: FrameKey, frame: Frame) -> None:
        """Keeps the first piece, and the rest if it fits into the budget beside it."""
        self.drop(key)
        first, rest = _first_size(frame), _rest_size(frame)
        if first > self._budget:
            return
        if rest and first + rest > self._budget:
            self._metrics.cache_evictions.labels("rest").inc()
            rest = 0
        self._make_room(first + rest)
        self._firsts[key] = frame.prefix
        if rest:
            self._rests[key] = _Kept(frame, self._clock() + self._ttl)

    def drop(self, key: FrameKey) -> None:
        """Forgets both parts."""
        self._firsts.pop(key, None)
        self._rests.pop(key, None)

    @property
    def size(self) -> int:
        """Bytes held."""
        return self._first_bytes() + self._rest_bytes()

    def _make_room(self, wanted: int) -> None:
        while self.size + wanted > self._budget:
            with suppress(KeyError):  # what was left has expired in this moment
                self._evict()

    def _evict(self) -> None:
        if self._firsts and (self._firsts.currsize > self._first_budget or not self._rests):
            key, _ = self._firsts.popitem()
            self._metrics.cache_evictions.labels("first").inc()
            if self._rests.pop(key, None) is None:
                return
        else:
            key, kept = self._rests.popitem()
            coarser = kept.frame.coarser
            if coarser is not None:
                self._rests[key] = _Kept(coarser, kept.expires)
                self._metrics.cache_evictions.labels("finest").inc()
                return
        self._metrics.cache_evictions.labels("rest").inc()

    def _first_bytes(self) -> int:
        self._firsts.expire()
        return int(self._firsts.currsize)

    def _rest_bytes(self) -> int:
        self._rests.expire()
        return int(self._rests.currsize)
