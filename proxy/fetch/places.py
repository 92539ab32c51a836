"""Places for requests at the same time. Callers that wait get them in rotation, and no caller gets all."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Places:
    """A number of places, and how many of them one caller may hold."""

    def __init__(self, number: int, most_each: int) -> None:
        self._free = number
        self._most_each = most_each
        self._held: Counter[bytes] = Counter()
        self._waiting: dict[bytes, deque[asyncio.Future[None]]] = {}
        """Callers that wait, the next one first."""

    @asynccontextmanager
    async def place(self, person: bytes) -> AsyncIterator[None]:
        """Waits for a place, and holds it until the `with` ends."""
        called = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(person, deque()).append(called)
        self._call()
        try:
            await called
            yield
        finally:
            if not called.cancelled():
                self._free += 1
                self._held[person] -= 1
                self._held = +self._held  # without zeros
            self._call()

    def _call(self) -> None:
        """Gives free places to those who wait."""
        while self._free and (person := self._next()) is not None:
            waiting = self._waiting.pop(person)
            called = waiting.popleft()
            if waiting:
                self._waiting[person] = waiting
            if not called.cancelled():
                self._free -= 1
                self._held[person] += 1
                called.set_result(None)

    def _next(self) -> bytes | None:
        """The caller whose turn it is. Only those that hold as many places as they may are passed over."""
        return next((person for person in self._waiting if self._held[person] < self._most_each), None)
