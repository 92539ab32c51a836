"""The status as a stream of Server-Sent Events: one look a second for all streams, none if there is none.

    event: hour     the last hour: at once, and again when a minute has ended
    event: status   the service as it is now: at once, and again each second
    event: end      this stream ends; another one may begin

A stream ends with the service, and after `LONGEST` seconds, so that each client has to show the token
again. An event has all that there is to know, so nothing is missed by a stream that was cut and resumed. A
client that reads slowly gets fewer of them.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from proxy.access.bounds import Bound
from proxy.admin.operators import problem
from proxy.errors import ProxyError, ServiceFull

EVERY = 1.0
"""Seconds between two looks."""
LONGEST = 600.0
"""Seconds after which a stream ends."""
BEGIN = b":\n\n"
"""A comment, so that the client knows at once that it may follow."""
END = b"event: end\ndata: {}\n\n"

_log = logging.getLogger(__name__)


class Looking(Protocol):
    """Something that can tell how a service is."""

    async def status(self) -> BaseModel:
        """The service as it is now."""

    async def hour(self) -> BaseModel:
        """Its last hour. It changes if a minute has ended."""


class Live:
    """The looks that all streams of a service share."""

    def __init__(self, looking: Looking, bound: Bound, every: float = EVERY) -> None:
        """`bound` has the places of streams."""
        self._looking = looking
        self._bound = bound
        self._every = every
        self.longest = LONGEST
        """Seconds after which a stream ends."""
        self.looks = 0
        """Number of looks so far."""
        self._hours = 0
        self._status = self._hour = b""
        self._looked = asyncio.Event()
        self._is_closed = False
        self._ticking: asyncio.Task[None] | None = None

    def close(self) -> None:
        """Ends all streams."""
        self._is_closed = True
        self._wake()

    def _wake(self) -> None:
        looked, self._looked = self._looked, asyncio.Event()
        looked.set()

    @contextmanager
    def _followed(self) -> Iterator[None]:
        """Looks again and again within it. Raises `ServiceFull` if too many follow."""
        with self._bound.place(b""):
            if self._ticking is None:
                self._status = b""
                self._ticking = asyncio.create_task(self._tick())
            try:
                yield
            finally:
                if self._bound.taken == 1:
                    self._ticking.cancel()
                    self._ticking = None

    async def _tick(self) -> None:
        while True:
            try:
                status, hour = await self._looking.status(), await self._looking.hour()
                self._take(status.model_dump_json().encode(), hour.model_dump_json().encode())
            except ProxyError as error:  # such as all workers being on their way
                _log.warning("the status can't be told now", extra={"why": str(error)})
            except Exception:  # a look that fails must not be the last one
                _log.exception("the status can't be told because of a bug in the proxy")
            await asyncio.sleep(self._every)

    def _take(self, status: bytes, hour: bytes) -> None:
        self.looks += 1
        self._status = b"event: status\nid: %d\ndata: %b\n\n" % (self.looks, status)
        told = b"event: hour\ndata: %b\n\n" % hour
        if told != self._hour:
            self._hours, self._hour = self._hours + 1, told
        self._wake()

    async def send_all(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        """Sends the events until the stream ends. Raises `ServiceFull` if too many follow."""
        until = asyncio.get_running_loop().time() + self.longest
        looks = hours = -1
        with self._followed():
            await send(BEGIN)
            while not self._is_closed and asyncio.get_running_loop().time() < until:
                if not self._status or looks == self.looks:
                    await self._looked.wait()
                    continue
                news = self._status if hours == self._hours else self._hour + self._status
                looks, hours = self.looks, self._hours
                await send(news)
            await send(END)


class Stream(Response):
    """The response of one stream."""

    media_type = "text/event-stream"

    def __init__(self, live: Live) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends events until the client leaves, or the stream ends."""
        has_begun = False

        async def more(events: bytes) -> None:
            nonlocal has_begun
            if not has_begun:
                has_begun = True
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": events, "more_body": events is not END})

        sending, leaving = (
            asyncio.ensure_future(self._live.send_all(more)),
            asyncio.ensure_future(_gone(receive)),
        )
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                await sending
        except ServiceFull as error:
            await problem(error)(scope, receive, send)
        finally:
            sending.cancel()
            leaving.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
