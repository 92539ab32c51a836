"""Requests to an origin that are not for frames: forwarded as streams, or for the metadata of a series.

The number of requests that are forwarded at once has a limit, and one more is refused instead of waiting. So
a loop ends even if a server in it drops the headers that name the proxy (`proxy.wire.via`): each round takes
one more place, until the last one is refused, and the refusal goes back all the way.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from http import HTTPStatus
from time import perf_counter

import httpx

from proxy.cache.representation import Head
from proxy.errors import OriginBusy, OriginError, OriginFailed, OriginFull, OriginRefused
from proxy.frame.supply import Headers
from proxy.origin.answer import check_status
from proxy.origin.bodies import Bodies
from proxy.origin.codings import undone
from proxy.origin.exchange import Exchange, encoded
from proxy.origin.health import Health, is_down
from proxy.origin.representing import head_of
from proxy.origin.window import Window
from proxy.telemetry.telemetry import Telemetry

SMALL = "studies?limit=1"
"""A question that any origin answers, if only with an error."""


class PlainRequests:
    """Sends any request to one origin."""

    def __init__(
        self,
        name: str,
        base: str,
        exchange: Exchange,
        bodies: Bodies,
        health: Health,
        window: Window,
        telemetry: Telemetry,
        at_once: int,
        metadata_bytes: int,
        *,
        is_trusted: bool = False,
    ) -> None:
        """`base` is the origin's URL without a slash at its end. `at_once` requests are forwarded at once.

        `metadata_bytes` is the limit for the metadata of a series. If the origin `is_trusted`, only
        `no-store` keeps its responses out of the cache; no other directive of Cache-Control does.
        """
        self._name = name
        self._is_trusted = is_trusted
        self._base = base
        self._exchange = exchange
        self._bodies = bodies
        self.health = health
        self._window = window
        self._metrics = telemetry.metrics
        self._first_byte = telemetry.metrics.origin_first_byte.labels(name, "pass")
        self._metadata_bytes = metadata_bytes
        # A request with a body holds its place while the body comes, so it has places of its own.
        self._rooms = {False: asyncio.Semaphore(at_once), True: asyncio.Semaphore(max(1, at_once // 2))}

    @asynccontextmanager
    async def forward(
        self, method: str, target: str, headers: Headers, body: AsyncIterable[bytes] | None
    ) -> AsyncIterator[httpx.Response]:
        """The response to any request, as a stream. Raises `OriginError`."""
        room = self._rooms[body is not None]
        if room.locked():
            self._metrics.origin_requests.labels(self._name, "pass", "full").inc()
            raise OriginFull("as many requests are being forwarded to the origin as limits.forwarded allows")
        request = httpx.Request(method, f"{self._base}/{target}", headers=encoded(headers), content=body)
        async with room:  # until the headers are in: that ends each loop, and a slow reader keeps no place
            response = await self._passed(self._exchange.send(request))
        try:
            self.check_own_proof(response.status_code)
            yield response
        finally:
            await response.aclose()

    @asynccontextmanager
    async def resource(
        self, target: str, headers: Headers, *, is_personal: bool
    ) -> AsyncIterator[tuple[Head, AsyncIterator[bytes]]]:
        """The response to a GET that may be kept: its head, and its body as it arrives. Raises `OriginError`.

        `is_personal` says that only one caller, or those whom the origin lets read, get the response.
        """
        async with self.forward("GET", target, headers, None) as response:
            said = response.status_code, response.headers.raw, response.http_version
            head = head_of(*said, is_trusted=self._is_trusted, is_personal=is_personal)
            body = self._bodies.arriving(response, "pass", self._metadata_bytes, is_raw=True)
            yield head, self._timed(body)

    def as_metadata(self, body: AsyncIterator[bytes], coding: str) -> AsyncIterator[bytes]:
        """A body without its content coding, within the limit for metadata. Raises `OriginMismatch`."""
        most = self._metadata_bytes
        bare = undone(body, coding, most) if coding else body
        return self._bodies.bounded(bare, most, f"metadata of more than {most} bytes")

    def check_own_proof(self, status: int) -> None:
        """Raises `OriginFailed` if the origin refuses the proxy's own credentials."""
        if self._exchange.has_own_proof and status in (401, 403):
            raise OriginFailed("the origin refuses the proxy's own credentials", status)

    async def _passed(self, sent: Awaitable[httpx.Response]) -> httpx.Response:
        """Counts the outcome, and what it says about the origin's health."""
        began = perf_counter()
        try:
            response = await sent
        except OriginError as error:
            self.health.note(error, is_frame=False)
            outcome = type(error).__name__.removeprefix("Origin").lower()
            self._metrics.origin_requests.labels(self._name, "pass", outcome).inc()
            raise
        status = response.status_code
        self._first_byte.observe(perf_counter() - began)
        if status >= 500:
            self.health.note(OriginBusy(status, None), is_frame=False)
        else:
            self.health.well()
        self._metrics.origin_requests.labels(self._name, "pass", "ok" if status < 500 else "failed").inc()
        return response

    def body_of(self, response: httpx.Response, *, is_raw: bool = True) -> AsyncIterator[bytes]:
        """The body of a forwarded response, as it arrives. Its content coding is undone unless `is_raw`."""
        return self._timed(self._bodies.arriving(response, "pass", is_raw=is_raw))

    def _timed(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same body. It tells the rate of the line if no frame has told it yet."""
        return self._telling(body) if self._window.is_unknown else body

    async def _telling(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        arrival = self._window.asked(perf_counter(), was_idle=False)
        async for chunk in body:
            self._window.came(arrival, len(chunk), perf_counter(), is_full=False, is_all=False)
            yield chunk

    async def metadata(self, target: str, headers: Headers) -> AsyncGenerator[bytes]:
        """The body of a GET for metadata as it arrives, within its limit. Raises `OriginError`."""
        response = await self._passed(self._exchange.get(f"{self._base}/{target}", headers))
        try:
            body = self._whole(response, f"metadata of more than {self._metadata_bytes} bytes")
            if response.status_code != HTTPStatus.OK:
                await _read_past(body)  # so that the connection can be used again
            self.check_own_proof(response.status_code)
            check_status(response.status_code, response.headers)
            async for chunk in body:
                yield chunk
        finally:
            await response.aclose()

    def _whole(self, response: httpx.Response, fault: str) -> AsyncIterator[bytes]:
        most = self._metadata_bytes
        return self._timed(self._bodies.bounded(self._bodies.arriving(response, "pass", most), most, fault))

    async def greet(self) -> None:
        """Opens connections and sees that somebody answers, whatever it is. Raises `OriginError`.

        Two of them: the completion of the first frame is asked for before its first fetch has ended.
        """
        await asyncio.gather(self._greet(), self._greet())

    async def _greet(self) -> None:
        try:
            response = await self._passed(self._exchange.get(f"{self._base}/{SMALL}", ()))
        except OriginRefused:  # it redirects elsewhere, as to where people log in
            return
        try:
            await _read_past(self._whole(response, "too long an answer to a greeting"))
        finally:
            await response.aclose()
        if response.status_code >= 500:
            raise OriginFailed(f"the origin answered {response.status_code}")

    async def is_answered(self, credentials: Headers) -> bool:
        """True if the origin, or a gateway before it, answers a small question, even with an error."""
        try:
            response = await self._passed(self._exchange.get(f"{self._base}/{SMALL}", credentials))
        except OriginError as error:
            return isinstance(error, OriginRefused)
        await response.aclose()
        return not is_down(response.status_code)


async def _read_past(body: AsyncIterator[bytes]) -> None:
    async for _ in body:
        pass
