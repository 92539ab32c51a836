"""The metadata of a series, read within the budget of bytes, and without keeping the event loop waiting.

Metadata is counted as bytes on their way, from its first chunk until it is parsed. A body of more than
`SMALL` bytes takes the place for large ones. Each origin has one, so the memory and the processor time of
several bodies do not add up, and an origin that drips holds up no other one. The parser works in a thread, in
windows (`proxy.wire.json_in_windows`).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import TypeVar
from urllib.parse import quote

from proxy.cache.room import Room
from proxy.errors import OriginFull
from proxy.frame.key import SeriesKey
from proxy.frame.supply import Headers
from proxy.origin.client import Origin

Read = TypeVar("Read")

SMALL = 1024 * 1024
"""Bytes up to which a body does not take the place."""
PATIENCE = 60.0
"""Seconds for which a large body waits for the place."""
PARSED_AT_ONCE = 2
"""Most threads that parse, so that the event loop gets its turn: one large body and a small one."""


class Metadata:
    """Reads the metadata of series."""

    def __init__(self, origins: Mapping[str, Origin], room: Room) -> None:
        self._origins = origins
        self._room = room
        self._places = {name: asyncio.Lock() for name in origins}
        self._threads = asyncio.Semaphore(PARSED_AT_ONCE)
        self.patience = PATIENCE
        """Seconds for which a large body waits for the place."""

    async def read(self, key: SeriesKey, credentials: Headers, parse: Callable[[list[bytes]], Read]) -> Read:
        """Returns the result of `parse`, which gets the body in a thread. Raises `OriginError`."""
        path = f"studies/{quote(key.study)}/series/{quote(key.series)}/metadata"
        headers = [("accept", "application/dicom+json"), ("accept-encoding", "identity"), *credentials]
        chunks: list[bytes] = []
        size, this = 0, object()
        async with AsyncExitStack() as stack:
            stack.callback(self._room.hold, this, 0)
            body = self._origins[key.origin].plain.metadata(path, headers)
            async for chunk in await stack.enter_async_context(aclosing(body)):
                if size <= SMALL < size + len(chunk):
                    await stack.enter_async_context(self._large(key.origin))
                chunks.append(chunk)
                size += len(chunk)
                self._room.hold(this, size)
            await stack.enter_async_context(self._threads)
            return await asyncio.to_thread(parse, chunks)

    @asynccontextmanager
    async def _large(self, origin: str) -> AsyncIterator[None]:
        """Has the place for large bodies. Raises `OriginFull` if it is not free in time."""
        try:
            async with asyncio.timeout(self.patience):
                await self._places[origin].acquire()
        except TimeoutError as error:
            raise OriginFull("the metadata of other series is being read") from error
        try:
            yield
        finally:
            self._places[origin].release()
