"""The head of a response for a resource that is not a frame: 200, 206, 304, 416 or the origin's own. Pure.

A response that the proxy keeps gets its own headers about caching, as a frame does: a browser may keep it, if
it has a validator, and has to ask before it uses it again. All other responses keep the origin's.

A body with the content coding gzip is undone for a viewer that does not accept it. The ETag is then weak,
since the bytes are others.
"""

from dataclasses import dataclass

from proxy.cache.representation import WEAK, Head, is_named, weak
from proxy.errors import RangeNotSatisfiable
from proxy.fetch.reading import Reading
from proxy.fetch.source import CacheOutcome
from proxy.viewers.delivery import NAME
from proxy.wire.passing import accepts_gzip
from proxy.wire.ranges import ContentRange, RangeRequest, Span, parse_range
from proxy.wire.request import Request

Headers = list[tuple[bytes, bytes]]

GZIP = "gzip"
_NO_BODY = Span(0, 0)
_NO_LENGTH = frozenset({204, 304})
"""Statuses of responses without a body; a length in one is none of it (RFC 9110 8.6)."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The parts of a request that decide on the form of the response."""

    range: RangeRequest | None
    """The bytes that are wanted; None is all."""
    if_range: str | None
    """The value of If-Range."""
    if_none_match: str | None
    """The value of If-None-Match."""
    if_modified_since: str | None
    """The value of If-Modified-Since."""
    accepts_gzip: bool
    """True if the body may be in this content coding."""
    is_head: bool
    """True if only the head is wanted."""

    def part_of(self, etag: str) -> RangeRequest | None:
        """The range that is wanted of this version; None if all of it is.

        Several ranges and malformed ones are ignored (RFC 9110 14.2), and one that is meant for another
        version (13.1.5).
        """
        is_of_this = self.if_range is None or (self.if_range == etag and not etag.startswith(WEAK))
        is_plain = not self.is_head and self.if_none_match is None and is_of_this
        return self.range if is_plain and self.range is not None and not self.range.fault else None


@dataclass(frozen=True, slots=True)
class Composed:
    """A response that is ready to be sent, but for its body."""

    status: int
    """Its status."""
    headers: Headers
    """All headers but Server-Timing and Via."""
    span: Span
    """The bytes of the body that are sent; its stop is None to send all that arrives."""
    is_undone: bool = False
    """True if the content coding of the body is undone."""


def wanted_of(request: Request) -> Wanted:
    """The form that a request wants."""
    return Wanted(
        parse_range(request.header("range")),
        request.header("if-range"),
        request.header("if-none-match"),
        request.header("if-modified-since"),
        accepts_gzip(request.header("accept-encoding")),
        request.method == "HEAD",
    )


def compose(reading: Reading, wanted: Wanted) -> Composed:
    """The response to a request."""
    head = reading.head
    is_undone = head.coding == GZIP and not wanted.accepts_gzip
    is_whole = reading.held is not None
    if not (is_whole or head.is_kept):
        return _as_it_came(reading, wanted, is_undone=is_undone)
    etag = head.etag if reading.held is None else reading.held.etag
    etag = weak(etag) if is_undone else etag
    headers = [*_own(head, etag), (b"cache-status", cache_status(reading).encode())]
    if not is_undone:
        headers.append((b"accept-ranges", b"bytes"))  # of what is held, as soon as all of it is
    if _is_same(etag, head, wanted):
        return Composed(304, headers, _NO_BODY)
    headers += _form(head, is_undone=is_undone)
    size = None if is_undone else (reading.held.size if reading.held is not None else head.length)
    part = wanted.part_of(etag)
    if is_whole and size is not None and part is not None:
        return _part(part, size, headers)
    if size is not None:
        headers.append((b"content-length", b"%d" % size))
    return Composed(200, headers, _NO_BODY if wanted.is_head else Span(0, size), is_undone)


def cache_status(reading: Reading) -> str:
    """The value of Cache-Status (RFC 9211)."""
    if reading.outcome is CacheOutcome.HIT:
        return f"{NAME}; hit; ttl={int(reading.left)}"
    if reading.outcome is CacheOutcome.COLLAPSED:
        return f"{NAME}; fwd=miss; collapsed"
    did = "; fwd-status=304" if reading.reader is None else "; stored" if reading.head.is_kept else ""
    return f"{NAME}; fwd={reading.outcome}{did}"


def _as_it_came(reading: Reading, wanted: Wanted, *, is_undone: bool) -> Composed:
    """A response that is not kept, with all that the origin says about it."""
    head = reading.head
    etag = weak(head.etag) if is_undone else head.etag
    headers = [*_encoded(head.headers), *_encoded(head.caching)]
    if etag:
        headers.append((b"etag", etag.encode("latin-1")))
    headers.append((b"cache-status", cache_status(reading).encode()))
    if head.status == 200 and _is_same(etag, head, wanted):
        return Composed(304, headers, _NO_BODY)
    headers += _form(head, is_undone=is_undone)
    if head.length is not None and not is_undone and head.status not in _NO_LENGTH:
        headers.append((b"content-length", b"%d" % head.length))
    return Composed(head.status, headers, Span(0, None), is_undone)


def _own(head: Head, etag: str) -> Headers:
    headers = [*_encoded(head.headers), (b"vary", b"Accept, Accept-Encoding")]
    if etag:
        headers.append((b"etag", etag.encode("latin-1")))
    can_be_asked = etag or _modified(head) is not None
    return [*headers, (b"cache-control", b"private, no-cache" if can_be_asked else b"no-store")]


def _form(head: Head, *, is_undone: bool) -> Headers:
    return [(b"content-encoding", head.coding.encode("latin-1"))] if head.coding and not is_undone else []


def _is_same(etag: str, head: Head, wanted: Wanted) -> bool:
    """True if the viewer holds this version (RFC 9110 13.2.2)."""
    if wanted.if_none_match is not None:
        return is_named(etag, wanted.if_none_match)
    modified = _modified(head)
    return modified is not None and wanted.if_modified_since == modified


def _modified(head: Head) -> str | None:
    return next((value for name, value in head.headers if name == "last-modified"), None)


def _part(wanted: RangeRequest, size: int, headers: Headers) -> Composed:
    try:
        span = wanted.resolve(size)
    except RangeNotSatisfiable:
        beyond = [(b"content-range", b"bytes */%d" % size), (b"content-length", b"0")]
        return Composed(416, [*headers, *beyond], _NO_BODY)
    stop = span.stop or 0
    said = ContentRange(span.start, stop, size).to_header().encode()
    length = b"%d" % (stop - span.start)
    return Composed(206, [*headers, (b"content-range", said), (b"content-length", length)], span)


def _encoded(pairs: tuple[tuple[str, str], ...]) -> Headers:
    return [(name.encode("latin-1"), value.encode("utf-8")) for name, value in pairs]
