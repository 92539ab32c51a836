"""One tier behind memory, as the proxy uses it: what it may cost a viewer, and what waits to be written.

A look-up that is late, wrong or fails is a miss. After a few such look-ups in a row the tier is left alone
for a while. So a tier that is dead or slow costs viewers nothing, instead of its budget for each.

Writing happens in tasks of its own, as many at once as the tier likes. It takes a frame from memory when its
turn comes, so frames that wait take no room of their own. One that has left memory by then is not written.
When too many wait, the oldest is not written. Scopes to forget go first, and until the tier has forgotten
one, a look-up in it is a miss. Frames that are still being fetched go last. They count once they are put.
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
TENDED_EVERY = 30.0
"""Seconds without anything to write after which the tier is tended."""
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
        self._is_written = True
        self._puts: dict[FrameKey, None] = {}
        self._grown: dict[FrameKey, None] = {}
        self._being_put: set[FrameKey] = set()
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
                    if at == start:
                        self._has_answered("rest", is_hit=True)
                    at += len(piece)
                    yield piece
        except Exception as error:
            self._has_failed("rest", error)
        else:
            if at == start:
                self._has_answered("rest", is_hit=False)

    def put(self, key: FrameKey) -> None:
        """Writes what memory holds of a frame, when its turn comes."""
        self._grown.pop(key, None)
        self._puts.pop(key, None)
        if len(self._puts) >= MOST_WAITING:
            del self._puts[next(iter(self._puts))]
            self._writes.labels(self.name, "dropped").inc()
        self._puts[key] = None
        self._wake()

    def grow(self, key: FrameKey) -> None:
        """Writes more of a frame that is being fetched, when nothing else is to be written."""
        if key not in self._puts and self.may_have(key):
            self._grown[key] = None
            self._wake()

    def forget(self, named: FrameScope) -> None:
        """Drops a scope. From now on a look-up in it is a miss, until the tier has dropped it."""
        for waiting in (self._puts, self._grown):
            for key in [key for key in waiting if named.has(key)]:
                del waiting[key]
        self._forgets[named] = None
        self._wake()

    def is_before(self, tier: Tier | None) -> bool:
        """True if it stands before this tier."""
        return self._tier is tier

    def is_writing(self, key: FrameKey) -> bool:
        """True if a frame is being written, or waits for that."""
        return key in self._puts or key in self._grown or key in self._being_put

    def is_forgetting(self, named: FrameScope) -> bool:
        """True if the tier has not dropped a scope yet."""
        return named in self._forgets

    async def settled(self) -> None:
        """Returns when nothing waits to be written or forgotten."""
        await self._is_idle.wait()

    async def finished(self) -> None:
        """The same at the end of the service, but it does not wait for a tier that can't be written."""
        if self._is_written:
            await self.settled()

    async def run(self) -> None:
        """Writes and forgets until it is cancelled. If there is nothing to do, it tends the tier."""
        is_left = await self._tend()
        async with asyncio.TaskGroup() as group:
            while True:
                self._change.clear()
                if self._forgets:
                    await self._forget_next()
                elif (key := self._next_of(self._puts)) is not None:
                    group.create_task(self._put(key))
                elif (key := self._next_of(self._grown)) is not None:
                    group.create_task(self._put(key, is_counted=False))
                elif self._being_put:
                    await self._change.wait()
                else:
                    self._is_idle.set()
                    is_left = await (self._tend() if is_left else self._rest_or_tend())

    async def aclose(self) -> None:
        """Ends the tier."""
        await self._tier.aclose()

    def _wake(self) -> None:
        self._is_idle.clear()
        self._change.set()

    async def _rest_or_tend(self) -> bool:
        try:
            async with asyncio.timeout(TENDED_EVERY):
                await self._change.wait()
        except TimeoutError:
            return await self._tend()
        return False

    async def _tend(self) -> bool:
        """Tends the tier. True if more is left to do."""
        try:
            is_left = await self._tier.tend()
        except Exception as error:
            self._can_not_write("a tier can't be tended", error)
            return False
        self._is_written = True
        return is_left

    def _next_of(self, waiting: dict[FrameKey, None]) -> FrameKey | None:
        """Takes the next frame to write; None if there is none, or if the tier writes enough at once."""
        if len(self._being_put) >= self._tier.writers:
            return None
        key = next((key for key in waiting if key not in self._being_put), None)
        if key is not None:
            del waiting[key]
            self._being_put.add(key)
        return key

    async def _put(self, key: FrameKey, *, is_counted: bool = True) -> None:
        try:
            frame = self._held(key)
            is_kept = frame is not None and await self._tier.put(key, frame)
        except Exception as error:
            self._writes.labels(self.name, "failed").inc()
            self._can_not_write("frames can't be written to a tier", error)
        else:
            if is_counted:
                self._writes.labels(self.name, "stored" if is_kept else "dropped").inc()
            self._is_written |= frame is not None
        finally:
            self._being_put.discard(key)
            self._change.set()

    def _can_not_write(self, what: str, error: Exception) -> None:
        level = logging.WARNING if self._is_written else logging.DEBUG  # said once, until it can again
        _log.log(level, what, extra={"tier": self.name, "error": repr(error)})
        self._is_written = False

    async def _forget_next(self) -> None:
        named = next(iter(self._forgets))
        try:
            await self._tier.forget(named)
        except Exception as error:
            self._can_not_write("frames can't be dropped from a tier", error)
            self._forgets[named] = self._forgets.pop(named)  # it stays, and what is in it is not asked for
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
