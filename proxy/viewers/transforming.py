"""A body that a viewer gets in other bytes than the proxy holds: without its coding, or with other URLs.

The proxy holds the origin's own bytes, for all viewers. Each of them may reach the proxy at another URL. So
the URLs in JSON are rewritten while a response is sent, and the rewritten bytes are kept nowhere. They may be
compressed anew then.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from proxy.cache.representation import Head, Pairs, weak
from proxy.origin.codings import can_undo, undone
from proxy.viewers.published import OF_THE_BYTES, Published
from proxy.wire.passing import accepts_coding

MOST = 1024 * 1024 * 1024
"""Bytes of a body whose coding is undone. More of them than any study has are an attack."""


@dataclass(frozen=True, slots=True)
class Transformation:
    """How a body is transformed."""

    coding: str = ""
    """The content coding that is undone; empty if none is."""
    published: Published | None = None
    """How its URLs are rewritten; None if they stay."""
    most: int = MOST
    """Bytes that the body may have without its coding."""

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
        """The headers that name what the rewriting depends on, if a request tells it."""
        return () if self.published is None else tuple(self.published.vary)

    async def body(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The transformed body. Raises `OriginMismatch` for one that is too long, or not in its coding."""
        plain = undone(pieces, self.coding, self.most)
        async for piece in plain if self.published is None else self.published.body(plain):
            yield piece


def transformation_of(head: Head, published: Published | None, accept_encoding: str | None) -> Transformation:
    """The transformation of a response's body for one viewer, which accepts these codings."""
    pairs = [*head.headers, *head.caching, ("content-encoding", head.coding)]
    if published is not None and published.is_rewritten(head.status, pairs):
        return Transformation(head.coding, published)
    return Transformation("" if is_accepted(head, accept_encoding) else head.coding)


def is_accepted(head: Head, accept_encoding: str | None) -> bool:
    """True if a viewer can read the coding of the body, or if nothing can be done about it."""
    return not head.coding or accepts_coding(accept_encoding, head.coding) or not can_undo(head.coding)


def transformed(head: Head, transformation: Transformation, published: Published | None) -> Head:
    """The head with headers that fit the transformed body, and with a Location that leads to the proxy."""
    headers = head.headers if published is None else tuple(published.moved(head.headers))
    if not transformation.is_any:
        return replace(head, headers=headers)
    headers = tuple(pair for pair in headers if pair[0] not in OF_THE_BYTES)
    rewritten = transformation.published
    coding = rewritten.coding if rewritten is not None else "" if transformation.coding else head.coding
    return replace(head, headers=headers, etag=transformation.etag(head.etag), coding=coding, length=None)
