"""A request for a resource of a study beside its frames, and the open resource, as values."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from proxy.cache.representation import Head, Representation
from proxy.fetch.arrival import ArrivalReader
from proxy.fetch.source import CacheOutcome
from proxy.frame.key import ResourceKey
from proxy.wire.dicomweb import StudyResource


@dataclass(frozen=True, slots=True)
class ResourceRequest:
    """A request for a resource, without its caller."""

    resource: StudyResource
    """The resource that the path names."""
    target: str
    """Path and query below the origin's base URL."""
    accept: str = "*/*"
    """The media types that are accepted."""
    others: tuple[tuple[str, str], ...] = ()
    """Headers that may change the response; the origin gets them too."""
    is_any_form: bool = False
    """True if a response to the same request with other such headers will do."""
    accept_encoding: str | None = None
    """The content codings that are accepted. They are no part of the key."""


@dataclass(frozen=True, slots=True)
class Reading:
    """An open resource."""

    outcome: CacheOutcome
    """How the cache handled the request."""
    head: Head
    """The head of the response."""
    held: Representation | None = None
    """All of it, if it is held; otherwise it arrives."""
    reader: ArrivalReader | None = None
    """Reads it while it arrives."""
    left: float = 0.0
    """Seconds for which it is still fresh; negative if it is used while the origin is asked."""
    key: ResourceKey | None = None
    """The key under which it is held."""

    @property
    def is_asker(self) -> bool:
        """True if the origin sent this response to this very request."""
        return self.reader is not None and self.outcome is not CacheOutcome.COLLAPSED

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body. Raises the error that ended it."""
        if self.held is not None:
            for piece in self.held.pieces:
                yield piece
        elif self.reader is not None:
            async for piece in self.reader.pieces():
                yield piece
