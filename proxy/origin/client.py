"""One origin: it fetches spans of frames, checked and bounded, and forwards all other requests.

A fetch uses the form that works at the origin (`proxy.origin.forms`). A single part is requested by ranges,
because a range of it is a range of the codestream (PS3.18 8.6). A multipart response is requested whole and
parsed. It is requested by ranges only if the origin's responses are known to be the same each time. These are
ranges of the body, which includes the envelope.
"""

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from time import perf_counter
from urllib.parse import urlsplit

import httpx

from proxy.errors import (
    OriginBusy,
    OriginError,
    OriginFailed,
    OriginHungUp,
    OriginMismatch,
    OriginRefused,
    OriginTimeout,
)
from proxy.frame.identity import Claim, Lease
from proxy.frame.supply import Answer, Headers, OriginRequest
from proxy.origin.answer import Believed, believe, check_status, ends_with_connection, label_of
from proxy.origin.codings import without_false
from proxy.origin.exchange import Exchange, encoded
from proxy.origin.forms import Asking, OriginReport
from proxy.origin.health import Health
from proxy.origin.inquiry import WHOLE, Inquiry, Reply
from proxy.origin.parts import Part, begun, check_end, exactly, once, take_apart, within
from proxy.origin.signature import TELLING, kind_of
from proxy.origin.window import Window
from proxy.telemetry.telemetry import Telemetry
from proxy.wire.media import EXPLICIT_LITTLE_ENDIAN, transfer_syntax_of
from proxy.wire.ranges import Span
from proxy.wire.via import Via

UNCOMPRESSED = frozenset({"1.2.840.10008.1.2", EXPLICIT_LITTLE_ENDIAN, "1.2.840.10008.1.2.2"})
"""Transfer syntaxes of pixels that are not compressed."""
_log = logging.getLogger(__name__)


