"""Compresses texts for viewers, as they arrive: metadata and searches that come without a content coding.

The coding is the best one that the first caller accepts, and the text is held in it. For callers that do not
accept that coding, the proxy makes another one: once, in a thread, however many callers wait for it. That one
is kept beside the text that is held, in the same budget, and is dropped with it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from proxy.cache.holding import Holding
from proxy.cache.representation import Head, Representation
from proxy.fetch.arrival import Arrival
from proxy.fetch.reading import Reading, ResourceRequest
from proxy.fetch.tasks import Tasks
from proxy.frame.key import ResourceKey
from proxy.origin.coders import recoded
from proxy.origin.codings import encoded
from proxy.origin.representing import as_compressed, can_be_compressed
from proxy.wire.passing import accepts_coding

MOST = 64 * 1024 * 1024
"""Bytes without a coding of the longest text in another coding; a longer one is undone while it is sent."""
A_TURN = 1024 * 1024
"""Bytes of a body that are taken in one turn of the event loop."""
AT_ONCE = 2
"""Most threads that make another coding."""

Made = asyncio.Future[tuple[bytes, ...] | None]

_log = logging.getLogger(__name__)


class Compression:
    """The codings of texts that the proxy compresses."""

    def __init__(self, holding: Holding, codings: Sequence[str]) -> None:
        """The best of the `codings` is the first one. Without any, nothing is compressed."""
        self._holding = holding
        self._codings = codings
        self._making: dict[tuple[ResourceKey, str], tuple[Representation, Made]] = {}
        self._threads = asyncio.Semaphore(AT_ONCE)
        self.tasks: Tasks[Made] = Tasks()

    def coding_for(self, asked: ResourceRequest) -> str:
        """The coding in which a text is compressed that arrives for a caller first; empty if in none."""
        accepted = (each for each in self._codings if accepts_coding(asked.accept_encoding, each))
        return next(accepted, next(iter(self._codings), ""))

    async def suited(self, reading: Reading, asked: ResourceRequest) -> Reading:
        """The same in a coding that the caller accepts, if the proxy compressed it in another one."""
        held, said = reading.held, asked.accept_encoding
        if held is None or reading.key is None or not held.head.is_coded_here:
            return reading
        coding = self.coding_for(asked)
        if accepts_coding(said, held.head.coding) or not accepts_coding(said, coding):
            return reading
        other = await self._other(reading.key, held, coding)
        return reading if other is None else replace(reading, head=other.head, held=other)

    async def _other(self, key: ResourceKey, known: Representation, coding: str) -> Representation | None:
        held = self._holding.get(key)
        if held is not None and held.beside is not None and held.representation.pieces is known.pieces:
            return _as(known, held.beside.pieces, coding) if held.beside.head.coding == coding else None
        running = self._making.get((key, coding))
        if running is None or running[0].pieces is not known.pieces:
            running = self._making[key, coding] = known, asyncio.get_running_loop().create_future()
            self._start(key, known, coding, running[1])
        pieces = await asyncio.shield(running[1])
        return None if pieces is None else _as(known, pieces, coding)

    def _start(self, key: ResourceKey, known: Representation, coding: str, made: Made) -> None:
        def over() -> None:
            running = self._making.get((key, coding))
            if running is not None and running[1] is made:
                del self._making[key, coding]
            if not made.done():  # the service ends, or a fault
                made.set_result(None)

        self.tasks.start(made, self._make(key, known, coding, made), over)

    async def _make(self, key: ResourceKey, known: Representation, coding: str, made: Made) -> None:
        try:
            async with self._threads:
                pieces = await asyncio.to_thread(recoded, known.pieces, known.head.coding, coding, MOST)
        except Exception:
            _log.exception("a fault inside the proxy")
            return
        if pieces is not None:
            self._holding.put_beside(key, known, _as(known, pieces, coding))
        made.set_result(pieces)


def _as(known: Representation, pieces: tuple[bytes, ...], coding: str) -> Representation:
    return replace(known, head=replace(known.head, coding=coding), pieces=pieces)


async def arrive(arrival: Arrival, head: Head, body: AsyncIterator[bytes], coding: str) -> None:
    """Takes a body as it comes, compressed in this coding unless it may not be. Raises `Unread`."""
    if coding and head.is_kept and can_be_compressed(head):
        arrival.begin(as_compressed(head, coding))
        async for piece, plain in encoded(body, coding):
            await arrival.extend(piece, plain)
        return
    arrival.begin(head)
    size = 0
    async for chunk in body:
        await arrival.extend(chunk)
        size += len(chunk)
        if size >= A_TURN:  # chunks may come without a wait, as fast as they are taken
            size = 0
            await asyncio.sleep(0)
