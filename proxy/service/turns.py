"""Begins few requests at each turn of the event loop.

Each request that begins takes about a millisecond of its turn. If 64 begin in one turn, a new connection, or
a look at `/livez`, waits for all of them, and again at each of its own steps.
"""

import asyncio
from collections import deque
from collections.abc import Callable

AT_ONCE = 4
"""Maximum number of requests that begin in one turn."""


class Turns:
    """Begins requests in the order in which they come."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = self._left = at_once
        self._waiting: deque[Callable[[], None]] = deque()

    def begin(self, start: Callable[[], None]) -> None:
        """Calls `start` now, or in a later turn if enough have begun in this one."""
        if self._left == self._at_once:
            asyncio.get_running_loop().call_soon(self._go_on)
        if self._left:
            self._left -= 1
            start()
        else:
            self._waiting.append(start)

    def _go_on(self) -> None:
        self._left = self._at_once
        for _ in range(min(len(self._waiting), self._at_once)):
            self.begin(self._waiting.popleft())
