"""A tier in memory, which outlives the houses that a test builds, and does wrong when told to."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable

from proxy.cache.tier import SMALL, Budget, Wrong, is_same
from proxy.frame.frame import Frame, cut
from proxy.frame.identity import Identity
from proxy.frame.key import FrameKey
from proxy.frame.scope import FrameScope

PATIENT = Budget(240, 240)
IMPATIENT = Budget(0.0, 0.0)


async def _at_once() -> None:
    pass


class FakeTier:
    """Keeps first pieces and whole frames apart, as a tier does."""

    def __init__(self, name: str = "fake") -> None:
        self.name = name
        self.budget = PATIENT
        self.writers = 1
        self.firsts: dict[FrameKey, Frame] = {}
        self.wholes: dict[FrameKey, Frame] = {}
        self.asked: Counter[str] = Counter()
        self.error: Callable[[], Exception] | None = None
        """Raised by each call, if set."""
        self.barrier: asyncio.Event | None = None
        """What each look-up waits for, if set."""
        self.pieces = 10**9
        """Pieces of a rest after which it ends with the error, or as if it had no more."""
        self.left = 0
        """Times that it has to be tended."""
        self.size = 16_384
        """Bytes of a piece."""

    async def _may(self, what: str) -> None:
        self.asked[what] += 1
        if self.barrier is not None and what in ("first", "rest"):
            await self.barrier.wait()
        if self.error is not None:
            raise self.error()

    async def first(self, key: FrameKey) -> Frame | None:
        await self._may("first")
        frame, whole = self.firsts.get(key), self.wholes.get(key)
        return whole if whole is not None and whole.size <= SMALL else frame

    async def rest(self, key: FrameKey, version: Identity, start: int) -> AsyncIterator[bytes]:
        await self._may("rest")
        whole = self.wholes.get(key)
        if whole is None or not is_same(whole.identity, version):
            return
        for number, at in enumerate(range(start, whole.size, self.size)):
            if number == self.pieces:
                raise Wrong
            yield b"".join(cut(whole.pieces, at, min(at + self.size, whole.size)))

    async def put(self, key: FrameKey, frame: Frame) -> bool:
        await self._may("put")
        self.firsts[key] = frame.prefix
        if frame.is_whole:
            self.wholes[key] = frame
        elif (whole := self.wholes.get(key)) is not None and not is_same(whole.identity, frame.identity):
            del self.wholes[key]
        return True

    async def forget(self, named: FrameScope) -> None:
        await self._may("forget")
        for kept in (self.firsts, self.wholes):
            for key in [key for key in kept if named.has(key)]:
                del kept[key]

    async def tend(self) -> bool:
        await self._may("tend")
        await asyncio.sleep(0)  # as if a thread did it
        self.left = max(0, self.left - 1)
        return self.left > 0

    async def aclose(self) -> None:
        pass
