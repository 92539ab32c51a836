"""Shares each turn of the event loop among those who move many bytes, so that they keep nobody else waiting.

On a fast line a connection takes or brings hundreds of kilobytes at once. If 64 of them do so in the same
turn, it lasts more than 100 ms, and everybody else waits for all of them. So all together move a bounded
number of bytes in one turn. The others go on in the next one, in the order in which they came.
"""

import asyncio
from collections import deque
from collections.abc import Callable


class LoopTurns:
    """The bytes that may still be moved in this turn of the loop."""

    def __init__(self, size: int) -> None:
        """`size` is the number of bytes in one turn. The last one to move may go over it."""
        self._size = size
        self._left = size
        self._is_due = False
        """True if the next turn will be a new one."""
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()

    def take_now(self, size: int) -> bool:
        """Takes bytes of this turn. Returns False, and takes none, if they have to wait for a later one."""
        is_left = self._left > 0 and not self._waiting
        if is_left:
            self.count(size)
        return is_left

    def count(self, size: int) -> None:
        """Takes bytes of this turn for those that wait for nobody."""
        self._left -= size
        self._renew_soon()

    async def take(self, size: int) -> None:
        """Waits for the turn in which so many bytes may be moved, and takes them."""
        if not self.take_now(size):
            await self._turn(size)
            self._renew_soon()

    def later(self, size: int, then: Callable[[], None]) -> None:
        """Calls `then` in the turn in which so many bytes may be moved, which are taken."""

        def begin(_: asyncio.Future[None]) -> None:
            self._renew_soon()
            then()

        self._turn(size).add_done_callback(begin)
        self._renew_soon()

    def _turn(self, size: int) -> asyncio.Future[None]:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, size))
        return turn

    def _renew_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._renew)

    def _renew(self) -> None:
        """Begins a turn: those who wait take of it first, in their order."""
        self._is_due, self._left = False, self._size
        while self._waiting and self._left > 0:
            turn, size = self._waiting.popleft()
            if not turn.done():  # else nobody waits for it any more
                self._left -= size
                turn.set_result(None)
        if self._waiting:  # those who go on now may leave and move nothing
            self._renew_soon()
