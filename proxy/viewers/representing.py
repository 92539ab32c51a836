"""The head of a response for a resource that is not a frame: 200, 206, 304, 416 or the origin's own. Pure.

A response that the proxy keeps gets its own headers about caching, as a frame does: a browser may keep it, if
it has a validator, and has to ask before it uses it again. All other responses keep the origin's.

If a viewer gets other bytes than the proxy holds (`proxy.viewers.transforming`), the response has no length
and no ranges, and its ETag is weak. Bytes that the proxy compressed have no ranges either: they would be
others after the next time.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from proxy.cache.representation import WEAK, Head, is_named
from proxy.errors import RangeNotSatisfiable
from proxy.fetch.reading import Reading
from proxy.fetch.source import CacheOutcome
from proxy.viewers.delivery import NAME
from proxy.viewers.published import VARY_CODING, Published
from proxy.viewers.transforming import Transformation, transformation_of, transformed
from proxy.wire.ranges import ContentRange, RangeRequest, Span, parse_range
from proxy.wire.request import Request

Headers = list[tuple[bytes, bytes]]

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
    accept_encoding: str | None
    """The value of Accept-Encoding."""
    is_head: bool
    """True if only the head is wanted."""
    published: Published | None = None
    """How the origin's URLs are published to the viewer; None if they stay as they are."""

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
    transformation: Transformation = field(default_factory=Transformation)
    """How the body is transformed."""


def wanted_of(request: Request, published: Published | None = None) -> Wanted:
    """The form that a request wants."""
    return Wanted(
        parse_range(request.header("range")),
        request.header("if-range"),
        request.header("if-none-match"),
        request.header("if-modified-since"),
        request.header("accept-encoding"),
        request.method == "HEAD",
        published,
    )


def compose(reading: Reading, wanted: Wanted) -> Composed:
    """The response to a request."""
    changed = transformation_of(reading.head, wanted.published, wanted.accept_encoding)
    head, is_whole = transformed(reading.head, changed, wanted.published), reading.held is not None
    if not (is_whole or head.is_kept):
        return _as_it_came(reading, head, wanted, changed)
    etag = head.etag if reading.held is None else changed.etag(reading.held.etag)
    vary = encoded(tuple(pair for pair in changed.vary if pair != VARY_CODING))  # its own names that already
    headers = [*_own(head, etag), *vary, (b"cache-status", cache_status(reading).encode())]
    is_ranged = not (changed.is_any or head.is_coded_here)
    if is_ranged:
        headers.append((b"accept-ranges", b"bytes"))  # of what is held, as soon as all of it is
    if _is_same(etag, head, wanted, changed):
        return Composed(304, headers, _NO_BODY)
    headers += _form(head)
    size = None if changed.is_any else (reading.held.size if reading.held is not None else head.length)
    part = wanted.part_of(etag)
    if is_whole and is_ranged and size is not None and part is not None:
        return _part(part, size, headers)
    if size is not None:
        headers.append((b"content-length", b"%d" % size))
    return Composed(200, headers, _NO_BODY if wanted.is_head else Span(0, size), changed)


def cache_status(reading: Reading) -> str:
    """The value of Cache-Status (RFC 9211)."""
    if reading.outcome is CacheOutcome.HIT:
        return f"{NAME}; hit; ttl={int(reading.left)}"
    if reading.outcome is CacheOutcome.COLLAPSED:
        return f"{NAME}; fwd=miss; collapsed"
    did = "; fwd-status=304" if reading.reader is None else "; stored" if reading.head.is_kept else ""
    return f"{NAME}; fwd={reading.outcome}{did}"


def _as_it_came(reading: Reading, head: Head, wanted: Wanted, changed: Transformation) -> Composed:
    """A response that is not kept, with all that the origin says about it."""
    headers = [*encoded(head.headers), *encoded(head.caching), *encoded(changed.vary)]
    if head.etag:
        headers.append((b"etag", head.etag.encode("latin-1")))
    headers.append((b"cache-status", cache_status(reading).encode()))
    if head.status == 200 and _is_same(head.etag, head, wanted, changed):
        return Composed(304, headers, _NO_BODY)
    headers += _form(head)
    if head.length is not None and head.status not in _NO_LENGTH:
        headers.append((b"content-length", b"%d" % head.length))
    return Composed(head.status, headers, Span(0, None), changed)


def _own(head: Head, etag: str) -> Headers:
    headers = [*encoded(head.headers), (b"vary", b"Accept, Accept-Encoding")]
    if etag:
        headers.append((b"etag", etag.encode("latin-1")))
    can_be_asked = etag or _modified(head) is not None
    return [*headers, (b"cache-control", b"private, no-cache" if can_be_asked else b"no-store")]


def _form(head: Head) -> Headers:
    return [(b"content-encoding", head.coding.encode("latin-1"))] if head.coding else []


def _is_same(etag: str, head: Head, wanted: Wanted, changed: Transformation) -> bool:
    """True if the viewer holds this version (RFC 9110 13.2.2). No date tells with which URLs it does."""
    if wanted.if_none_match is not None:
        return is_named(etag, wanted.if_none_match)
    modified = _modified(head)
    return changed.published is None and modified is not None and wanted.if_modified_since == modified


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


def encoded(pairs: Iterable[tuple[str, str]]) -> Headers:
    """Headers of the origin as bytes; each character of them stands for one."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
