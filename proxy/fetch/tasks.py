"""Tasks that belong to the app, not to a viewer: each has a key, and all are ended with the `async with`.

An exception that leaves a task would end all other tasks, so a task has to catch every exception in it.
"""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from traceback import clear_frames
from types import TracebackType
from typing import Generic, Self, TypeVar

from proxy.errors import OriginFailed, ProxyError, ShuttingDown

Key = TypeVar("Key", bound=Hashable)


class Tasks(Generic[Key]):
    """A task group that knows its tasks by their keys."""

    def __init__(self) -> None:
        self.is_closing = False
        """True if no new task may be started."""
        self._running: dict[Key, asyncio.Task[None]] = {}
        self._group = asyncio.TaskGroup()

    def start(
        self,
        key: Key,
        work: Coroutine[object, object, None],
        then: Callable[[], None] = lambda: None,
    ) -> None:
        """Runs `work`, and then `then`, even if the task was cancelled before its first step.

        Raises `ShuttingDown`.
        """
        if self.is_closing:
            work.close()
            raise ShuttingDown("the service is ending")
        self._running[key] = self._group.create_task(_freed(work))

        def over(_: asyncio.Task[None]) -> None:
            del self._running[key]
            work.close()  # if it was cancelled before its first step
            then()

        self._running[key].add_done_callback(over)

    def cancel(self, key: Key) -> None:
        """Cancels a task, if it runs."""
        task = self._running.get(key)
        if task is not None:
            task.cancel()

    def close(self) -> None:
        """Cancels all tasks. No task can be started from then on."""
        self.is_closing = True
        for task in tuple(self._running.values()):
            task.cancel()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        await self._group.__aexit__(None, None, None)


async def _freed(work: Coroutine[object, object, None]) -> None:
    """Does the work. If it is cancelled, frees what its frames hold: that of a task group holds the error."""
    try:
        await work
    except asyncio.CancelledError as cancelled:
        clear_frames(cancelled.__traceback__)
        raise


def cause_of(group: BaseExceptionGroup[BaseException]) -> ProxyError:
    """The first error of a task group; one that is not the project's own is a failure of the origin.

    Frees what the group's own frames hold, since one of them holds the group.
    """
    clear_frames(group.__traceback__)
    first = group.exceptions[0]
    if isinstance(first, BaseExceptionGroup):
        return cause_of(first)
    assert isinstance(first, Exception)
    return first if isinstance(first, ProxyError) else OriginFailed(repr(first))
