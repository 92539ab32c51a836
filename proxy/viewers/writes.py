"""Shares each turn of the event loop among responses, so that large ones keep nobody else waiting.

A connection on a fast line takes megabytes at once. If 40 responses write one of them each in the same turn,
it lasts tens of milliseconds, and a new viewer needs several turns. So all responses together write at most
`A_TURN` bytes in one turn. The others go on in the next one, in the order in which they came.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from starlette.types import Message, Send

A_WRITE = 1024 * 1024
"""Bytes that a response writes at once, at most: a piece of a frame in the cache."""
A_TURN = 4 * A_WRITE
"""Bytes that all responses write in one turn."""
SMALL = 128 * 1024
"""Bytes that a response writes without waiting for a turn."""


class Writes:
    """The bytes that may still be written in this turn."""

    def __init__(self, size: int = A_TURN) -> None:
        self._size = size
        self._left = size
        self._is_due = False
        """True if the next turn will be a new one."""
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()

    def shared(self, send: Send) -> Send:
        """The same, but each message waits until its bytes may be written."""
        written = 0

        async def in_turn(message: Message) -> None:
            nonlocal written
            written += len(message.get("body", b""))
            if written > SMALL:
                await self._take(written)
                written = 0
            await send(message)

        return in_turn

    def take_now(self, size: int) -> bool:
        """Takes bytes of this turn for a response. Returns False if it has to wait for a later one."""
        if size <= SMALL:
            return True
        is_left = self._left > 0 and not self._waiting
        if is_left:
            self._left -= size
            self._renew_soon()
        return is_left

    def later(self, size: int, then: Callable[[], None]) -> None:
        """Calls `then` in the turn in which a response may write so many bytes, which are taken."""

        def begin(_: asyncio.Future[None]) -> None:
            self._renew_soon()
            then()

        self._turn(size).add_done_callback(begin)

    def _turn(self, size: int) -> asyncio.Future[None]:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, size))
        return turn

    async def _take(self, size: int) -> None:
        if self._left > 0 and not self._waiting:
            self._left -= size
        else:
            await self._turn(size)
        self._renew_soon()

    def _renew_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._renew)

    def _renew(self) -> None:
        """Begins a turn: those who wait take of it first, in their order."""
        self._is_due, self._left = False, self._size
        while self._waiting and self._left > 0:
            turn, size = self._waiting.popleft()
            if not turn.done():  # else the viewer has left
                self._left -= size
                turn.set_result(None)
        if self._waiting:  # those who go on now may leave without a write
            self._renew_soon()
