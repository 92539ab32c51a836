"""One origin: a fetch of a span of a frame, checked and bounded.

A request has the form that works at the origin (`proxy.origin.forms`). A single part is fetched by ranges,
because they are ranges of the codestream (PS3.18 8.6). A multipart body is fetched whole and taken apart. It
is fetched by ranges only if a validator proves that the origin's body is the same each time, because these
are ranges of the body around the codestream.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache, partial
from time import perf_counter
from urllib.parse import urlsplit

import httpx

from proxy.cache.kept import Ledger
from proxy.errors import (
    OriginError,
    OriginMismatch,
    OriginRefused,
    OtherForm,
)
from proxy.frame.identity import Claim, Lease
from proxy.frame.supply import Answer, OriginRequest
from proxy.origin.answer import Believed, believe, ends_with_connection, label_of
from proxy.origin.bodies import Bodies, LeastRate
from proxy.origin.codings import without_false
from proxy.origin.exchange import Exchange
from proxy.origin.forms import Asking, OriginReport
from proxy.origin.freshness import renewed
from proxy.origin.health import Health
from proxy.origin.inquiry import WHOLE, Inquiry, Reply
from proxy.origin.missing import Missing
from proxy.origin.otherwise import as_wanted, check_form, is_named
from proxy.origin.parts import Part, check_end, exactly, once, take_apart, within
from proxy.origin.plain import PlainRequests
from proxy.origin.spellings import spellings_of
from proxy.origin.window import Window
from proxy.telemetry.telemetry import Telemetry
from proxy.wire.public import Publishing
from proxy.wire.ranges import Span
from proxy.wire.via import Via

METADATA_BYTES = 128 * 1024 * 1024
"""Bytes of the metadata of a series, unless set."""
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
        forwards: int,
        metadata_bytes: int = METADATA_BYTES,
        ledger: Ledger | None = None,
        keeps_labels: bool = False,
        window: Window | None = None,
        least_rate: LeastRate | None = None,
        is_trusted: bool = False,
        via: Via | None = None,
        publishing: Publishing | None = None,
        is_htj2k_only: bool = False,
    ) -> None:
        """The proxy forwards `forwards` requests at once that are not for frames.

        `metadata_bytes` is the limit for the metadata of a series. The ledger counts what is learned here.
        With `is_htj2k_only`, a frame in no form that its key names is HTJ2K, or the error is `OtherForm`.
        """
        self.name = name
        self.via = via or Via()
        """Written into each request, and looked for in each answer."""
        self.publishing = publishing or Publishing()
        """How its URLs are published."""
        self._base = base_url.rstrip("/")
        self.base_path = urlsplit(self._base).path
        """The path of its base there, without a slash at its end."""
        self._requests = cache(telemetry.metrics.origin_requests.labels)
        self._first_byte = cache(telemetry.metrics.origin_first_byte.labels)
        self._max_frame_bytes = max_frame_bytes
        self.asking = Asking(name, ledger=ledger)
        """Which form of asking for frames works there."""
        self._elsewhere: dict[tuple[str, str], Asking] = {}
        self._ledger = ledger
        self.keeps_labels = keeps_labels
        """True if HTJ2K is handed on under its label there, true or not."""
        self._is_trusted = is_trusted
        self._is_htj2k_only = is_htj2k_only
        self._has_told_of_lease = False
        self.health = Health(name, telemetry)
        """True if it is asked at all just now."""
        self.missing = Missing(ledger=ledger)
        """The frames that it lacks, as it said a moment ago."""
        self._exchange = Exchange(transport, auth, self.via)
        bounds = max_frame_bytes, least_rate or LeastRate()
        self._bodies = Bodies(name, *bounds, telemetry, self.health.remember)
        self.plain = PlainRequests(
            name,
            self._base,
            self._exchange,
            self._bodies,
            self.health,
            window or Window(),
            telemetry,
            forwards,
            metadata_bytes,
            is_trusted=is_trusted,
        )
        """Everything that is not a frame."""

    def report(self) -> OriginReport:
        """The abilities that its responses showed."""
        return self.asking.report(is_resting=self.health.is_resting)

    def forget_forms(self) -> None:
        """Forgets what was learned of the forms of requests, so that each is tried anew."""
        for asking in (self.asking, *self._elsewhere.values()):
            asking.forget()

    @property
    def has_validators(self) -> bool | None:
        """True if its frames have strong validators; None if that is not known yet."""
        return self.asking.has_validators

    @property
    def has_ranges(self) -> bool | None:
        """True if it answered the last range with a range; None if it was not asked for one yet."""
        return self.asking.has_ranges

    def may_ask_again(self) -> bool:
        """True if one request that failed may be asked again; counts it."""
        return self.health.may_ask_again()

    @asynccontextmanager
    async def fetch(
        self,
        asked: OriginRequest,
        span: Span,
        held: Claim | None,
        stage: str,
        demand: object = None,
        stale: Claim | None = None,
    ) -> AsyncIterator[Answer]:
        """Asks for a span of a codestream; `held` guards it against another version. Raises `OriginError`.

        If the origin still has the version in `stale`, it says so and sends no bytes. The `demand` makes no
        difference to an origin.
        """
        del demand
        self.missing.check(asked)
        outcome, reply, changes = "ok", None, self.missing.changes
        series, asking = self._asking(asked)
        inquiry = Inquiry(self._exchange, self._base, asking, series, asked, span, held, stale)
        if self.health.is_doubted:
            await self.health.admit(partial(self.plain.is_answered, asked.credentials))
        began = perf_counter()
        try:
            reply = await inquiry.reply()
            self._first_byte(self.name, stage).observe(perf_counter() - began)
            if held is None:
                check_form(asked.key.form, reply.status)
            answer = await self._answer(reply, held, stage)
            if held is None and not answer.is_unchanged:
                read = partial(self._answer, held=None, stage=stage)
                free, only = replace(inquiry, stale=None), self._is_htj2k_only
                reply, answer = await as_wanted(free, reply, answer, read, is_htj2k_only=only)
            asking.learn(series, answer.claim, reply.status, reply.headers, is_ranged=reply.is_ranged)
            self.health.well(is_frame=True)
            if asking.has_ranges is False and span != WHOLE and not answer.is_unchanged:
                self.health.troubles.note("range")
            yield answer
        except OriginRefused as error:
            outcome = "refused"
            self.missing.note(asked, error.status, changes)
            self.health.note(error)
            self.plain.check_own_proof(error.status)
            raise
        except OriginError as error:
            if isinstance(error, OriginMismatch) and error.reason == "multipart":
                asking.note_unfit_range()
            outcome = type(error).__name__.removeprefix("Origin").lower()
            self.health.note(error)
            is_none = isinstance(error, OriginMismatch) and error.reason == "media_type"
            if is_none and is_named(asked.key.form):
                raise OtherForm("the origin sent something that is no frame") from error
            raise
        finally:
            self._requests(self.name, stage, outcome).inc()
            if reply is not None:
                await reply.response.aclose()

    def _asking(self, asked: OriginRequest) -> tuple[str, Asking]:
        """The series, and which ways of asking work for frames, for an alternate, or for another form."""
        path, form = asked.key.frames_path, asked.key.form
        series = asked.path.partition("/instances/")[0]
        if not (path or is_named(form)):
            return series, self.asking
        known = None if form else self.asking.known
        asking = self._elsewhere.get((path, form))
        if asking is None:  # there are no more than the configuration and the standard name
            asking = Asking(self.name, known, ledger=self._ledger, spelled=spellings_of(form))
            self._elsewhere[path, form] = asking
        return series, asking

    async def _answer(self, reply: Reply, held: Claim | None, stage: str) -> Answer:
        """The response, in bytes of the codestream."""
        response, ranged, form, headers = reply.response, reply.span, reply.form, reply.headers
        if reply.unchanged is not None:
            lease = renewed(reply.unchanged.lease, headers, is_trusted=self._is_trusted)
            claim = replace(reply.unchanged, lease=lease)
            return Answer(claim, 0, 0, once(b""), is_unchanged=True)
        body = self._bodies.arriving(response, stage)
        if "content-encoding" in headers and response.status_code in (200, 206):
            headers, body = await without_false(headers, body, is_rest=held is not None)
        seen = believe(response.status_code, headers, ranged, held, is_trusted=self._is_trusted)
        self._tell_of(seen.lease)
        if (
            held is not None and seen.stop is not None and seen.start < ranged.start
        ):  # all instead of the rest
            # Without a validator only the bytes that are held tell if it is the same version.
            start = ranged.start if held.validator else held.offset
            stop = min(seen.stop, ranged.stop or seen.stop)
            seen, body = replace(seen, start=start, stop=stop), within(body, start, stop)
        if held is not None and held.offset:
            start, stop = seen.start - held.offset, min((seen.stop or 0) - held.offset, held.total)
            claim = replace(held, validator=seen.validator, lease=seen.lease)
            return Answer(claim, start, stop, exactly(body, stop - start))
        is_open = ends_with_connection(headers, response.http_version)
        if seen.media.name == "multipart/related":
            return await self._taken_apart(seen, self._bodies.bounded(body), form, is_open=is_open)
        label = label_of(seen.media)
        if seen.total is None or seen.stop is None:
            whole = b"".join([chunk async for chunk in self._bodies.bounded(body)])
            if is_open:
                check_end(whole)
            return self._answered(seen, Part(seen.media, 0, len(whole), once(whole)), form, len(whole))
        if seen.total == 0 or seen.total > self._max_frame_bytes:
            raise OriginMismatch("no frame has that many bytes", "too_large" if seen.total else "length")
        claim = Claim(label, seen.total, seen.validator, seen.lease, form)
        return Answer(claim, seen.start, seen.stop, exactly(body, seen.stop - seen.start))

    def _tell_of(self, lease: Lease) -> None:
        """Logs once that the origin does not let frames be reused without a request."""
        if min(lease.own, lease.shared) <= 0 and not self._has_told_of_lease:
            self._has_told_of_lease = True
            told = {"origin": self.name, "own": lease.own, "shared": lease.shared}
            _log.warning("the origin's Cache-Control costs a request for each use of a frame", extra=told)

    async def _taken_apart(
        self, seen: Believed, body: AsyncIterator[bytes], form: int, *, is_open: bool
    ) -> Answer:
        if seen.start != 0:
            raise OriginMismatch(
                "a range of a multipart body whose start the proxy does not have", "multipart"
            )
        if seen.stop != seen.total and seen.validator is None:
            raise OriginMismatch("a range of a multipart body that may be another next time", "multipart")
        part = await take_apart(body, seen.stop, seen.total, seen.media, is_open=is_open)
        return self._answered(seen, part, form, seen.stop)

    def _answered(self, seen: Believed, part: Part, form: int, have: int | None) -> Answer:
        """The answer of a part, of whose body so many bytes arrive; None is all of them."""
        if part.total == 0 or part.total > self._max_frame_bytes:
            raise OriginMismatch("no frame has that many bytes", "too_large" if part.total else "length")
        label, ends = label_of(part.media), part.offset + part.total
        # Only an envelope may hide behind a part; a single part is all of its body.
        unknown = None if part.offset else 0
        tail = unknown if seen.total is None else max(0, seen.total - ends)
        claim = Claim(label, part.total, seen.validator, seen.lease, form, part.offset, tail)
        stop = part.total if have is None else min(have - part.offset, part.total)
        return Answer(claim, 0, stop, exactly(part.chunks, stop))

    async def aclose(self) -> None:
        """Closes every connection."""
        await self._exchange.aclose()
