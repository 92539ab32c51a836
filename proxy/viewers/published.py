"""A forwarded request whose response has URLs of the origin in it, which should lead back to the proxy.

If the proxy rewrites JSON, it transforms a representation (RFC 9110 7.7). So its length and digests go, a
strong ETag becomes weak, and its ranges end: an offset would be one in the origin's text. The proxy leaves
alone what may not be transformed (`no-transform`), a part of a text, and a coding that it can't undo. The
origin is asked for JSON without a coding.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from proxy.origin.codings import can_undo
from proxy.wire.media import parse_media_type
from proxy.wire.public import TELLING, PublicUrl, Publishing
from proxy.wire.request import Request
from proxy.wire.rewriting import JsonRewriting

Pairs = list[tuple[str, str]]

_LOCATIONS = ("location", "content-location")
_OF_THE_BYTES = frozenset(
    {
        *("content-length", "content-encoding", "accept-ranges"),
        *("content-digest", "repr-digest", "digest", "content-md5"),  # RFC 9530
    }
)
_PARTS = (206, 304)
_VARY = ("vary", ", ".join(TELLING))


@dataclass(frozen=True, slots=True)
class Published:
    """One request and its response."""

    publishing: Publishing
    """How the origin's URLs are published."""
    public: PublicUrl
    """Where the viewer reaches the origin."""
    tags: str = ""
    """The ETags in the request's If-None-Match."""

    def asked(self, pairs: Pairs) -> Pairs:
        """The headers of the request for the origin."""
        pairs = self.publishing.headers(self.public, pairs)
        if not self.publishing.rewrites:
            return pairs
        wants_json = any(name == "accept" and "json" in value.lower() for name, value in pairs)
        dropped = ("accept-encoding", *(("range", "if-range") if wants_json else ()))
        return [*(pair for pair in pairs if pair[0] not in dropped), ("accept-encoding", "identity")]

    def answered(self, status: int, pairs: Pairs) -> tuple[Pairs, JsonRewriting | None]:
        """The headers of the response for the viewer, and the rewriting of its body; None if it stays."""
        if not self.publishing.rewrites:
            return pairs, None
        pairs = [(name, self._moved(name, value)) for name, value in pairs]
        if status == 304:
            return [(name, self._as_asked(name, value)) for name, value in pairs], None
        if status in _PARTS or not _is_rewritable(pairs):
            return pairs, None
        pairs = [(name, _weak(name, value)) for name, value in pairs if name not in _OF_THE_BYTES]
        vary = [] if self.publishing.configured is not None else [_VARY]
        return [*pairs, *vary], JsonRewriting(self.publishing.bases(self.public))

    def _moved(self, name: str, value: str) -> str:
        return self.publishing.moved(self.public, value) if name in _LOCATIONS else value

    def _as_asked(self, name: str, value: str) -> str:
        """An ETag is weak in a 304 if it was so in the response that the viewer keeps (RFC 9110 15.4.5)."""
        return _weak(name, value) if f"W/{value}" in self.tags else value


def published(publishing: Publishing, request: Request, prefix: str) -> Published | None:
    """How a request is forwarded to an origin that viewers reach below `prefix`; None if as it is."""
    public = publishing.url(request.scheme, request.fields, prefix) if publishing.is_on else None
    return None if public is None else Published(publishing, public, request.header("if-none-match") or "")


def _is_rewritable(pairs: Iterable[tuple[str, str]]) -> bool:
    named: dict[str, str] = {}
    for name, value in pairs:
        named[name] = f"{named[name]}, {value}" if name in named else value
    kind = parse_media_type(named.get("content-type", "")).name
    is_json = kind == "application/json" or kind.endswith("+json")
    is_fixed = "no-transform" in named.get("cache-control", "").lower()
    return is_json and not is_fixed and can_undo(named.get("content-encoding", ""))


def _weak(name: str, value: str) -> str:
    return f"W/{value}" if name == "etag" and value.startswith('"') else value
