"""The responses of pyreqwest: their headers, their bodies, and the cancellations that it loses.

If a result or an error arrives at the moment of a cancellation, pyreqwest returns it and the cancellation is
lost. The task would then go on, and those who wait for its end would wait for ever. So everything that waits
for pyreqwest checks for a lost cancellation.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TypeVar

import httpx
from pyreqwest.exceptions import PyreqwestError
from pyreqwest.request import StreamRequest
from pyreqwest.response import Response

from proxy.origin.faults import mapped
from proxy.origin.loop_turns import LoopTurns

Value = TypeVar("Value")


A_TURN = 2 * 1024 * 1024
"""Bytes of bodies that are taken in one turn of the event loop."""
SMALL = 65536
"""Bytes of a chunk that waits for no turn."""
STRICTEST = {"cache-control": "no-store", "vary": "*"}
"""Values that stand in for headers without which a response would be kept longer, or for others."""
MOST_TOLD = 32
"""Most names of headers that the log tells of."""

_log = logging.getLogger(__name__)


class Body(httpx.AsyncByteStream):
    """The body of a response, as it arrives."""

    def __init__(
        self,
        sent: StreamRequest,
        response: Response,
        turns: LoopTurns,
        stall: float | None,
        leave: Callable[[], None],
    ) -> None:
        """`stall` is the limit for each chunk in seconds; None if the client has that limit itself.

        Large chunks take turns with those of other bodies.
        """
        self._sent = sent
        self._reader = response.body_reader
        self._turns = turns
        self._stall = stall
        self._leave: Callable[[], None] | None = leave

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Each chunk as the socket gave it. Raises the errors of httpx."""
        try:
            while True:
                if self._stall is None:
                    chunk = await unless_cancelled(self._reader.read_chunk())
                else:
                    async with asyncio.timeout(self._stall):
                        chunk = await unless_cancelled(self._reader.read_chunk())
                if chunk is None:
                    return
                size = len(chunk)
                if size <= SMALL:
                    self._turns.count(size)
                else:
                    await self._turns.take(size)
                yield bytes(chunk)
        except PyreqwestError as error:
            raise mapped(error) from error
        except TimeoutError as error:
            raise httpx.ReadTimeout("no byte in time") from error

    async def aclose(self) -> None:
        """Ends the response, read or not."""
        leave, self._leave = self._leave, None
        if leave is not None:
            try:
                await self._sent.__aexit__(None, None, None)
            finally:
                leave()


async def unless_cancelled(
    work: Awaitable[Value], undo: Callable[[], Awaitable[None]] | None = None
) -> Value:
    """Returns the result of the work. If its task was cancelled meanwhile, undoes it and ends the task."""
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    try:
        value = await work
    except PyreqwestError:
        if task.cancelling() > before:
            raise asyncio.CancelledError from None
        raise
    if task.cancelling() > before:
        if undo is not None:
            await undo()
        raise asyncio.CancelledError
    return value


class Texts:
    """Headers whose values are ASCII, as RFC 9110 5.5 wants them; pyreqwest can't tell any other value.

    The others are dropped, so that the response is not lost. The log names each of them once.
    """

    def __init__(self) -> None:
        self._told: set[str] = set()

    def of(self, response: Response, url: str) -> list[tuple[str, str]]:
        """The headers of a response to a request for this URL."""
        headers = response.headers
        try:
            return list(headers.items())
        except ValueError:
            return list(self._read(iter(headers.keys()), iter(headers.items()), url))

    def _read(
        self, names: Iterator[str], pairs: Iterator[tuple[str, str]], url: str
    ) -> Iterator[tuple[str, str]]:
        for name in names:
            try:
                yield next(pairs)
            except ValueError:
                if name in STRICTEST:
                    yield name, STRICTEST[name]
                self._tell(name, url)

    def _tell(self, name: str, url: str) -> None:
        if name not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(name)
            told = {"server": httpx.URL(url).netloc.decode("ascii"), "header": name}
            _log.warning("a header of a response is not ASCII, so it is dropped", extra=told)
