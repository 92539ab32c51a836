"""A response to a request for a resource that is not a frame, as it is kept: its head, and all its bytes."""

from dataclasses import dataclass, field, replace

from proxy.cache.kept import ENTRY
from proxy.frame.identity import Lease

Pairs = tuple[tuple[str, str], ...]

PIECE = 64
"""Bytes that a piece costs beside its own."""
WEAK = "W/"


@dataclass(frozen=True, slots=True)
class Head:
    """Status and headers of an origin's response, without the headers that the proxy writes itself."""

    status: int
    """Status of the response."""
    headers: Pairs
    """End-to-end headers by lower-case names; those about caching, and of cookies, are apart."""
    etag: str = ""
    """The origin's ETag, weak if the proxy changed the coding; empty if there is none."""
    coding: str = ""
    """The content coding of the body; empty if there is none."""
    is_coded_here: bool = False
    """True if the proxy compressed the body, which says nothing about its bytes if that is done again."""
    length: int | None = None
    """Bytes of the body; None if the origin did not say."""
    lease: Lease = field(default_factory=Lease)
    """How long the response may be reused."""
    is_kept: bool = False
    """True if the response may be kept, once all of it is in."""
    is_page: bool = False
    """True if it is a text for people, such as an error that is sent with 200."""
    is_shared: bool = False
    """True if callers that wait for the same response may have it too."""
    may_be_stale: bool = False
    """True if the origin lets a cache use the response a while longer, before it asks again."""
    caching: Pairs = ()
    """The origin's headers about caching, which a response that is not kept has too."""
    cookies: Pairs = ()
    """Cookies that the origin sets, which only the caller gets that asked for this very response."""


@dataclass(frozen=True, slots=True)
class Representation:
    """All of a 200 response."""

    head: Head
    """Its head."""
    pieces: tuple[bytes, ...]
    """Its body."""
    digest: str
    """Digest of the body before the proxy compressed it, without the time in a gzip header."""

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return sum(map(len, self.pieces))

    @property
    def held(self) -> int:
        """Bytes of all of it in memory, about."""
        head = sum(len(name) + len(value) + ENTRY for name, value in self.head.headers)
        return self.size + PIECE * len(self.pieces) + head

    @property
    def etag(self) -> str:
        """The origin's ETag, or else one that names the bytes; weak if the proxy compressed them."""
        etag = self.head.etag or f'"{self.digest}"'
        return weak(etag) if self.head.is_coded_here else etag

    def renewed(self, lease: Lease, *, may_be_stale: bool) -> "Representation":
        """The same after the origin has confirmed it."""
        return replace(self, head=replace(self.head, lease=lease, may_be_stale=may_be_stale))


def weak(etag: str) -> str:
    """The same ETag, for another coding of the same representation (RFC 9110 8.8.1).

    >>> weak('"a"'), weak('W/"a"'), weak("")
    ('W/"a"', 'W/"a"', '')
    """
    return etag if not etag or etag.startswith(WEAK) else WEAK + etag


def is_named(etag: str, said: str | None) -> bool:
    """True if an If-None-Match names an ETag, weak or not (RFC 9110 13.1.2).

    >>> is_named('"a"', '"b", W/"a"'), is_named('"a"', "*"), is_named('"a"', None), is_named("", "*")
    (True, True, False, True)
    """
    tags = [] if said is None else [tag.strip().removeprefix(WEAK) for tag in said.split(",")]
    return tags == ["*"] or (bool(etag) and etag.removeprefix(WEAK) in tags)
