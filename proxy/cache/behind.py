"""One tier behind memory, as the proxy uses it: what it may cost a viewer, and what waits to be written.

A look-up that is late, wrong or fails is a miss. After a few such look-ups in a row the tier is left alone
for a while. So a tier that is dead or slow costs viewers nothing, instead of its budget for each.

Writing happens in a task of its own, one operation after the other. It takes a frame from memory when its
turn comes, so frames that wait take no room of their own. One that has left memory by then is not written.
When too many wait, the oldest is not written. Scopes to forget go first, and until the tier has forgotten
one, a look-up in it is a miss.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from time import monotonic

from proxy.cache.tier import Tier, Wrong
from proxy.frame.frame import Frame
from proxy.frame.identity import Identity
from proxy.frame.key import FrameKey
from proxy.frame.scope import FrameScope
from proxy.telemetry.telemetry import Telemetry

MOST_WAITING = 4096
"""Most frames that wait to be written."""
MOST_FORGOTTEN = 1024
"""Most scopes that wait to be forgotten; with more, the tier is not asked for anything."""
FAILURES = 5
"""Look-ups in a row that fail or are late before the tier is left alone."""
LEFT_ALONE = 5.0
"""Seconds for which it is left alone."""
AGAIN_AFTER = 1.0
"""Seconds between two tries to forget a scope."""

_log = logging.getLogger(__name__)


class Behind:
    """One tier behind memory."""

    def __init__(
        self,
        tier: Tier,
        held: Callable[[FrameKey], Frame | None],
        telemetry: Telemetry,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`held` returns what memory holds of a frame."""
        self.name = tier.name
        """The name of the tier."""
        self._tier = tier
        self._held = held
        self._lookups = telemetry.metrics.tier_lookups
        self._writes = telemetry.metrics.tier_writes
        self._clock = clock
        self._failures = 0
        self._alone_until = 0.0
        self._puts: dict[FrameKey, None] = {}
        self._forgets: dict[FrameScope, None] = {}
        self._change = asyncio.Event()
        self._is_idle = asyncio.Event()
        telemetry.metrics.start_tier_at_zero(self.name)

    def may_have(self, key: FrameKey) -> bool:
        """False if a look-up would be a miss for certain."""
        if self._clock() < self._alone_until or len(self._forgets) > MOST_FORGOTTEN:
            return False
        return not any(named.has(key) for named in self._forgets)

    async def first(self, key: FrameKey) -> Frame | None:
        """The same as `Tier.first`, but None for any failure."""
        if not self.may_have(key):
            return None
        try:
            async with asyncio.timeout(self._tier.budget.first):
                frame = await self._tier.first(key)
        except Exception as error:
            self._has_failed("first", error)
            return None
        self._has_answered("first", is_hit=frame is not None)
        return frame

    async def rest(self, key: FrameKey, version: Identity, start: int) -> AsyncIterator[bytes]:
        """The same as `Tier.rest`, but it ends early at any failure."""
        if not self.may_have(key):
            return
        at, budget = start, self._tier.budget.piece
        try:
            async with aclosing(self._tier.rest(key, version, start)) as pieces:  # type: ignore[type-var]
                while at < version.claim.total:
                    async with asyncio.timeout(budget):
                        piece = await anext(pieces, None)
                    if piece is None or not self.may_have(key):
                        break
                    at += len(piece)
                    yield piece
        except Exception as error:
            self._has_failed("rest", error)
        else:
            self._has_answered("rest", is_hit=at > start)

    def put(self, key: FrameKey) -> None:
        """Writes what memory holds of a frame, when its turn comes."""
        self._puts.pop(key, None)
        if len(self._puts) >= MOST_WAITING:
            del self._puts[next(iter(self._puts))]
            self._writes.labels(self.name, "dropped").inc()
        self._puts[key] = None
        self._wake()

    def forget(self, named: FrameScope) -> None:
        """Drops a scope. From now on a look-up in it is a miss, until the tier has dropped it."""
        for key in [key for key in self._puts if named.has(key)]:
            del self._puts[key]
        self._forgets[named] = None
        self._wake()

    async def settled(self) -> None:
        """Returns when nothing waits to be written or forgotten."""
        await self._is_idle.wait()

    async def run(self) -> None:
        """Writes and forgets until it is cancelled."""
        while True:
            if self._forgets:
                await self._forget_next()
            elif self._puts:
                await self._put_next()
            else:
                self._change.clear()
                self._is_idle.set()
                await self._change.wait()

    async def aclose(self) -> None:
        """Ends the tier."""
        await self._tier.aclose()

    def _wake(self) -> None:
        self._is_idle.clear()
        self._change.set()

    async def _put_next(self) -> None:
        key = next(iter(self._puts))
        del self._puts[key]
        frame = self._held(key)
        if frame is None:
            self._writes.labels(self.name, "dropped").inc()
            return
        try:
            await self._tier.put(key, frame)
        except Exception as error:
            self._writes.labels(self.name, "failed").inc()
            _log.debug("a frame could not be written", extra={"tier": self.name, "error": repr(error)})
        else:
            self._writes.labels(self.name, "stored").inc()

    async def _forget_next(self) -> None:
        named = next(iter(self._forgets))
        try:
            await self._tier.forget(named)
        except Exception as error:
            # It stays: what was to be forgotten is not asked for until it is.
            _log.debug("frames could not be dropped", extra={"tier": self.name, "error": repr(error)})
            self._forgets[named] = self._forgets.pop(named)
            await asyncio.sleep(AGAIN_AFTER)
        else:
            self._forgets.pop(named, None)

    def _has_failed(self, part: str, error: Exception) -> None:
        outcome = "late" if isinstance(error, TimeoutError) else "failed"
        if isinstance(error, Wrong):
            outcome = "wrong"
        self._lookups.labels(self.name, part, outcome).inc()
        _log.debug("a look-up is a miss", extra={"tier": self.name, "why": outcome, "error": repr(error)})
        if outcome == "wrong":
            return
        self._failures += 1
        if self._failures >= FAILURES:
            if self._alone_until == 0.0:
                _log.warning(
                    "a tier fails and is left alone", extra={"tier": self.name, "error": repr(error)}
                )
            self._alone_until = self._clock() + LEFT_ALONE

    def _has_answered(self, part: str, *, is_hit: bool) -> None:
        self._lookups.labels(self.name, part, "hit" if is_hit else "miss").inc()
        if self._alone_until:
            _log.warning("a tier answers again", extra={"tier": self.name})
        self._failures, self._alone_until = 0, 0.0
