"""The cache with tiers behind memory, asked from near to far.

Everybody reads from memory. A frame that only a tier has is brought into memory first, and from then on it is
a held frame like any other. A frame that is put into memory goes to all tiers in the background. A frame that
is dropped, because it is wrong or not allowed any more, is dropped from all tiers. A frame that memory evicts
stays in them.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from time import monotonic
from types import TracebackType
from typing import Any, Self

from proxy.cache.behind import Behind
from proxy.cache.kept import Ledger
from proxy.cache.lifetimes import Stale
from proxy.cache.memory import MemoryStore
from proxy.cache.room import Room
from proxy.cache.shares import Shares
from proxy.cache.tier import Replicated, Tier, is_other, is_same
from proxy.cache.uses import Mark
from proxy.frame.frame import Frame, cut
from proxy.frame.identity import Identity
from proxy.frame.key import FrameKey
from proxy.frame.scope import FrameScope, scope_of
from proxy.telemetry.telemetry import Telemetry

FORGOTTEN_WITHIN = 5.0
"""Seconds that a purge waits for the tiers."""
LOOKED_EVERY = 0.005
"""Seconds between two looks if they have finished."""
FINISHED_WITHIN = 5.0
"""Seconds that the end of the service waits for frames that are still to be written."""


class TieredStore:
    """A store with tiers behind it. `bring` has to run before `get` can find what only a tier has."""

    def __init__(self, memory: MemoryStore, tiers: Sequence[Tier], telemetry: Telemetry) -> None:
        """`tiers` are from near to far."""
        self._memory = memory
        self.tiers = tuple(tiers)
        """The tiers themselves, from near to far."""
        shared = [isinstance(tier, Replicated) for tier in tiers]
        held = [self._latest if is_shared else memory.held for is_shared in shared]
        self._tiers = tuple(Behind(*each, telemetry) for each in zip(tiers, held, strict=True))
        self._shared = tuple(tier for tier, is_shared in zip(self._tiers, shared, strict=True) if is_shared)
        self.coming: Callable[[FrameKey], Frame | None] = lambda _key: None
        """Returns what has come of a frame that is being fetched, in pieces of any size."""
        self.patience = FORGOTTEN_WITHIN
        """Seconds that a purge waits for the tiers."""
        self._teller: Tier | None = None
        self._looking: dict[FrameKey, asyncio.Task[str]] = {}
        self._writing: list[asyncio.Task[None]] = []

    @property
    def room(self) -> Room:
        """That of memory."""
        return self._memory.room

    @property
    def ledger(self) -> Ledger:
        """That of memory."""
        return self._memory.ledger

    @property
    def shares(self) -> Shares:
        """That of memory."""
        return self._memory.shares

    def get(self, key: FrameKey) -> Frame | None:
        """The fresh frame that memory has."""
        return self._memory.get(key)

    def mark(self, key: FrameKey) -> Mark:
        """A mark in memory."""
        return self._memory.mark(key)

    def use(self, key: FrameKey, mark: Mark) -> bool:
        """True if a mark in memory still counts."""
        return self._memory.use(key, mark)

    def stale(self, key: FrameKey) -> Frame | None:
        """The stale frame that memory has."""
        return self._memory.stale(key)

    def if_error(self, key: FrameKey) -> Stale | None:
        """The frame that memory has for use if the origin fails."""
        return self._memory.if_error(key)

    def put(self, key: FrameKey, frame: Frame, caller: bytes = b"") -> None:
        """Puts a frame into memory, and in the background into the tiers, if its version is vouched for.

        If the tiers may not keep it, or if it replaces another version, they drop what they have.
        """
        before = self._memory.held(key)
        self._memory.put(key, frame, caller)
        may_be_kept = self._memory.may_keep(key, frame)
        if not may_be_kept or (before is not None and is_other(before.identity, frame.identity)):
            self._drop_behind(scope_of(key))
        if may_be_kept and frame.identity.is_vouched:
            for tier in self._tiers:
                tier.put(key)

    def grow(self, key: FrameKey) -> None:
        """More has come of a frame that is being fetched. Tiers that replicas share get it."""
        for tier in self._shared:
            tier.grow(key)

    def _latest(self, key: FrameKey) -> Frame | None:
        """The frame that memory holds, with the bytes of the same version that have come since."""
        held, coming = self._memory.held(key), self.coming(key)
        if held is None or coming is None or coming.size <= held.size:
            return held
        if not (is_same(held.identity, coming.identity) and self._memory.may_keep(key, coming)):
            return held
        first = held.pieces[0]
        return replace(coming, pieces=(first, *cut(coming.pieces, len(first), coming.size)))

    def drop(self, key: FrameKey) -> None:
        """Drops a frame everywhere."""
        self._memory.drop(key)
        self._drop_behind(scope_of(key))

    def forget(self, named: FrameScope) -> None:
        """Drops all frames of a scope everywhere."""
        self._memory.forget(named)
        self._drop_behind(named)

    @contextmanager
    def told_by(self, tier: Tier) -> Iterator[None]:
        """Within it, frames are not dropped from the tier that told so."""
        self._teller = tier
        try:
            yield
        finally:
            self._teller = None

    def _drop_behind(self, named: FrameScope) -> None:
        for key in [key for key in self._looking if named.has(key)]:
            del self._looking[key]
        for tier in self._tiers:
            if not tier.is_before(self._teller):
                tier.forget(named)

    def is_writing(self, key: FrameKey) -> bool:
        """True if a frame is being written to a tier, or waits for that."""
        return any(tier.is_writing(key) for tier in self._tiers)

    def doubt(self) -> None:
        """From now on, no frame that was fetched before is used until the origin has revalidated it."""
        self._memory.doubt()

    def may_bring(self, key: FrameKey) -> bool:
        """True if memory has nothing of a frame, and a tier may have some of it."""
        return self._memory.held(key) is None and any(tier.may_have(key) for tier in self._tiers)

    async def bring(self, key: FrameKey, caller: bytes, is_free: Callable[[], bool]) -> str:
        """Brings what the nearest tier has of a frame into memory. Returns the tier's name; empty if none.

        It is charged to the caller. All who ask at once share one look-up. If memory has the frame by then,
        or if it `is_free` no longer, nothing is brought.
        """
        looking = self._looking.get(key)
        if looking is None:
            looking = self._looking[key] = asyncio.create_task(self._look(key, caller, is_free))
        return await asyncio.shield(looking)

    async def _look(self, key: FrameKey, caller: bytes, is_free: Callable[[], bool]) -> str:
        this = asyncio.current_task()
        try:
            for number, tier in enumerate(self._tiers):
                frame = await tier.first(key)
                if self._looking.get(key) is not this:  # it was forgotten meanwhile
                    return ""
                if frame is not None:
                    is_brought = is_free() and self._memory.held(key) is None
                    return tier.name if is_brought and self._take(key, frame, caller, number) else ""
            return ""
        finally:
            if self._looking.get(key) is this:
                del self._looking[key]

    def _take(self, key: FrameKey, frame: Frame, caller: bytes, number: int) -> bool:
        """Puts a frame of a tier into memory, and in the background into the nearer tiers."""
        self._memory.put(key, frame, caller)
        for nearer in self._tiers[:number]:
            nearer.put(key)
        return self._memory.held(key) is not None

    def keep_whole(self, key: FrameKey, frame: Frame, caller: bytes) -> bool:
        """Keeps a frame in memory, of which memory held a prefix and tiers had the rest.

        Returns False if memory does not hold that version any more, as after a purge.
        """
        held = self._memory.held(key)
        if held is None or held.identity != frame.identity:
            return False
        self._memory.put(key, frame, caller)
        return True

    async def rest(self, key: FrameKey, version: Identity, start: int) -> AsyncIterator[tuple[str, bytes]]:
        """Yields the bytes of a frame from `start` on, as far as tiers have them, with the tiers' names."""
        for tier in self._tiers:
            async for piece in tier.rest(key, version, start):
                start += len(piece)
                yield tier.name, piece
            if start >= version.claim.total:
                return

    async def forgotten(self, named: FrameScope) -> bool:
        """Returns True once no tier has any of a scope that was dropped; False if that takes too long."""
        until = monotonic() + self.patience
        while any(tier.is_forgetting(named) for tier in self._tiers):
            if monotonic() >= until:
                return False
            await asyncio.sleep(LOOKED_EVERY)
        return True

    async def settled(self) -> None:
        """Returns when the tiers have nothing left to write or to forget."""
        for tier in self._tiers:
            await tier.settled()

    async def __aenter__(self) -> Self:
        self._writing = [asyncio.create_task(tier.run()) for tier in self._tiers]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        finishing = [asyncio.create_task(tier.finished()) for tier in self._tiers]
        await asyncio.wait(finishing, timeout=FINISHED_WITHIN)
        tasks: list[asyncio.Task[Any]] = [*finishing, *self._writing, *self._looking.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for tier in self._tiers:
            await tier.aclose()