class Origin:
    """A DICOMweb server, through one pool of connections."""

    def __init__(
        self,
        name: str,
        base_url: str,
        transport: httpx.AsyncBaseTransport,
        telemetry: Telemetry,
        max_frame_bytes: int,
        auth: httpx.Auth | None = None,
        *,
        keeps_labels: bool = False,
        window: Window | None = None,
        is_trusted: bool = False,
        via: Via | None = None,
    ) -> None:
        self.name = name
        self.via = via or Via()
        """The proxy's Via entry. It is added to each request, and a response that has it is a loop."""
        self._base = base_url.rstrip("/")
        self.base_path = urlsplit(self._base).path
        """Path of the base URL, without a trailing slash."""
        self._metrics = telemetry.metrics
        self._max_frame_bytes = max_frame_bytes
        self.asking = Asking(name)
        """The forms in which the origin serves frames."""
        self._elsewhere: dict[str, Asking] = {}
        self.keeps_labels = keeps_labels
        """True if HTJ2K keeps the media type that the origin gave it, even if that is wrong."""
        self._is_trusted = is_trusted
        self._has_told_of_lease = False
        self.health = Health(name, telemetry)
        """Decides if the origin is asked now."""
        self._window = window or Window()
        self._is_own_proof = auth is not None
        self._exchange = Exchange(transport, auth, self.via)

    def report(self) -> OriginReport:
        """Reports what is known of the origin."""
        return self.asking.report(is_resting=self.health.is_resting)

    @property
    def has_validators(self) -> bool | None:
        """True if its frames have strong validators; None if that is not known yet."""
        return self.asking.has_validators

    def may_ask_again(self) -> bool:
        """Counts a retry, and returns True if a failed request may be retried now."""
        return self.health.may_ask_again()

    @asynccontextmanager
    async def fetch(
        self, asked: OriginRequest, span: Span, held: Claim | None, stage: str, demand: object = None
    ) -> AsyncIterator[Answer]:
        """Fetches a span of a codestream. Raises `OriginError`, also if it is of another version than `held`.

        The `demand` makes no difference to an origin.
        """
        del demand
        outcome, reply = "ok", None
        series, asking = self._asking(asked)
        inquiry = Inquiry(self._exchange, self._base, asking, series, asked, span, held)
        trying = await self.health.admit()
        try:
            reply = await inquiry.reply()
            answer = await self._answer(reply, held, stage)
            if held is None and asking.may_be_decompressed(series, reply.form):
                reply, answer = await self._as_stored(inquiry, reply, answer, stage)
            response, is_ranged = reply.response, reply.span != WHOLE
            asking.learn(series, answer.claim, response.status_code, response.headers, is_ranged=is_ranged)
            self.health.well()
            yield answer
        except OriginRefused as error:
            outcome = "refused"
            self.health.note(error)
            self._check_own_proof(error.status)
            raise
        except OriginError as error:
            if isinstance(error, OriginMismatch) and error.reason == "multipart":
                asking.note_unfit_range()
            outcome = type(error).__name__.removeprefix("Origin").lower()
            self.health.note(error, trying)
            raise
        finally:
            if trying is not None:
                self.health.tried(trying)
            self._metrics.origin_requests.labels(self.name, stage, outcome).inc()
            if reply is not None:
                await reply.response.aclose()

    def _asking(self, asked: OriginRequest) -> tuple[str, Asking]:
        """The series, and the forms that work for its frames, or for the requested alternate."""
        path, series = asked.key.frames_path, asked.path.partition("/instances/")[0]
        if not path:
            return series, self.asking
        if path not in self._elsewhere:  # no more than the configuration names
            self._elsewhere[path] = Asking(self.name, self.asking.known)
        return series, self._elsewhere[path]

    async def _as_stored(
        self, inquiry: Inquiry, free: Reply, came: Answer, stage: str
    ) -> tuple[Reply, Answer]:
        """Replaces a frame that came decompressed by its stored form, if another request gives that."""
        leading, chunks = await begun(came.chunks, TELLING)
        came = replace(came, chunks=chunks)
        if transfer_syntax_of(came.claim.label) not in UNCOMPRESSED or kind_of(leading):
            return free, came
        # A 500 may be only temporary.
        forms = [form for form in inquiry.asking.stored() if free.refusals.get(form, 500) == 500]
        for form in forms:
            with suppress(OriginError):
                reply = await inquiry.ask(form)
                try:
                    answer = await self._answer(reply, None, stage)
                except BaseException:
                    await reply.response.aclose()
                    raise
                await free.response.aclose()
                return reply, answer
        if forms:
            inquiry.asking.was_stored_so(inquiry.series)
        return free, came

    async def _answer(self, reply: Reply, held: Claim | None, stage: str) -> Answer:
        """Checks a response, and returns it in bytes of the codestream."""
        response, ranged, form = reply.response, reply.span, reply.form
        headers: Mapping[str, str] = response.headers
        body = self._body(response, stage)
        if "content-encoding" in headers and response.status_code in (200, 206):
            headers, body = await without_false(headers, body, is_rest=held is not None)
        seen = believe(response.status_code, headers, ranged, held, is_trusted=self._is_trusted)
        self._tell_of(seen.lease)
        if seen.stop is not None and seen.start < ranged.start:  # the whole frame instead of a later range
            stop = min(seen.stop, ranged.stop or seen.stop)
            seen, body = replace(seen, start=ranged.start, stop=stop), within(body, ranged.start, stop)
        if held is not None and held.offset:
            start, stop = seen.start - held.offset, min((seen.stop or 0) - held.offset, held.total)
            claim = replace(held, validator=seen.validator, lease=seen.lease)
            return Answer(claim, start, stop, exactly(body, stop - start))
        is_open = ends_with_connection(headers, response.http_version)
        if seen.media.name == "multipart/related":
            return await self._taken_apart(seen, self._bounded(body), form, is_open=is_open)
        label = label_of(seen.media)
        if seen.total is None or seen.stop is None:
            whole = b"".join([chunk async for chunk in self._bounded(body)])
            if is_open:
                check_end(whole)
            return self._answered(seen, Part(seen.media, 0, len(whole), once(whole)), form, len(whole))
        if seen.total == 0 or seen.total > self._max_frame_bytes:
            raise OriginMismatch("no frame has that many bytes", "too_large" if seen.total else "length")
        claim = Claim(label, seen.total, seen.validator, seen.lease, form)
        return Answer(claim, seen.start, seen.stop, exactly(body, seen.stop - seen.start))

    def _tell_of(self, lease: Lease) -> None:
        """Warns once if the origin does not allow frames to be stored."""
        if min(lease.own, lease.shared) <= 0 and not self._has_told_of_lease:
            self._has_told_of_lease = True
            told = {"origin": self.name, "own": lease.own, "shared": lease.shared}
            _log.warning("the origin's Cache-Control keeps its frames from being kept", extra=told)

    async def _taken_apart(
        self, seen: Believed, body: AsyncIterator[bytes], form: int, *, is_open: bool
    ) -> Answer:
        if seen.start != 0:
            raise OriginMismatch("a range of a multipart body that was not begun", "multipart")
        if seen.stop != seen.total and seen.validator is None:
            raise OriginMismatch("a range of a multipart body that may be another next time", "multipart")
        part = await take_apart(body, seen.stop, seen.total, seen.media, is_open=is_open)
        return self._answered(seen, part, form, seen.stop)

    def _answered(self, seen: Believed, part: Part, form: int, have: int | None) -> Answer:
        """The answer for a part of a body, of which the first `have` bytes arrive; None is all bytes."""
        if part.total == 0 or part.total > self._max_frame_bytes:
            raise OriginMismatch("no frame has that many bytes", "too_large" if part.total else "length")
        label, ends = label_of(part.media), part.offset + part.total
        # Only an envelope may follow a part. A single part is the whole body.
        unknown = None if part.offset else 0
        tail = unknown if seen.total is None else max(0, seen.total - ends)
        claim = Claim(label, part.total, seen.validator, seen.lease, form, part.offset, tail)
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
        """The body as it arrives; decoded, unless `is_raw`."""
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

    async def forward(
        self, method: str, target: str, headers: Headers, body: AsyncIterable[bytes] | None
    ) -> httpx.Response:
        """Forwards a request. The caller closes the response, which is a stream. Raises `OriginError`."""
        request = httpx.Request(method, f"{self._base}/{target}", headers=encoded(headers), content=body)
        response = await self._passed(self._exchange.send(request))
        try:
            self._check_own_proof(response.status_code)
        except OriginFailed:
            await response.aclose()
            raise
        return response

    def _check_own_proof(self, status: int) -> None:
        """Raises `OriginFailed` if the proxy's own credentials are refused, since no viewer can mend that."""
        if self._is_own_proof and status in (401, 403):
            raise OriginFailed("the origin refuses the proxy's own credentials", status)

    async def _passed(self, sent: Awaitable[httpx.Response]) -> httpx.Response:
        """Counts the outcome of a forwarded request, and notes it for the health of the origin."""
        try:
            response = await sent
        except OriginError as error:
            self.health.note(error)
            raise
        status = response.status_code
        self.health.note(OriginBusy(status, None)) if status >= 500 else self.health.well()
        self._metrics.origin_requests.labels(self.name, "pass", "ok" if status < 500 else "failed").inc()
        return response

    def body_of(self, response: httpx.Response) -> AsyncIterator[bytes]:
        """The body of a forwarded response, as it arrives."""
        return self._timed(self._body(response, "pass", is_raw=True))

    def _timed(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """A body that is not a frame. It measures the rate of the link if no frame has done so yet."""
        return self._telling(body) if self._window.is_unknown else body

    async def _telling(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        arrival = self._window.asked(perf_counter(), was_idle=False)
        async for chunk in body:
            self._window.came(arrival, len(chunk), perf_counter(), is_full=False, is_all=False)
            yield chunk

    async def read_whole(self, target: str, headers: Headers) -> bytes:
        """Returns the body of a GET, which may not be larger than a frame. Raises `OriginError`."""
        response, body = await self._read(target, headers)
        self._check_own_proof(response.status_code)
        check_status(response.status_code, response.headers)
        return body

    async def _read(self, target: str, headers: Headers) -> tuple[httpx.Response, bytes]:
        response = await self._passed(self._exchange.get(f"{self._base}/{target}", headers))
        try:
            chunks = [chunk async for chunk in self._timed(self._bounded(self._body(response, "pass")))]
        finally:
            await response.aclose()
        return response, b"".join(chunks)

    async def greet(self) -> None:
        """Opens connections and checks that the origin responds at all. Raises `OriginError`.

        It opens two, because the completion of a frame is requested before its first fetch has ended.
        """
        await asyncio.gather(self._greet(), self._greet())

    async def _greet(self) -> None:
        try:
            response, _ = await self._read("studies?limit=1", ())
        except OriginRefused:  # it redirects to another host, for example to a login page
            return
        if response.status_code >= 500:
            raise OriginFailed(f"the origin answered {response.status_code}")

    async def aclose(self) -> None:
        """Closes every connection."""
        await self._exchange.aclose()
