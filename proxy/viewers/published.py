"""A forwarded request whose response has URLs of the origin in it, which should lead back to the proxy.

JSON may also name another transfer syntax, if the proxy converts frames. If the proxy rewrites JSON, it
transforms a representation (RFC 9110 7.7). So its length and digests go, its ETag becomes weak and names the
public URL too, and its ranges end: an offset would be one in the origin's text. The proxy leaves alone what
may not be transformed (`no-transform`), a part of a text, and a coding that it can't undo. A request that is
forwarded asks for JSON without a coding. The viewer gets rewritten JSON in a coding that it accepts, if the
proxy compresses (`listen.compress`). There is no length to spare, nor a range.
"""

import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from hashlib import blake2b

from proxy.origin.codings import can_undo, encoded
from proxy.wire.media import parse_media_type
from proxy.wire.passing import accepts_coding
from proxy.wire.public import TELLING, PublicUrl, Publishing
from proxy.wire.request import Request

Pairs = list[tuple[str, str]]

_LOCATIONS = ("location", "content-location")
OF_THE_BYTES = frozenset(
    {
        *("content-length", "content-encoding", "accept-ranges"),
        *("content-digest", "repr-digest", "digest", "content-md5"),  # RFC 9530
    }
)
"""Headers that describe the very bytes of a body, so that they do not outlive a transformation."""
_UNCHANGED = (204, 205, 206, 304)
"""Statuses of responses without a body, or with a part of one."""
_READING = ("GET", "HEAD")
"""The proxy itself reads responses to other methods, while they pass."""
_ETAG = re.compile(r'(?:W/)?"(.*)"')
_VARY = ("vary", ", ".join(TELLING))
VARY_CODING = ("vary", "accept-encoding")


@dataclass(frozen=True, slots=True)
class Published:
    """One request and its response."""

    publishing: Publishing
    """How the origin's URLs are published."""
    public: PublicUrl
    """Where the viewer reaches the origin."""
    tags: str = ""
    """The ETags in the request's If-None-Match."""
    coding: str = ""
    """The content coding of a body that is rewritten; empty for none."""

    def asked(self, pairs: Pairs) -> Pairs:
        """The headers of the request for the origin."""
        pairs = self.publishing.headers(self.public, pairs)
        if not self.publishing.changes_json:
            return pairs
        wants_json = any(name == "accept" and "json" in value.lower() for name, value in pairs)
        dropped = ("accept-encoding", *(("range", "if-range") if wants_json else ()))
        kept = [(name, self._as_tagged(name, value)) for name, value in pairs if name not in dropped]
        return [*kept, ("accept-encoding", "identity")]

    def answered(self, status: int, pairs: Pairs) -> tuple[Pairs, bool]:
        """The headers of the response for the viewer, and if its body is rewritten."""
        pairs = self.moved(pairs)
        if status == 304 and self.publishing.changes_json:
            return [(name, self._as_asked(name, value)) for name, value in pairs], False
        if not self.is_rewritten(status, pairs):
            return pairs, False
        pairs = [
            (name, self.tag(value) if name == "etag" else value)
            for name, value in pairs
            if name not in OF_THE_BYTES
        ]
        return [*pairs, *([("content-encoding", self.coding)] if self.coding else ()), *self.vary], True

    def told(self, pairs: Pairs) -> Pairs:
        """The headers of a request, with what the origin is told of the public URL."""
        return self.publishing.headers(self.public, pairs)

    def is_rewritten(self, status: int, pairs: Iterable[tuple[str, str]]) -> bool:
        """True if the body of a response with these headers is rewritten."""
        return self.publishing.changes_json and status not in _UNCHANGED and _is_rewritable(pairs)

    def body(self, plain: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """A body as it is sent to the viewer: rewritten, and in its coding."""
        return self._encoded(plain) if self.coding else self._rewritten(plain)

    async def _rewritten(self, plain: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        rewriting = self.publishing.rewriting(self.public)
        async for piece in plain:
            if certain := rewriting.feed(piece):
                yield certain
        if rest := rewriting.end():
            yield rest

    async def _encoded(self, plain: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for piece, _ in encoded(self._rewritten(plain), self.coding):
            if piece:
                yield piece

    @property
    def vary(self) -> Pairs:
        """The headers that name what a rewritten body depends on, beside settings."""
        publishing = self.publishing
        is_told = publishing.rewrites and publishing.configured is None
        return [*([_VARY] if is_told else ()), *([VARY_CODING] if publishing.codings else ())]

    def moved(self, pairs: Iterable[tuple[str, str]]) -> Pairs:
        """The headers of a response, with a Location that leads to the proxy."""
        if not self.publishing.rewrites:
            return [*pairs]
        moved = self.publishing.moved
        return [(name, moved(self.public, value) if name in _LOCATIONS else value) for name, value in pairs]

    def tag(self, etag: str) -> str:
        """The weak ETag of the body that is rewritten for this public URL; malformed ones stay."""
        named = _ETAG.fullmatch(etag)
        return etag if named is None else f'W/"{named[1]}{self._suffix}"'

    @property
    def _suffix(self) -> str:
        named = " HTJ2K" if self.publishing.names_htj2k else ""
        told = f"{self.publishing.origin} {self.public if self.publishing.rewrites else ''}{named}"
        return f"-{blake2b(told.encode(), digest_size=6).hexdigest()}"

    def _as_tagged(self, name: str, value: str) -> str:
        """A condition of the viewer in the origin's own ETags."""
        return value.replace(f'{self._suffix}"', '"') if name == "if-none-match" else value

    def _as_asked(self, name: str, value: str) -> str:
        """The ETag in a 304 is that of the response that the viewer keeps (RFC 9110 15.4.5)."""
        tag = self.tag(value) if name == "etag" else value
        return tag if tag in self.tags else value


def published(publishing: Publishing, request: Request, prefix: str) -> Published | None:
    """How a request is forwarded to an origin that viewers reach below `prefix`; None if as it is."""
    public = publishing.url(request.scheme, request.fields, prefix) if publishing.is_on else None
    if public is None:
        return None
    accepted = request.header("accept-encoding") if request.method in _READING else None
    coding = next((each for each in publishing.codings if accepts_coding(accepted, each)), "")
    return Published(publishing, public, request.header("if-none-match") or "", coding)


def _is_rewritable(pairs: Iterable[tuple[str, str]]) -> bool:
    named: dict[str, str] = {}
    for name, value in pairs:
        named[name] = f"{named[name]}, {value}" if name in named else value
    kind = parse_media_type(named.get("content-type", "")).name
    is_json = kind == "application/json" or kind.endswith("+json")
    is_fixed = "no-transform" in named.get("cache-control", "").lower()
    return is_json and not is_fixed and can_undo(named.get("content-encoding", ""))
