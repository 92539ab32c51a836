"""The workers: processes that decode and encode, since a hostile codestream can crash or hang a codec.

    absent ──► idle ◄──► busy ──► killed: took too long, or died over its job; the next job starts another

A job costs nobody but itself: whoever waits for it gets an error, and the others their turn. Viewers' jobs
go before plans'.
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from types import TracebackType
from typing import Any, Self

from proxy.codecs.jobs import Job, Made, Rendering, job_message
from proxy.errors import CodestreamError, NotMade, ProxyError, ShuttingDown, WorkerLost

MOST_HEAD = 65536
"""Bytes of an answer's head."""
MOST_CONTENT = 1 << 30
"""Bytes of what was made."""
PROGRAM = (sys.executable, "-m", "proxy.codecs.worker")
"""A worker, but for its one argument: how many bytes of memory it may take."""

ALONE = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
}
"""Variables of a worker: no threads, and memory kept for the next job (of 512x512 a sixth of its time)."""


class Workers:
    """A few processes, begun when they are needed and ended at the end of an `async with`."""

    def __init__(self, number: int, memory: int, seconds: float, program: Sequence[str] = PROGRAM) -> None:
        """Each takes `memory` bytes and so many seconds a job at most."""
        self._number = number
        self._memory = memory
        self._seconds = seconds
        self._program = program
        self._waiting: asyncio.PriorityQueue[tuple[bool, int, Job | Rendering, asyncio.Future[Made]]] = (
            asyncio.PriorityQueue()
        )
        self._arrivals = count()
        self._tasks: list[asyncio.Task[None]] = []
        self.running: set[int] = set()
        """Process numbers of those that live."""

    @property
    def waiting(self) -> int:
        """Jobs that no worker has begun."""
        return self._waiting.qsize()

    async def make(self, job: Job | Rendering, *, is_planned: bool = False) -> Made:
        """What becomes of a frame. Raises `CodestreamError`, `WorkerLost`, `ShuttingDown`."""
        if not self._tasks:
            raise ShuttingDown("the service is ending")
        made: asyncio.Future[Made] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((is_planned, next(self._arrivals), job, made))
        return await made

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._number)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while not self._waiting.empty():
            *_, made = self._waiting.get_nowait()
            if not made.done():
                made.set_exception(ShuttingDown("the service is ending"))

    async def _work(self) -> None:
        """One worker after another, and job after job."""
        process: Process | None = None
        try:
            while True:
                *_, job, made = await self._waiting.get()
                if made.done():
                    continue  # whoever wanted it is gone
                try:
                    answer: Made | ProxyError
                    if _is_gone(process):  # killed by somebody while it was idle
                        await self._end(process)
                        process = None
                    process = process or await self._begin()
                    async with asyncio.timeout(self._seconds):
                        answer = await _asked(process, job)
                except Exception as error:  # whatever one may answer that was taken over
                    await self._end(process)
                    process = None
                    is_late = isinstance(error, TimeoutError)
                    answer = WorkerLost("decoding took too long" if is_late else "the decoder died of it")
                except asyncio.CancelledError:
                    _settle(made, ShuttingDown("the service is ending"))
                    raise
                _settle(made, answer)
        finally:
            await self._end(process)

    async def _begin(self) -> Process:
        # What it inherits is enough to find its modules, and holds no credentials.
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
        await process.communicate()  # what nobody read of an answer would keep `wait` from ending
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
        raise ValueError("no answer of a worker")
    head: dict[str, Any] = json.loads(await process.stdout.readexactly(length))
    if "error" in head:
        kind = CodestreamError if head["is_possible"] else NotMade
        return kind(str(head["error"]))
    size = int(head["size"][0]), int(head["size"][1])
    if head["content"] > MOST_CONTENT:
        raise ValueError("more than any alternate has")
    content = await process.stdout.readexactly(head["content"])
    return Made(content, str(head["label"]), size)
