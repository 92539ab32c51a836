"""The workers: processes that decode and encode, because a hostile codestream can crash or hang a codec.

    absent ──► idle ◄──► busy ──► killed: took too long, or died over its job; the next job starts another

A failing job affects only itself: its caller gets an error, and the other jobs go on. Viewers' jobs take
precedence over plans' jobs.
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Any, Self

from proxy.codecs.jobs import Job, Made, Rendering, job_message
from proxy.codecs.watching import JobSteps, JobWatch, Trace, Unwatched
from proxy.errors import CodestreamError, NotMade, ProxyError, ShuttingDown, WorkerLost

MOST_HEAD = 65536
"""Bytes of a response's head."""
MOST_CONTENT = 1 << 30
"""Bytes of a result."""
PROGRAM = (sys.executable, "-m", "proxy.codecs.worker")
"""The command of a worker, without its argument, the limit of memory in bytes."""

ALONE = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
}
"""A worker's environment: one thread; memory is kept for the next job (saves 1/6 of its time at 512x512)."""


@dataclass(frozen=True, slots=True, order=True)
class _Order:
    """A job that waits; the lowest goes first."""

    is_planned: bool
    """True if only plans want the result."""
    number: int
    """The order in which jobs came."""
    job: Job | Rendering = field(compare=False)
    """The job."""
    made: asyncio.Future[Made] = field(compare=False)
    """Its result."""
    steps: JobSteps = field(compare=False)
    """Told of its steps."""


class Workers:
    """A small number of processes. They start on demand and end with the `async with`."""

    def __init__(
        self,
        number: int,
        memory: int,
        seconds: float,
        program: Sequence[str] = PROGRAM,
        watch: JobWatch | None = None,
    ) -> None:
        """Each worker takes at most `memory` bytes, and at most `seconds` for one job."""
        self._watch: JobWatch = watch or Unwatched()
        self.number = number
        """Most processes at once."""
        self._memory = memory
        self._seconds = seconds
        self._program = program
        self._waiting: asyncio.PriorityQueue[_Order] = asyncio.PriorityQueue()
        self._arrivals = count()
        self._tasks: list[asyncio.Task[None]] = []
        self.running: set[int] = set()
        """Process ids of the running workers."""

    @property
    def waiting(self) -> int:
        """Number of jobs that no worker has started."""
        return self._waiting.qsize()

    async def make(self, job: Job | Rendering, *, is_planned: bool = False, trace: Trace = ()) -> Made:
        """Runs a job and returns its result. Raises `CodestreamError`, `WorkerLost` or `ShuttingDown`.

        `trace` are headers that name the trace of the request.
        """
        if not self._tasks:
            raise ShuttingDown("the service is shutting down")
        made: asyncio.Future[Made] = asyncio.get_running_loop().create_future()
        steps = self._watch.place(job, trace)
        self._waiting.put_nowait(_Order(is_planned, next(self._arrivals), job, made, steps))
        try:
            result = await made
        except BaseException as error:
            steps.end(type(error).__name__)
            raise
        steps.end()
        return result

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self.number)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while not self._waiting.empty():
            made = self._waiting.get_nowait().made
            if not made.done():
                made.set_exception(ShuttingDown("the service is shutting down"))

    async def _work(self) -> None:
        """Runs one job after another, and starts a new process whenever the last one died."""
        process: Process | None = None
        try:
            while True:
                order = await self._waiting.get()
                made = order.made
                if made.done():
                    continue  # the caller is gone
                order.steps.begin()
                try:
                    answer: Made | ProxyError
                    if _is_gone(process):  # killed from outside while idle
                        await self._end(process)
                        process = None
                    process = process or await self._begin()
                    async with asyncio.timeout(self._seconds):
                        answer = await _asked(process, order.job)
                except Exception as error:  # a worker that was taken over may respond with anything
                    await self._end(process)
                    process = None
                    is_late = isinstance(error, TimeoutError)
                    self._watch.lost("late" if is_late else "crashed")
                    answer = WorkerLost("decoding took too long" if is_late else "the decoder crashed")
                except asyncio.CancelledError:
                    _settle(made, ShuttingDown("the service is shutting down"))
                    raise
                _settle(made, answer)
        finally:
            await self._end(process)

    async def _begin(self) -> Process:
        # The inherited variables suffice to find the modules, and contain no credentials.
        kept = {
            name: os.environ[name] for name in ("PATH", "PYTHONPATH", "VIRTUAL_ENV") if name in os.environ
        }
        command = (*self._program, str(self._memory))
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=kept | ALONE
        )
        self.running.add(process.pid)
        return process

    async def _end(self, process: Process | None) -> None:
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()  # `wait` would not return while output is unread
        self.running.discard(process.pid)


def _is_gone(process: Process | None) -> bool:
    return process is not None and process.stdout is not None and process.stdout.at_eof()


def _settle(made: asyncio.Future[Made], answer: Made | ProxyError) -> None:
    if made.done():
        return
    if isinstance(answer, ProxyError):
        made.set_exception(answer)
    else:
        made.set_result(answer)


async def _asked(process: Process, job: Job | Rendering) -> Made | ProxyError:
    assert process.stdin is not None
    assert process.stdout is not None
    for piece in job_message(job):
        process.stdin.write(piece)
    await process.stdin.drain()
    length = int.from_bytes(await process.stdout.readexactly(4), "big")
    if length > MOST_HEAD:
        raise ValueError("the worker's response is malformed")
    head: dict[str, Any] = json.loads(await process.stdout.readexactly(length))
    if "error" in head:
        kind = CodestreamError if head["is_possible"] else NotMade
        return kind(str(head["error"]))
    size = int(head["size"][0]), int(head["size"][1])
    if head["content"] > MOST_CONTENT:
        raise ValueError("the worker's response is larger than any alternate")
    content = await process.stdout.readexactly(head["content"])
    return Made(content, str(head["label"]), size)
