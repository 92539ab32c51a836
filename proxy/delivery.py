"""The answers to viewers: 200 as it arrives, 206, 304, 416; single part or multipart.

What is said is composed at once from the identity and the request (`compose`, pure); the body follows
as its bytes come (`send_frame`). Nothing is said before the first byte of the body is there: until then an
answer can still become an error with a status. After it, an error can only end the connection.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from time import perf_counter

from starlette.types import Receive, Send

from proxy.cache.frame import Identity
from proxy.errors import RangeNotSatisfiable
from proxy.retrieve import CacheDid, Source
from proxy.wire.media import Envelope
from proxy.wire.multipart import SINGLE_PART, Wrapping, wrap
from proxy.wire.ranges import ContentRange, RangeRequest, Span, parse_range
from proxy.wire.request import Request
from proxy.wire.resource import FrameResource

Headers = list[tuple[bytes, bytes]]

NAME = "progressive-proxy"
FIRST = 65536
"""Bytes of a codestream that count as a first picture in the metrics."""
_NO_BYTE = Span(0, 0)


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a request says besides its path."""

    envelope: Envelope
    """How the codestream is to be wrapped."""
    range: RangeRequest | None = None
    """Which bytes of the representation; None is all."""
    if_none_match: str | None = None
    """As it came."""
    if_range: str | None = None
    """As it came."""
    is_head: bool = False
    """Headers alone are wanted."""


def conditions_of(request: Request, envelope: Envelope) -> Conditions:
    """What a request says."""
    return Conditions(
        envelope,
        parse_range(request.header("range")),
        request.header("if-none-match"),
        request.header("if-range"),
        is_head=request.method == "HEAD",
    )


@dataclass(frozen=True, slots=True)
class Composed:
    """An answer whose body is still to come."""

    status: int
    """200, 206, 304 or 416."""
    headers: Headers
    """All but those that tell of time and cache."""
    before: bytes = b""
    """Of the envelope, before the codestream."""
    span: Span = _NO_BYTE
    """Of the codestream; its stop is never None."""
    after: bytes = b""
    """Of the envelope, after the codestream."""
    is_final: bool = False
    """Whether the last byte of the frame is among it."""

    @property
    def stop(self) -> int:
        """Where its span ends."""
        return self.span.stop or 0


def compose(identity: Identity, resource: FrameResource, asked: Conditions) -> Composed:
    """The answer to a request for a frame of which this is the identity.

    If-None-Match goes before Range (RFC 9110 13.2.2): browsers ask for a whole that they hold by a
    range with If-None-Match, and a viewer takes only a 304 or a 200 for an answer to that.
    """
    total, etag = identity.claim.total, identity.etag(asked.envelope)
    wrapping, media = _wrapping(identity, resource, asked.envelope)
    headers = [
        (b"etag", etag.encode()),
        (b"vary", b"Accept"),
        (b"cache-control", b"private, no-cache"),
    ]
    if identity.ends:
        headers.append((b"resolution-ends", ", ".join(map(str, identity.ends)).encode()))
    if identity.claim.resolution:
        headers.append((b"resolution", identity.claim.resolution.encode()))
    if identity.fault:
        headers.append((b"not-progressive", identity.fault.encode()))
    if _matches(asked.if_none_match, etag):
        return Composed(304, headers)
    headers += [(b"content-type", media.encode()), (b"accept-ranges", b"bytes")]
    size, status = wrapping.total(total), 200
    span = Span(0, size)
    if asked.is_head:  # ranges are for GET alone (RFC 9110 14.2)
        return Composed(200, [*headers, _length(size)])
    # A range that is guarded by another version's ETag is no range (RFC 9110 13.1.5); nor is one by which a
    # browser asks whether the whole that it holds is still this. But whoever asks for a rest puts what comes
    # behind the first bytes that he has, whatever its status: he gets nothing.
    is_other = asked.if_none_match is not None or asked.if_range not in (None, etag)
    if asked.range is not None and is_other and asked.range.first != 0:
        return Composed(416, [*headers, (b"content-range", b"bytes */%d" % size), _length(0)])
    if asked.range is not None and not is_other:
        try:
            span, status = asked.range.resolve(size), 206
        except RangeNotSatisfiable:
            return Composed(416, [*headers, (b"content-range", b"bytes */%d" % size), _length(0)])
        said = ContentRange(span.start, span.stop or 0, size).to_header()
        headers.append((b"content-range", said.encode()))
    before, inner, after = wrapping.cut(span, total)
    headers.append(_length((span.stop or 0) - span.start))
    return Composed(status, headers, before, inner, after, is_final=inner.start < total == inner.stop)


def _length(size: int) -> tuple[bytes, bytes]:
    return b"content-length", b"%d" % size


