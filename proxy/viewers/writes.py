"""The turns of the event loop in which responses are written (`proxy.origin.loop_turns`)."""

from collections.abc import Callable

from starlette.types import Message, Send

from proxy.origin.loop_turns import LoopTurns

A_WRITE = 1024 * 1024
"""Bytes that a response writes at once, at most: a piece of a frame in the cache."""
A_TURN = 4 * A_WRITE
"""Bytes that all responses write in one turn."""
SMALL = 128 * 1024
"""Bytes that a response writes without waiting for a turn."""


class Writes:
    """The bytes that may still be written in this turn."""

    def __init__(self, size: int = A_TURN) -> None:
        self._turns = LoopTurns(size)

    def shared(self, send: Send) -> Send:
        """The same, but each message waits until its bytes may be written."""
        written = 0

        async def in_turn(message: Message) -> None:
            nonlocal written
            written += len(message.get("body", b""))
            if written > SMALL:
                await self._turns.take(written)
                written = 0
            await send(message)

        return in_turn

    def take_now(self, size: int) -> bool:
        """Takes bytes of this turn for a response. Returns False if it has to wait for a later one."""
        return size <= SMALL or self._turns.take_now(size)

    def later(self, size: int, then: Callable[[], None]) -> None:
        """Calls `then` in the turn in which a response may write so many bytes, which are taken."""
        self._turns.later(size, then)
