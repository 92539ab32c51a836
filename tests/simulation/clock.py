"""Event loops whose time a test decides, so that it does not depend on the speed of the machine."""

import asyncio
import heapq
from collections.abc import Coroutine
from typing import Any, TypeVar

Value = TypeVar("Value")


class VirtualLoop(asyncio.SelectorEventLoop):
    """If nothing is ready to run, time jumps to the next timer. So times are the same on every machine.

    It jumps also if a thread or another process is to be waited for.
    """

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def time(self) -> float:
        """Virtual seconds since the start."""
        return self._now

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  # asyncio's
        """Ends the threads. A limit would be over at once."""
        await super().shutdown_default_executor()

    def _run_once(self) -> None:
        scheduled = self._scheduled  # type: ignore[attr-defined]  # asyncio's heap of timers
        while scheduled and scheduled[0].cancelled():
            heapq.heappop(scheduled)._scheduled = False
            self._timer_cancelled_count = max(0, self._timer_cancelled_count - 1)  # type: ignore[has-type]
        if scheduled and not self._ready:  # type: ignore[attr-defined]  # asyncio's queue of callbacks
            self._now = max(self._now, scheduled[0].when())
        super()._run_once()  # type: ignore[misc]


class JumpingLoop(asyncio.SelectorEventLoop):
    """Time runs as on any machine, and jumps if a test says so. So a limit of minutes can be over at once."""

    jumped = 0.0

    def time(self) -> float:
        """Seconds since some time of this machine, and those that were jumped over."""
        return super().time() + self.jumped


def jump(seconds: float) -> None:
    """Lets so many seconds pass at once. What is due by then runs in the next turn of the `JumpingLoop`."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, JumpingLoop)
    loop.jumped += seconds


def run(main: Coroutine[Any, Any, Value]) -> Value:
    """Runs a coroutine in virtual time and returns its result."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
