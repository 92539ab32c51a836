"""A body that a viewer gets in other bytes than the proxy holds: without its coding, or with other URLs.

The proxy holds the origin's own bytes, for all viewers. Each of them may reach the proxy at another URL. So
the URLs in JSON are rewritten while a response is sent, and the rewritten bytes are kept nowhere.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from sys import maxsize

from proxy.cache.representation import Head, Pairs, weak
from proxy.origin.codings import undone
from proxy.viewers.published import OF_THE_BYTES, Published

_GZIP = "gzip"


@dataclass(frozen=True, slots=True)
class Transformation:
    """How a body is transformed."""

    coding: str = ""
    """The content coding that is undone; empty if none is."""
    published: Published | None = None
    """How its URLs are rewritten; None if they stay."""

    @property
    def is_any(self) -> bool:
        """True if the bytes differ from those that are held."""
        return bool(self.coding) or self.published is not None

    def etag(self, etag: str) -> str:
        """The ETag of the transformed body."""
        if self.published is not None:
            return self.published.tag(etag)
        return weak(etag) if self.coding else etag

    @property
    def vary(self) -> Pairs:
        """The header that names what the rewriting depends on, if a request tells it."""
        return () if self.published is None else tuple(self.published.vary)

    async def body(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The transformed body."""
        rewriting = None if self.published is None else self.published.rewriting()
        async for piece in undone(pieces, self.coding, maxsize):
            if some := piece if rewriting is None else rewriting.feed(piece):
                yield some
        if rewriting is not None:
            yield rewriting.end()


def transformation_of(head: Head, published: Published | None, *, accepts_gzip: bool) -> Transformation:
    """The transformation of a response's body for one viewer."""
    pairs = [*head.headers, *head.caching, ("content-encoding", head.coding)]
    if published is not None and published.is_rewritten(head.status, pairs):
        return Transformation(head.coding, published)
    return Transformation(head.coding if head.coding == _GZIP and not accepts_gzip else "")


def transformed(head: Head, transformation: Transformation, published: Published | None) -> Head:
    """The head with headers that fit the transformed body, and with a Location that leads to the proxy."""
    headers = head.headers if published is None else tuple(published.moved(head.headers))
    if not transformation.is_any:
        return replace(head, headers=headers)
    headers = tuple(pair for pair in headers if pair[0] not in OF_THE_BYTES)
    coding = "" if transformation.coding else head.coding
    return replace(head, headers=headers, etag=transformation.etag(head.etag), coding=coding, length=None)