def _wrapping(identity: Identity, resource: FrameResource, envelope: Envelope) -> tuple[Wrapping, str]:
    label = identity.label
    if envelope is Envelope.SINGLE:
        return SINGLE_PART, label
    # The same at every request and in every process, and in no codestream but by a chance of 2**-128.
    boundary = blake2b(resource.path.encode(), digest_size=16).hexdigest()
    media = f'multipart/related; type="{label.partition(";")[0]}"; boundary={boundary}'
    return wrap(boundary, label), media


def _matches(if_none_match: str | None, etag: str) -> bool:
    if if_none_match is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in tags or tags == ["*"]


def cache_status(did: CacheDid) -> str:
    """The value of Cache-Status (RFC 9211).

    >>> cache_status(CacheDid.HIT), cache_status(CacheDid.COLLAPSED)
    ('progressive-proxy; hit', 'progressive-proxy; fwd=miss; collapsed')
    """
    if did is CacheDid.HIT:
        return f"{NAME}; hit"
    return f"{NAME}; fwd=miss; collapsed" if did is CacheDid.COLLAPSED else f"{NAME}; fwd={did}; stored"


@dataclass(slots=True)
class Progress:
    """How far an answer has come; times are seconds from the request."""

    began: float
    """When the request came, by the clock of `perf_counter`."""
    did: CacheDid = CacheDid.MISS
    """What the cache did."""
    profile: str = ""
    """Name of the profile that was chosen."""
    status: int = 0
    """Of the answer, once it has started."""
    has_started: bool = False
    """Whether the status is on its way, so that no other can be given."""
    sent: int = 0
    """Bytes of the codestream that the connection took."""
    first: float | None = None
    """When the first bytes of the picture were handed over; None in an answer that lacks them."""
    final: float | None = None
    """When the last byte of the frame was handed over; None in an answer that lacks it."""

    def count(self, size: int, composed: Composed) -> None:
        """Bytes of the codestream were handed over."""
        self.sent += size
        at = composed.span.start + self.sent
        if composed.span.start == 0 and self.first is None and at >= min(FIRST, composed.stop):
            self.first = perf_counter() - self.began
        if composed.is_final and at == composed.stop:
            self.final = perf_counter() - self.began


async def send_frame(send: Send, composed: Composed, source: Source, progress: Progress) -> None:
    """Sends an answer as its bytes come. Raises what ended the source."""
    at, stop = composed.span.start, composed.stop
    ready = await source.take(at, stop) if at < stop else ()
    is_all_here = composed.is_final and sum(map(len, ready)) == stop - at
    headers = [*composed.headers, *_told(progress, is_all_here=is_all_here)]
    progress.has_started, progress.status = True, composed.status
    await send({"type": "http.response.start", "status": composed.status, "headers": headers})
    if composed.before:
        await send(_body(composed.before, is_last=False))
    while at < stop:
        for piece in ready or await source.take(at, stop):
            at += len(piece)
            await send(_body(piece, is_last=at == stop and not composed.after))
            progress.count(len(piece), composed)
        ready = ()
    if composed.after or composed.span.start == stop:
        await send(_body(composed.after, is_last=True))


async def send_part(
    send: Send,
    first: FrameResource,
    identity: Identity,
    pieces: Sequence[bytes],
    progress: Progress,
    number: int,
    *,
    is_last: bool,
) -> None:
    """Sends one frame of several, with the head of the answer before the first (PS3.18 8.6.1.2).

    `number` is the part's, from 0. The length of the answer is not told: frames are not waited for.
    """
    wrapping, media = _wrapping(identity, first, Envelope.MULTIPART)
    if number == 0:
        headers = [
            (b"content-type", media.encode()),
            (b"vary", b"Accept"),
            (b"cache-control", b"no-store"),  # there is no ETag to ask with whether it is still so
            *_told(progress, is_all_here=False),
        ]
        progress.has_started, progress.status = True, 200
        await send({"type": "http.response.start", "status": 200, "headers": headers})
    delimiter = wrapping.before if number == 0 else b"\r\n" + wrapping.before
    await send(_body(delimiter, is_last=False))
    for piece in pieces:
        progress.sent += len(piece)
        await send(_body(piece, is_last=False))
    if is_last:
        await send(_body(wrapping.after, is_last=True))


def _told(progress: Progress, *, is_all_here: bool) -> Headers:
    """What the cache did, and how long the first bytes took; the final ones where they are here too."""
    waited = perf_counter() - progress.began
    timing = f"first;dur={waited * 1000:.1f}" + (f", final;dur={waited * 1000:.1f}" if is_all_here else "")
    return [(b"cache-status", cache_status(progress.did).encode()), (b"server-timing", timing.encode())]


def _body(piece: bytes, *, is_last: bool) -> dict[str, object]:
    return {"type": "http.response.body", "body": piece, "more_body": not is_last}


async def until_gone(receive: Receive, work: Coroutine[object, object, None]) -> bool:
    """Does the work, unless the viewer leaves first; whether it was done.

    A response that only sends never hears that its viewer left, so somebody has to listen.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            return False
        await working
        return True
    finally:
        working.cancel()
        leaving.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
