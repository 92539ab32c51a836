"""Calls to a server that a tier uses, which may take longer than their caller waits.

A call that is late for its caller goes on in a task of its own, until it ends or its limit is over. Its
connection is then open for the next call. If it were cancelled instead, a first connection that takes longer
than a viewer waits would never be made.
"""

import asyncio
from collections.abc import Coroutine
from math import inf
from typing import Any, TypeVar

Answer = TypeVar("Answer")


class Calls:
    """The calls of one tier that are under way."""

    def __init__(self, limit: float = inf) -> None:
        """No call takes longer than `limit` seconds, also in the background."""
        self._limit = None if limit == inf else limit
        self._under_way: set[asyncio.Task[Any]] = set()

    async def within(self, seconds: float, call: Coroutine[Any, Any, Answer]) -> Answer:
        """The answer to a call, if it comes in time. Raises `TimeoutError`, and what the call raises."""
        task = self.begin(call)
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done:
            raise TimeoutError("the server is late")
        return task.result()

    def begin(self, call: Coroutine[Any, Any, Answer]) -> asyncio.Task[Answer]:
        """Begins a call that goes on if nobody waits for it."""
        task = asyncio.create_task(self._limited(call))
        self._under_way.add(task)
        task.add_done_callback(self._has_ended)
        task.add_done_callback(lambda _: call.close())  # if it was cancelled before its first step
        return task

    async def _limited(self, call: Coroutine[Any, Any, Answer]) -> Answer:
        async with asyncio.timeout(self._limit):
            return await call

    def _has_ended(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # nobody else may be left to look at it

    async def aclose(self) -> None:
        """Cancels calls that are under way."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
