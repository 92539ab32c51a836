"""One origin: a fetch of a span of a frame, checked and bounded, and everything else handed through.

The single part form is asked for first, since only there a range is a range of the codestream
(PS3.18 8.6). An origin that knows no single part is asked for multipart, whole, and taken apart.
"""

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from proxy.cache.frame import Claim
from proxy.errors import (
    OriginError,
    OriginFailed,
    OriginHungUp,
    OriginMismatch,
    OriginTimeout,
    OriginUnreachable,
)
from proxy.metrics import Metrics
from proxy.origin.answer import Believed, believe, check_status, label_of
from proxy.wire.multipart import PartReader
from proxy.wire.ranges import Span

FORMS = (
    "image/jphc",
    'multipart/related; type="image/jphc"; transfer-syntax=*',
    'multipart/related; type="application/octet-stream"; transfer-syntax=*',
)
"""Ways to ask for a frame, in the order in which they are tried."""

_ANOTHER_FORM = (400, 406, 415)

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of an origin for one frame, the same in each of its fetches."""

    path: str
    """Below the origin's base, with its query."""
    credentials: Headers
    """The viewer's own headers that prove who asks; never logged, never part of a key."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was believed, with its body still to come."""

    claim: Claim
    """What it says of the codestream."""
    start: int
    """First byte of the body in the codestream."""
    stop: int
    """One past its last byte."""
    chunks: AsyncIterator[bytes]
    """The body as it arrives, exactly `stop - start` bytes; raises `OriginHungUp` where it is shorter."""


