"""The head of a response for a frame: 200, 206, 304 or 416, single part or multipart. Pure.

It follows from the identity and the request only, so it is known before the rest of the frame is in.
If-Unmodified-Since has no effect, because frames have no modification date here (RFC 9110 13.1.4).
"""

from dataclasses import dataclass
from hashlib import blake2b

from proxy.errors import PreconditionFailed, RangeNotSatisfiable
from proxy.frame.identity import Identity
from proxy.wire.media import Envelope
from proxy.wire.multipart import SINGLE_PART, Wrapping, wrap
from proxy.wire.ranges import ContentRange, RangeRequest, Span, parse_range
from proxy.wire.request import Request
from proxy.wire.resource import FrameResource

Headers = list[tuple[bytes, bytes]]

SEEN = 131072
"""Bytes of a codestream after which a viewer that streams draws, by the defaults of Cornerstone3D."""
LARGE = 2 * 1024 * 1024
"""Bytes of a codestream that keep a viewer that streams from drawing if they come without a pause."""
_NO_BYTE = Span(0, 0)


@dataclass(frozen=True, slots=True)
class Conditions:
    """The parts of a request beside its path."""

    envelope: Envelope
    """The envelope that the viewer wants around the codestream."""
    range: RangeRequest | None = None
    """The bytes of the representation that are wanted; None is all."""
    if_none_match: str | None = None
    """The value of If-None-Match."""
    if_range: str | None = None
    """The value of If-Range."""
    is_head: bool = False
    """True if only the headers are wanted."""
    if_match: str | None = None
    """The value of If-Match."""

    @property
    def stop(self) -> int | None:
        """How far the codestream is read; None is to the end.

        A range of the representation needs no more of the codestream than its own end.
        """
        if self.is_head:
            return 0
        return None if self.range is None else self.range.stop_wanted

    @property
    def is_guarded_rest(self) -> bool:
        """True if a range after byte 0 is wanted, of a version that an ETag names."""
        is_rest = self.range is not None and self.range.first != 0 and not self.is_head
        return is_rest and (self.if_none_match is not None or (self.if_range or "").startswith('"'))

    @property
    def needs_strong(self) -> bool:
        """True if If-Match has a strong ETag, which a weak one of the frame would never match."""
        return any(tag.startswith('"') for tag in _tags(self.if_match))

    def check_match(self, etag: str) -> None:
        """Raises `PreconditionFailed` if If-Match does not name this ETag; empty if there is none.

        The comparison is strong: a weak ETag on either side matches nothing (RFC 9110 13.1.1).
        """
        tags = _tags(self.if_match)
        is_strong = etag.startswith('"')
        if self.if_match is not None and tags != ["*"] and not (is_strong and etag in tags):
            raise PreconditionFailed("If-Match names only other versions")


def conditions_of(request: Request, envelope: Envelope) -> Conditions:
    """The conditions of a request."""
    return Conditions(
        envelope,
        parse_range(request.header("range")),
        request.header("if-none-match"),
        request.header("if-range"),
        is_head=request.method == "HEAD",
        if_match=request.header("if-match"),
    )


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """A response whose body is still to come."""

    status: int
    """200, 206, 304 or 416."""
    headers: Headers
    """All headers but Cache-Status, Server-Timing and Via."""
    before: bytes = b""
    """Bytes of the envelope before the codestream."""
    span: Span = _NO_BYTE
    """Span of the codestream; its stop is never None."""
    after: bytes = b""
    """Bytes of the envelope after the codestream."""
    is_final: bool = False
    """True if the response has the last byte of the frame."""
    is_progressive: bool = False
    """True if the first bytes of the frame already show a picture."""

    @property
    def stop(self) -> int:
        """End of the span; exclusive."""
        return self.span.stop or 0

    @property
    def steps(self) -> tuple[int, ...]:
        """The offset at which a pause is due, if any, and the end of the span."""
        is_large = self.span.start == 0 and self.stop >= LARGE
        return (SEEN, self.stop) if is_large and self.is_progressive else (self.stop,)


def compose(identity: Identity, resource: FrameResource, asked: Conditions) -> ResponseHead:
    """Composes the response to a request for a frame with this identity. Raises `PreconditionFailed`.

    If-None-Match takes precedence over Range (RFC 9110 13.2.2). A browser that holds the whole frame
    revalidates it by a range with If-None-Match. A viewer accepts only a 304 or a 200 as the response.
    """
    total, etag = identity.claim.total, identity.etag(asked.envelope)
    asked.check_match(etag)  # before all other conditions (RFC 9110 13.2.2)
    wrapping, media = wrapping_of(identity, resource, asked.envelope)
    headers = [
        (b"etag", etag.encode()),
        (b"vary", b"Accept"),
        (b"cache-control", b"private, no-cache"),
        # A 304 has these too. A browser answers its page from them, with a 416 if the range is past the end.
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
    if asked.is_head:  # ranges are defined for GET only (RFC 9110 14.2)
        return ResponseHead(200, [*headers, _length(size)])
    # A range whose If-Range names another version is ignored (RFC 9110 13.1.5). A range with If-None-Match is
    # ignored too: a browser sends it to revalidate a complete copy. Exception: a viewer that resumes from a
    # later offset would append any body, whatever the status, so it gets a 416 without one. A weak ETag
    # guards no range.
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
    """The envelope around a codestream, and the media type of the response."""
    label = identity.label
    if envelope is Envelope.SINGLE:
        return SINGLE_PART, label
    # The same for every request and in every process. It occurs in a codestream with a chance of 2**-128.
    boundary = blake2b(resource.path.encode(), digest_size=16).hexdigest()
    media = f'multipart/related; type="{label.partition(";")[0]}"; boundary={boundary}'
    return wrap(boundary, label), media


def _matches(if_none_match: str | None, identity: Identity, envelope: Envelope) -> bool:
    tags = _tags(if_none_match)
    return tags == ["*"] or any(identity.is_named(tag, envelope) for tag in tags)


def _tags(value: str | None) -> list[str]:
    """The ETags of If-Match or If-None-Match; no ETag of the proxy has a comma."""
    return [] if value is None else [tag.strip() for tag in value.split(",")]
