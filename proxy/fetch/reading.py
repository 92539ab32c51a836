"""A request for a resource of a study beside its frames, and the open resource, as values."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from proxy.cache.representation import Head, Representation
from proxy.fetch.arrival import ArrivalReader
from proxy.fetch.permit import Permit
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
    permit: Permit | None = None
    """The caller's permit to read on; None if nobody has to be asked."""

    @property
    def is_asker(self) -> bool:
        """True if the origin sent this response to this very request."""
        return self.reader is not None and self.outcome is not CacheOutcome.COLLAPSED

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body. Raises the error that ended it, or the refusal if the caller may not read on."""
        if self.held is not None:
            for piece in self.held.pieces:
                await self.check()
                yield piece
        elif self.reader is not None:
            async for piece in self.reader.pieces():
                await self.check()
                yield piece

    async def check(self) -> None:
        """Returns if the caller may read on. Raises the refusal, or why the origin could not be asked."""
        is_for_nobody_else = self.is_asker and self.reader is not None and self.reader.is_passing
        if self.permit is not None and not is_for_nobody_else:  # the origin itself lets that one go on
            await self.permit.check()
