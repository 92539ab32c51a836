"""The metadata of a series, read within the budget of bytes, and without keeping the event loop waiting.

It is the same that viewers get (`proxy.fetch.resources`), so one request to the origin serves both.

Metadata is counted as bytes on their way, from its first chunk until it is parsed. A body of more than
`SMALL` bytes takes the place for large ones. Each origin has one, so the memory and the processor time of
several bodies do not add up, and an origin that drips holds up no other one. The parser works in a thread, in
windows (`proxy.wire.json_in_windows`).
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import quote

from proxy.access.caller import ASKED, Caller
from proxy.cache.room import Room
from proxy.errors import OriginFull
from proxy.fetch.reading import ResourceRequest
from proxy.fetch.resources import Resources
from proxy.frame.key import SeriesKey
from proxy.frame.supply import Headers
from proxy.origin.answer import check_status
from proxy.origin.client import Origin
from proxy.wire.dicomweb import Kind, StudyResource

Read = TypeVar("Read")

JSON = "application/dicom+json"
"""The media type of metadata that is read here."""
SMALL = 1024 * 1024
"""Bytes up to which a body does not take the place."""
PATIENCE = 60.0
"""Seconds for which a large body waits for the place."""
PARSED_AT_ONCE = 2
"""Most threads that parse, so that the event loop gets its turn: one large body and a small one."""


class Metadata:
    """Reads the metadata of series."""

    def __init__(self, origins: Mapping[str, Origin], room: Room, resources: Resources | None = None) -> None:
        """Without `resources` each reading is a request of its own."""
        self._origins = origins
        self._resources = resources
        self._room = room
        self._places = {name: asyncio.Lock() for name in origins}
        self._threads = asyncio.Semaphore(PARSED_AT_ONCE)
        self.patience = PATIENCE
        """Seconds for which a large body waits for the place."""

    async def read(
        self,
        key: SeriesKey,
        credentials: Headers,
        parse: Callable[[list[bytes]], Read],
        identity: bytes = b"",
    ) -> Read:
        """Returns the result of `parse`, which gets the body in a thread. Raises `OriginError`.

        If the origin has to let the caller read first, `identity` is the caller by a digest.
        """
        chunks: list[bytes] = []
        size, this = 0, object()
        async with AsyncExitStack() as stack:
            stack.callback(self._room.hold, this, 0)
            body = self._body(key, credentials, identity)
            async for chunk in await stack.enter_async_context(aclosing(body)):
                if size <= SMALL < size + len(chunk):
                    await stack.enter_async_context(self._large(key.origin))
                chunks.append(chunk)
                size += len(chunk)
                self._room.hold(this, size)
            await stack.enter_async_context(self._threads)
            return await asyncio.to_thread(parse, chunks)

    async def _body(self, key: SeriesKey, credentials: Headers, identity: bytes) -> AsyncGenerator[bytes]:
        """The body that viewers get, if that is a 200; otherwise that of a request that follows redirects."""
        path = f"studies/{quote(key.study)}/series/{quote(key.series)}/metadata"
        plain = self._origins[key.origin].plain
        is_known = identity or key.partition != ASKED
        if self._resources is not None and self._resources.holding.terms.study_bytes and is_known:
            caller = Caller(key.origin, tuple(credentials), key.partition, identity=identity)
            resource = StudyResource(Kind.METADATA, key.study, key.series)
            asked = ResourceRequest(resource, path, JSON, is_any_form=True)
            async with self._resources.read(caller, asked, may_be_stale=False) as reading:
                if reading.head.status == HTTPStatus.OK:
                    async for chunk in plain.as_metadata(reading.pieces(), reading.head.coding):
                        yield chunk
                    return
                if not 300 <= reading.head.status < 400:
                    check_status(reading.head.status, dict(reading.head.headers))
        headers = [("accept", JSON), ("accept-encoding", "identity"), *credentials]
        async with aclosing(plain.metadata(path, headers)) as body:
            async for chunk in body:
                yield chunk

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
