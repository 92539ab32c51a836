"""The head of a response for a frame: 200, 206, 304 or 416, single part or multipart. Pure.

All of it follows at once from the identity and the request, before the rest of the frame is there.
"""

from dataclasses import dataclass
from hashlib import blake2b

from proxy.errors import RangeNotSatisfiable
from proxy.frame.identity import Identity
from proxy.wire.media import Envelope
from proxy.wire.multipart import SINGLE_PART, Wrapping, wrap
from proxy.wire.ranges import ContentRange, RangeRequest, Span, parse_range
from proxy.wire.request import Request
from proxy.wire.resource import FrameResource

Headers = list[tuple[bytes, bytes]]

SEEN = 131072
"""Bytes of a codestream of which a viewer that streams draws something, by Cornerstone3D's own defaults."""
LARGE = 2 * 1024 * 1024
"""Bytes of a codestream that, coming all at once, keep a viewer that streams from drawing."""
_NO_BYTE = Span(0, 0)


@dataclass(frozen=True, slots=True)
class Conditions:
    """The parts of a request besides its path."""

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

    @property
    def is_guarded_rest(self) -> bool:
        """True if a later range is wanted, if it is of a version that an ETag names."""
        is_rest = self.range is not None and self.range.first != 0 and not self.is_head
        return is_rest and (self.if_none_match is not None or (self.if_range or "").startswith('"'))


def conditions_of(request: Request, envelope: Envelope) -> Conditions:
    """The conditions of a request."""
    return Conditions(
        envelope,
        parse_range(request.header("range")),
        request.header("if-none-match"),
        request.header("if-range"),
        is_head=request.method == "HEAD",
    )


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """An answer whose body is still to come."""

    status: int
    """200, 206, 304 or 416."""
    headers: Headers
    """All but those that tell of time and cache."""
    before: bytes = b""
    """Bytes of the envelope before the codestream."""
    span: Span = _NO_BYTE
    """Span of the codestream; its stop is never None."""
    after: bytes = b""
    """Bytes of the envelope after the codestream."""
    is_final: bool = False
    """True if it includes the last byte of the frame."""
    is_progressive: bool = False
    """True if its first bytes are a picture."""

    @property
    def stop(self) -> int:
        """Where its span ends."""
        return self.span.stop or 0

    @property
    def steps(self) -> tuple[int, ...]:
        """Where a pause is due, and where its span ends."""
        is_large = self.span.start == 0 and self.stop >= LARGE
        return (SEEN, self.stop) if is_large and self.is_progressive else (self.stop,)


def compose(identity: Identity, resource: FrameResource, asked: Conditions) -> ResponseHead:
    """The answer to a request for a frame of which this is the identity.

    If-None-Match goes before Range (RFC 9110 13.2.2): browsers ask for a whole that they hold by a
    range with If-None-Match, and a viewer takes only a 304 or a 200 for an answer to that.
    """
    total, etag = identity.claim.total, identity.etag(asked.envelope)
    wrapping, media = wrapping_of(identity, resource, asked.envelope)
    headers = [
        (b"etag", etag.encode()),
        (b"vary", b"Accept"),
        (b"cache-control", b"private, no-cache"),
        # A 304 has these too: a browser answers its page from it, and by a 416 if the range lies behind.
        (b"content-type", media.encode()),
        (b"accept-ranges", b"bytes"),
    ]
    if identity.ends:
        headers.append((b"resolution-ends", ", ".join(map(str, identity.ends)).encode()))
    if identity.claim.resolution:
        headers.append((b"resolution", identity.claim.resolution.encode()))
    if identity.fault:
        headers.append((b"not-progressive", identity.fault.encode()))
    if _matches(asked.if_none_match, identity, asked.envelope):
        return ResponseHead(304, headers)
    size, status = wrapping.total(total), 200
    span = Span(0, size)
    if asked.is_head:  # ranges are for GET alone (RFC 9110 14.2)
        return ResponseHead(200, [*headers, _length(size)])
    # A range that is guarded by another version's ETag is no range (RFC 9110 13.1.5); nor is one by which a
    # browser asks whether the whole that it holds is still this. But whoever asks for a rest puts what comes
    # behind the first bytes that he has, whatever its status: he gets nothing. A weak ETag guards no range.
    is_same = asked.if_range == etag and identity.is_vouched
    is_other = asked.if_none_match is not None or not (asked.if_range is None or is_same)
    if asked.range is not None and is_other and asked.range.first != 0:
        return ResponseHead(416, [*headers, (b"content-range", b"bytes */%d" % size), _length(0)])
    if asked.range is not None and not is_other:
        try:
            span, status = asked.range.resolve(size), 206
        except RangeNotSatisfiable:
            return ResponseHead(416, [*headers, (b"content-range", b"bytes */%d" % size), _length(0)])
        said = ContentRange(span.start, span.stop or 0, size).to_header()
        headers.append((b"content-range", said.encode()))
    before, inner, after = wrapping.cut(span, total)
    headers.append(_length((span.stop or 0) - span.start))
    is_final = inner.start < total == inner.stop
    return ResponseHead(status, headers, before, inner, after, is_final, identity.is_progressive)


def _length(size: int) -> tuple[bytes, bytes]:
    return b"content-length", b"%d" % size


def wrapping_of(identity: Identity, resource: FrameResource, envelope: Envelope) -> tuple[Wrapping, str]:
    """The envelope of a codestream, and the media type of the whole."""
    label = identity.label
    if envelope is Envelope.SINGLE:
        return SINGLE_PART, label
    # The same at every request and in every process, and in no codestream but by a chance of 2**-128.
    boundary = blake2b(resource.path.encode(), digest_size=16).hexdigest()
    media = f'multipart/related; type="{label.partition(";")[0]}"; boundary={boundary}'
    return wrap(boundary, label), media


def _matches(if_none_match: str | None, identity: Identity, envelope: Envelope) -> bool:
    if if_none_match is None:
        return False
    tags = [tag.strip() for tag in if_none_match.split(",")]
    return tags == ["*"] or any(identity.is_named(tag, envelope) for tag in tags)
