"""One origin: a fetch of a span of a frame, checked and bounded, and everything else handed through.

The form is the one that works there (`proxy.origin.forms`). A single part is asked for by ranges, since
there a range is one of the codestream (PS3.18 8.6). Multipart is asked for whole and taken apart; by
ranges only where the origin's answers are provably the same each time, and then these are ranges of
the body around the codestream.
"""

from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx

from proxy.cache.frame import Claim
from proxy.errors import (
    Loop,
    OriginError,
    OriginFailed,
    OriginHungUp,
    OriginMismatch,
    OriginRefused,
    OriginTimeout,
    OriginUnreachable,
)
from proxy.metrics import Metrics
from proxy.origin.answer import Believed, believe, check_status, ends_with_connection, label_of
from proxy.origin.asked import Answer, Asked, Headers
from proxy.origin.faults import CertificateRefused
from proxy.origin.forms import FORMS, Asking, OriginReport
from proxy.origin.health import Health
from proxy.origin.parts import Part, check_end, exactly, in_envelope, once, take_apart, within
from proxy.wire.ranges import Span
from proxy.wire.resource import split_frames_path
from proxy.wire.via import Via


class Origin:
    """A DICOMweb server, through one pool of connections."""

    def __init__(
        self,
        name: str,
        base_url: str,
        transport: httpx.AsyncBaseTransport,
        metrics: Metrics,
        max_frame_bytes: int,
        auth: httpx.Auth | None = None,
        *,
        keeps_labels: bool = False,
        via: Via | None = None,
    ) -> None:
        self.name = name
        self.via = via or Via()
        """Written into each request, and looked for in each answer."""
        self._base = base_url.rstrip("/")
        self._metrics = metrics
        self._max_frame_bytes = max_frame_bytes
        self.asking = Asking(name)
        """Which form of asking for frames works there."""
        self._elsewhere: dict[str, Asking] = {}
        self.keeps_labels = keeps_labels
        """Whether HTJ2K is handed on under its label there, true or not."""
        self.health = Health(name, metrics)
        """Whether it is asked at all just now."""
        self._is_own_proof = auth is not None
        # The transport has the limits of time; one more over all would cut long answers.
        self._client = httpx.AsyncClient(transport=transport, auth=auth, timeout=None, trust_env=False)  # noqa: S113

    def report(self) -> OriginReport:
        """What it was seen to do."""
        return self.asking.report(is_resting=self.health.is_resting)

    @property
    def has_validators(self) -> bool | None:
        """Whether its frames have strong validators; None where that is not known yet."""
        return self.asking.has_validators

    def may_ask_again(self) -> bool:
        """Whether one request that failed may be asked again; counts it."""
        return self.health.may_ask_again()

    @asynccontextmanager
    async def fetch(self, asked: Asked, span: Span, held: Claim | None, stage: str) -> AsyncIterator[Answer]:
        """Asks for a span of a codestream; `held` guards it against another version. Raises `OriginError`."""
        outcome = "ok"
        self.health.ask()
        try:
            async with self._opened(asked, span, held) as (form, ranged, response):
                answer = await self._answer(response, ranged, held, form, stage)
                is_ranged = ranged != Span(0, None)
                self._asking(asked).learn(answer.claim, response.status_code, response.headers, is_ranged)
                self.health.well()
                yield answer
        except OriginRefused as error:
            outcome = "refused"
            self._check_own_proof(error.status)
            raise
        except OriginError as error:
            if isinstance(error, OriginMismatch) and error.reason == "multipart":
                self._asking(asked).note_unfit_range()
            outcome = type(error).__name__.removeprefix("Origin").lower()
            self.health.note(error)
            raise
        finally:
            self._metrics.origin_requests.labels(self.name, stage, outcome).inc()

    def _asking(self, asked: Asked) -> Asking:
        """Which form works at the path of frames, or at that of an alternate, which may be another one."""
        path = split_frames_path(asked.path.partition("?")[0])[1]
        if path in ("", "/frames/"):
            return self.asking
        if path not in self._elsewhere:  # there are no more than the configuration names
            self._elsewhere[path] = Asking(self.name, self.asking.known)
        return self._elsewhere[path]

    @asynccontextmanager
    async def _opened(
        self, asked: Asked, span: Span, held: Claim | None
    ) -> AsyncIterator[tuple[int, Span, httpx.Response]]:
        form, ranged, response = await self._in_a_form_that_works(asked, span, held)
        try:
            yield form, ranged, response
        finally:
            await response.aclose()

    async def _in_a_form_that_works(
        self, asked: Asked, span: Span, held: Claim | None
    ) -> tuple[int, Span, httpx.Response]:
        """Tries the form that worked here, then others. Of refusals a 404 is answered, else the first."""
        asking = self._asking(asked)
        form = asking.first if held is None else held.form
        ranged, response = await self._send_fetch(form, asked, span, held)
        if held is not None or response.status_code in (200, 206):
            return form, ranged, response
        refused = response
        for other in asking.others(response.status_code):
            ranged, response = await self._send_fetch(other, asked, span, None)
            if response.status_code in (200, 206):
                await refused.aclose()
                return other, ranged, response
            if response.status_code == 404 != refused.status_code:
                refused, response = response, refused
            await response.aclose()
        return form, ranged, refused

    async def _send_fetch(
        self, form: int, asked: Asked, span: Span, held: Claim | None
    ) -> tuple[Span, httpx.Response]:
        """Sends a fetch; which span of the origin's representation was asked for, and its answer."""
        how, asking = FORMS[form], self._asking(asked)
        ranged = in_envelope(span, held, has_envelope=asking.has_envelope)
        if held is None and not how.is_single and not asking.has_stable_parts:
            ranged = Span(0, None)
        headers = [("accept", how.accept), ("accept-encoding", "identity"), *asked.credentials, *asked.trace]
        if ranged != Span(0, None):
            headers.append(("range", ranged.to_header()))
            if held is not None and held.validator is not None:
                headers.append(("if-range", held.validator))
        url = f"{self._base}/{asked.path}"
        if how.query:
            url += ("&" if "?" in asked.path else "?") + how.query
        return ranged, await self._send(httpx.Request("GET", url, headers=_encoded(headers)))

    async def _send(self, request: httpx.Request) -> httpx.Response:
        request.headers["via"] = self.via.after(request.headers.get("via"))
        response = await self._sent(request)
        try:
            self.via.check(response.headers.get("via", ""))
        except Loop:
            await response.aclose()
            raise
        return response

    async def _sent(self, request: httpx.Request) -> httpx.Response:
        try:
            return await self._client.send(request, stream=True)
        except httpx.TimeoutException as error:
            raise OriginTimeout("the origin did not answer in time") from error
        except CertificateRefused as error:
            raise OriginUnreachable("the origin's certificate can't be trusted, or ours was not") from error
        except httpx.ConnectError as error:
            raise OriginUnreachable("no connection to the origin") from error
        except httpx.TransportError as error:
            raise OriginFailed("the origin gave no usable answer") from error

    async def _answer(
        self, response: httpx.Response, ranged: Span, held: Claim | None, form: int, stage: str
    ) -> Answer:
        """What came, in bytes of the codestream; `ranged` is in bytes of the origin's representation."""
        seen = believe(response.status_code, response.headers, ranged, held)
        body = self._body(response, stage)
        if seen.stop is not None and seen.start < ranged.start:  # all of it, where its rest was asked for
            stop = min(seen.stop, ranged.stop or seen.stop)
            seen, body = replace(seen, start=ranged.start, stop=stop), within(body, ranged.start, stop)
        if held is not None and held.offset:
            start, stop = seen.start - held.offset, min((seen.stop or 0) - held.offset, held.total)
            claim = replace(held, validator=seen.validator or held.validator)
            return Answer(claim, start, stop, exactly(body, stop - start))
        if seen.media.name == "multipart/related":
            return await self._taken_apart(seen, self._bounded(body), form)
        label = label_of(seen.media)
        if seen.total is None or seen.stop is None:
            whole = b"".join([chunk async for chunk in self._bounded(body)])
            if ends_with_connection(response.headers, response.http_version):
                check_end(whole)
            return self._answered(seen, Part(seen.media, 0, len(whole), once(whole)), form, len(whole))
        if seen.total == 0 or seen.total > self._max_frame_bytes:
            raise OriginMismatch("no frame has that many bytes", "too_large" if seen.total else "length")
        claim = Claim(label, seen.total, seen.validator, seen.may_store, form)
        return Answer(claim, seen.start, seen.stop, exactly(body, seen.stop - seen.start))

    async def _taken_apart(self, seen: Believed, body: AsyncIterator[bytes], form: int) -> Answer:
        if seen.start != 0:
            raise OriginMismatch("a range of a multipart body that was not begun", "multipart")
        if seen.stop != seen.total and seen.validator is None:
            raise OriginMismatch("a range of a multipart body that may be another next time", "multipart")
        part = await take_apart(body, seen.stop, seen.total)
        return self._answered(seen, part, form, seen.stop)

    def _answered(self, seen: Believed, part: Part, form: int, have: int | None) -> Answer:
        """The answer of a part, of whose body so many bytes arrive; None is all of them."""
        if part.total == 0 or part.total > self._max_frame_bytes:
            raise OriginMismatch("no frame has that many bytes", "too_large" if part.total else "length")
        size = part.offset + part.total if seen.total is None else seen.total
        label, behind = label_of(part.media), max(0, size - part.offset - part.total)
        claim = Claim(label, part.total, seen.validator, seen.may_store, form, part.offset, behind)
        stop = part.total if have is None else min(have - part.offset, part.total)
        return Answer(claim, 0, stop, exactly(part.chunks, stop))

    async def _bounded(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in body:
            size += len(chunk)
            if size > self._max_frame_bytes:
                raise OriginMismatch("more bytes than a frame may have", "too_large")
            yield chunk

    async def _body(
        self, response: httpx.Response, stage: str, *, is_raw: bool = False
    ) -> AsyncIterator[bytes]:
        """The body as it arrives; with its content coding undone unless it is handed through."""
        received = self._metrics.origin_bytes.labels(self.name, stage)
        try:
            async for chunk in response.aiter_raw() if is_raw else response.aiter_bytes():
                received.inc(len(chunk))
                yield chunk
        except httpx.DecodingError as error:
            raise OriginMismatch("a content coding that can't be undone", "encoding") from error
        except httpx.TimeoutException as error:
            raise OriginTimeout("the origin fell silent inside a body") from error
        except httpx.TransportError as error:
            raise OriginHungUp("the body ended before its announced length") from error

    async def hand_through(
        self, method: str, target: str, headers: Headers, body: AsyncIterable[bytes] | None
    ) -> httpx.Response:
        """Anything that is not a frame, answered as a stream that the caller closes. Raises `OriginError`."""
        response = await self._pass(method, target, headers, body)
        try:
            self._check_own_proof(response.status_code)
        except OriginFailed:
            await response.aclose()
            raise
        return response

    def _check_own_proof(self, status: int) -> None:
        """Raises `OriginFailed` where credentials of our own are refused: no viewer can help that."""
        if self._is_own_proof and status in (401, 403):
            raise OriginFailed("the origin refuses the proxy's own credentials")

    async def _pass(
        self, method: str, target: str, headers: Headers, body: AsyncIterable[bytes] | None
    ) -> httpx.Response:
        request = httpx.Request(method, f"{self._base}/{target}", headers=_encoded(headers), content=body)
        response = await self._send(request)
        outcome = "ok" if response.status_code < 500 else "failed"
        self._metrics.origin_requests.labels(self.name, "pass", outcome).inc()
        return response

    def body_of(self, response: httpx.Response) -> AsyncIterator[bytes]:
        """The body of what was handed through, as it arrives."""
        return self._body(response, "pass", is_raw=True)

    async def read_whole(self, target: str, headers: Headers) -> bytes:
        """The body of a GET, no larger than a frame may be. Raises `OriginError`."""
        response, body = await self._read(target, headers)
        self._check_own_proof(response.status_code)
        check_status(response.status_code, response.headers)
        return body

    async def _read(self, target: str, headers: Headers) -> tuple[httpx.Response, bytes]:
        response = await self._pass("GET", target, headers, None)
        try:
            chunks = [chunk async for chunk in self._bounded(self._body(response, "pass"))]
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
