"""Answers requests for resources of studies beside their frames: metadata, searches, pictures, bulk data.

A GET goes through `proxy.fetch.resources`. A HEAD, and a request for a range, is answered from what is held.
If that may not be used at once, it is forwarded like any other request.
"""

from collections.abc import AsyncGenerator, Callable, Collection, Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace
from time import perf_counter

from starlette.types import Message, Receive, Send

from proxy.access.caller import Caller
from proxy.fetch.reading import Reading, ResourceRequest
from proxy.fetch.resources import Resources
from proxy.fetch.retrieve import AT_ONCE
from proxy.frame.frame import cut
from proxy.telemetry.telemetry import Telemetry
from proxy.viewers.delivery import DeliveryProgress, until_gone
from proxy.viewers.forward import checked_target
from proxy.viewers.forwarded_log import ForwardedLog
from proxy.viewers.places import Place, Places
from proxy.viewers.published import Published
from proxy.viewers.representing import Composed, Wanted, compose, encoded
from proxy.viewers.transforming import is_accepted, transformation_of
from proxy.viewers.writes import Writes
from proxy.wire.dicomweb import parse_study_path
from proxy.wire.passing import deciding
from proxy.wire.request import Request

_UNUSUAL = ("if-match", "if-unmodified-since", "expect")

Cookies = Callable[[Iterable[tuple[str, str]]], Iterable[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class Ways:
    """The two directions of a connection, and how far the response has come."""

    receive: Receive
    """Messages from the viewer."""
    send: Send
    """Messages to the viewer."""
    progress: DeliveryProgress
    """How far the response has come."""


class Studies:
    """Answers requests for resources that are not frames."""

    def __init__(
        self,
        resources: Resources,
        places: Places,
        writes: Writes,
        lines: ForwardedLog,
        telemetry: Telemetry,
        *,
        known: Collection[str],
    ) -> None:
        """`known` are headers of requests that change no response, since the proxy answers them itself."""
        self._resources = resources
        self._places = places
        self._writes = writes
        self._lines = lines
        self._answers = telemetry.metrics.resource_answers
        self._known = known

    def named(self, request: Request, path: str, published: Published | None) -> ResourceRequest | None:
        """The resource that a request is for, if its response may be kept. Raises `BadResource`.

        If the origin is told the public URL, that is a part of the key.
        """
        if request.method not in ("GET", "HEAD") or any(request.header(name) for name in _UNUSUAL):
            return None
        resource = parse_study_path(path)
        if resource is None or not self._resources.holding.terms.most(resource.kind):
            return None
        target, accept = checked_target(path, request.query), request.header("accept") or "*/*"
        pairs = request.pairs if published is None else published.told([*request.pairs])
        others, codings = deciding(pairs, self._known), request.header("accept-encoding")
        return ResourceRequest(resource, target, accept, others, accept_encoding=codings)

    async def answer(
        self,
        asked: ResourceRequest,
        wanted: Wanted,
        caller: Caller,
        path: str,
        ways: Ways,
        cookies: Cookies,
        unless: Collection[int] = (),
    ) -> int | None:
        """Sends the response unless its status is in `unless`, and returns that of the origin.

        Returns None if the request has to be forwarded. `cookies` narrows those that the origin sets.
        """
        reading = self._resources.at_once(caller, asked)
        if reading is not None:
            await self._send_held(asked, reading, wanted, caller, ways)
            return reading.head.status
        if wanted.is_head or wanted.range is not None:
            return None
        status, came = 0, ways.send

        async def work() -> None:
            nonlocal status
            async with self._resources.read(caller, asked) as reading:
                status = reading.head.status
                if status not in unless:
                    settled = await _settled(reading, wanted)
                    suited = await self._suited(settled, asked, wanted)
                    await self._send(asked, suited, wanted, ways, cookies)

        with self._lines.line(caller.origin, "GET", path) as line:

            async def noting(message: Message) -> None:
                line.note(message)
                await came(message)

            ways = replace(ways, send=noting)
            with self._places.waiting.place(caller.person):
                await until_gone(ways.receive, work())
        return status

    async def _send_held(
        self, asked: ResourceRequest, reading: Reading, wanted: Wanted, caller: Caller, ways: Ways
    ) -> None:
        reading = await self._suited(reading, asked, wanted)
        assert reading.held is not None
        is_read = is_accepted(reading.head, wanted.accept_encoding)
        is_as_held = wanted.published is None and is_read  # else it may be any size
        if reading.held.size <= AT_ONCE and is_as_held:
            await self._send(asked, reading, wanted, ways)
            return
        with Place(self._places, caller.person) as place:
            place.send()
            await until_gone(ways.receive, self._send(asked, reading, wanted, ways))

    async def _suited(self, reading: Reading, asked: ResourceRequest, wanted: Wanted) -> Reading:
        """The same in a coding that the caller accepts. A text that is rewritten is compressed after that."""
        is_rewritten = transformation_of(reading.head, wanted.published, wanted.accept_encoding).published
        return reading if is_rewritten else await self._resources.compression.suited(reading, asked)

    async def _send(
        self,
        asked: ResourceRequest,
        reading: Reading,
        wanted: Wanted,
        ways: Ways,
        cookies: Cookies | None = None,
    ) -> None:
        """Sends a response once the first bytes of its body are in. Raises the error that ended the body."""
        composed, progress, send = compose(reading, wanted), ways.progress, self._writes.shared(ways.send)
        headers = composed.headers
        if cookies is not None and reading.is_asker:
            pairs = cookies(reading.head.cookies)
            headers = [*headers, *encoded(pairs)]
        async with aclosing(_body(reading, composed)) as body:
            first = await anext(body, b"")
            waited = perf_counter() - progress.began
            timing = (b"server-timing", f"first;dur={waited * 1000:.1f}".encode())
            headers = [*headers, timing, (b"via", progress.via)]
            progress.has_started, progress.status = True, composed.status
            self._answers.labels(asked.resource.kind, reading.outcome).inc()
            await send({"type": "http.response.start", "status": composed.status, "headers": headers})
            await send({"type": "http.response.body", "body": first, "more_body": True})
            async for piece in body:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _settled(reading: Reading, wanted: Wanted) -> Reading:
    """The reading, with all of the body if only that shows if the viewer holds the same."""
    is_named = reading.head.etag or wanted.if_none_match is None
    if is_named or reading.reader is None or not reading.head.is_kept:
        return reading
    return replace(reading, held=await reading.reader.whole())


async def _body(reading: Reading, composed: Composed) -> AsyncGenerator[bytes | memoryview]:
    """The bytes that are sent."""
    span = composed.span
    if span.start == span.stop:
        return
    if composed.transformation.is_any:
        async for piece in composed.transformation.body(reading.pieces()):
            yield piece
    elif reading.held is not None:
        for piece in cut(reading.held.pieces, span.start, span.stop or 0):
            await reading.check()
            yield piece
    else:
        async for piece in reading.pieces():
            yield piece
