"""The requests that wait for an origin, so that others can wait until there are none."""

import asyncio
from collections import Counter


class Pending:
    """Requests that wait, by the name of the origin."""

    def __init__(self) -> None:
        self._number: Counter[str] = Counter()
        self._changed = asyncio.Event()

    def enter(self, origin: str) -> None:
        """One more request waits."""
        self._number[origin] += 1

    def leave(self, origin: str) -> None:
        """A request has ended."""
        self._number[origin] -= 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def until_none(self, origin: str) -> None:
        """Waits until no request waits for an origin."""
        while self._number[origin]:
            await self._changed.wait()