class Origin:
    """A DICOMweb server, through one pool of connections."""

    def __init__(
        self,
        name: str,
        base_url: str,
        transport: httpx.AsyncBaseTransport,
        metrics: Metrics,
        max_frame_bytes: int,
    ) -> None:
        self.name = name
        self._base = base_url.rstrip("/")
        self._metrics = metrics
        self._max_frame_bytes = max_frame_bytes
        self._form: int | None = None
        # The transport has the limits of time; one more over all would cut long answers.
        self._client = httpx.AsyncClient(transport=transport, timeout=None, trust_env=False)  # noqa: S113

    @asynccontextmanager
    async def fetch(self, asked: Asked, span: Span, held: Claim | None, stage: str) -> AsyncIterator[Answer]:
        """Asks for a span of a codestream; `held` guards it against another version. Raises `OriginError`."""
        outcome = "ok"
        try:
            async with self._opened(asked, span, held) as response:
                yield await self._answer(response, span, held, stage)
        except OriginError as error:
            outcome = type(error).__name__.removeprefix("Origin").lower()
            raise
        finally:
            self._metrics.origin_requests.labels(self.name, stage, outcome).inc()

    @asynccontextmanager
    async def _opened(self, asked: Asked, span: Span, held: Claim | None) -> AsyncIterator[httpx.Response]:
        response = await self._in_a_form_that_works(asked, span, held)
        try:
            yield response
        finally:
            await response.aclose()

    async def _in_a_form_that_works(self, asked: Asked, span: Span, held: Claim | None) -> httpx.Response:
        """Tries the form that worked here before, then the others; a refusal of all is answered."""
        known = self._form or 0
        response = await self._send_fetch(known, asked, span, held)
        for form in range(len(FORMS)):
            if response.status_code not in _ANOTHER_FORM:
                break
            if form != known and span.start == 0:
                await response.aclose()
                response = await self._send_fetch(form, asked, span, held)
                known = form if response.status_code in (200, 206) else known
        if self._form is None and response.status_code in (200, 206):
            # Kept for good: one frame that is not HTJ2K must not change how the others are asked for.
            self._form = known
        return response

    async def _send_fetch(self, form: int, asked: Asked, span: Span, held: Claim | None) -> httpx.Response:
        headers = [("accept", FORMS[form]), ("accept-encoding", "identity"), *asked.credentials]
        if form == 0 and span != Span(0, None):
            headers.append(("range", span.to_header()))
            if held is not None and held.validator is not None:
                headers.append(("if-range", held.validator))
        url = f"{self._base}/{asked.path}"
        return await self._send(httpx.Request("GET", url, headers=_encoded(headers)))

    async def _send(self, request: httpx.Request) -> httpx.Response:
        try:
            return await self._client.send(request, stream=True)
        except httpx.TimeoutException as error:
            raise OriginTimeout("the origin did not answer in time") from error
        except httpx.ConnectError as error:
            raise OriginUnreachable("no connection to the origin") from error
        except httpx.TransportError as error:
            raise OriginFailed("the origin gave no usable answer") from error

    async def _answer(self, response: httpx.Response, span: Span, held: Claim | None, stage: str) -> Answer:
        seen = believe(response.status_code, response.headers, span, held)
        body = self._body(response, stage)
        if seen.media.name == "multipart/related":
            return await self._taken_apart(seen, body)
        label = label_of(seen.media)
        if seen.total is None or seen.stop is None:
            whole = [chunk async for chunk in self._bounded(body)]
            return self._collected(label, seen, whole)
        if seen.total == 0 or seen.total > self._max_frame_bytes:
            raise OriginMismatch("no frame has that many bytes", "too_large" if seen.total else "length")
        claim = Claim(label, seen.total, seen.validator, seen.may_store)
        return Answer(claim, seen.start, seen.stop, _exactly(body, seen.stop - seen.start))

    async def _taken_apart(self, seen: Believed, body: AsyncIterator[bytes]) -> Answer:
        if seen.start != 0 or seen.stop != seen.total:
            raise OriginMismatch("a range of a multipart body", "multipart")
        part = PartReader()
        chunks = [part.feed(chunk) async for chunk in self._bounded(body)]
        chunks.append(part.finish())
        if part.media_type is None:
            raise OriginMismatch("a multipart body without a part", "multipart")
        return self._collected(label_of(part.media_type), seen, chunks)

    def _collected(self, label: str, seen: Believed, chunks: list[bytes]) -> Answer:
        total = sum(map(len, chunks))
        if total == 0:
            raise OriginMismatch("no byte at all", "length")
        claim = Claim(label, total, seen.validator, seen.may_store)
        return Answer(claim, 0, total, _each(chunks))

    async def _bounded(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in body:
            size += len(chunk)
            if size > self._max_frame_bytes:
                raise OriginMismatch("more bytes than a frame may have", "too_large")
            yield chunk

    async def _body(self, response: httpx.Response, stage: str) -> AsyncIterator[bytes]:
        received = self._metrics.origin_bytes.labels(self.name, stage)
        try:
            async for chunk in response.aiter_raw():
                received.inc(len(chunk))
                yield chunk
        except httpx.TimeoutException as error:
            raise OriginTimeout("the origin fell silent inside a body") from error
        except httpx.TransportError as error:
            raise OriginHungUp("the body ended before its announced length") from error

    async def hand_through(
        self, method: str, target: str, headers: Headers, body: AsyncIterable[bytes] | None
    ) -> httpx.Response:
        """Anything that is not a frame, answered as a stream that the caller closes. Raises `OriginError`."""
        request = httpx.Request(method, f"{self._base}/{target}", headers=_encoded(headers), content=body)
        response = await self._send(request)
        outcome = "ok" if response.status_code < 500 else "failed"
        self._metrics.origin_requests.labels(self.name, "pass", outcome).inc()
        return response

    def body_of(self, response: httpx.Response) -> AsyncIterator[bytes]:
        """The body of what was handed through, as it arrives."""
        return self._body(response, "pass")

    async def read_whole(self, target: str, headers: Headers) -> bytes:
        """The body of a GET, no larger than a frame may be. Raises `OriginError`."""
        response, body = await self._read(target, headers)
        check_status(response.status_code, response.headers)
        return body

    async def _read(self, target: str, headers: Headers) -> tuple[httpx.Response, bytes]:
        response = await self.hand_through("GET", target, headers, None)
        try:
            chunks = [chunk async for chunk in self._bounded(self.body_of(response))]
        finally:
            await response.aclose()
        return response, b"".join(chunks)

    async def greet(self) -> None:
        """Opens a connection and sees that somebody answers, whatever it is. Raises `OriginError`."""
        response, _ = await self._read("studies?limit=1", ())
        if response.status_code >= 500:
            raise OriginFailed(f"the origin answered {response.status_code}")

    async def aclose(self) -> None:
        """Closes every connection."""
        await self._client.aclose()


def _encoded(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [(name.encode("ascii"), value.encode("utf-8")) for name, value in headers]


async def _exactly(body: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    left = size
    async for chunk in body:
        left -= len(chunk)
        if left < 0:
            raise OriginMismatch("more bytes than were announced", "length")
        yield chunk
    if left:
        raise OriginHungUp("the body ended before its announced length")


async def _each(chunks: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        if chunk:
            yield chunk
