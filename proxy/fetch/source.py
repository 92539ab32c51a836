"""The source of a viewer's response: a frame in the cache, or one that is still being fetched."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from proxy.codestream.layout import Layout
from proxy.codestream.reach import ResolutionTarget, TargetEnd
from proxy.errors import CodestreamError
from proxy.frame.frame import Frame, cut
from proxy.frame.identity import Identity
from proxy.frame.reduced import cut_out


class CacheOutcome(StrEnum):
    """How the cache handled a request (RFC 9211 2)."""

    HIT = "hit"
    """The cache held all requested bytes."""
    PARTIAL = "partial"
    """The cache held a prefix, and the proxy fetches the rest."""
    STALE = "stale"
    """The cache held bytes that the origin has to revalidate."""
    MISS = "miss"
    """The cache held nothing of the frame."""
    COLLAPSED = "collapsed"
    """The request joined a fill that was running."""


class FrameSource(Protocol):
    """The bytes of one frame, as a response reads them."""

    async def describe(self) -> Identity:
        """Returns the identity of this version of the frame."""

    async def settle(self) -> Identity:
        """Returns an identity that no other version has."""

    async def take(self, start: int, stop: int) -> Sequence[bytes | memoryview]:
        """Returns the bytes of `[start, stop)` of the codestream that are in, at least one."""

    def read(self, start: int, stop: int) -> AsyncIterator[bytes | memoryview]:
        """Yields the bytes of `[start, stop)` as they come. Nothing before the last piece is read again."""

    async def reached(self, start: int) -> None:
        """Returns when all bytes before `start` are in."""

    async def told(self, reach: ResolutionTarget) -> TargetEnd:
        """Returns the end of a target."""

    def sending(self, start: int, stop: int | None) -> AbstractContextManager[None]:
        """A response is being sent, which begins with the byte at `start`. See `Demand.sending`."""

    @property
    def size(self) -> int:
        """Bytes that are in."""

    @property
    def layout(self) -> Layout | None:
        """The layout of the codestream; None if it is not known yet."""


@dataclass(frozen=True, slots=True)
class HeldFrame:
    """A source whose bytes are all held."""

    frame: Frame
    """Has at least the bytes that are read."""

    async def describe(self) -> Identity:
        """At once."""
        return self.frame.identity

    async def settle(self) -> Identity:
        """At once."""
        return self.frame.identity

    async def take(self, start: int, stop: int) -> Sequence[bytes]:
        """At once, all of it."""
        return tuple(cut(self.frame.pieces, start, stop))

    async def read(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """At once."""
        for piece in cut(self.frame.pieces, start, stop):
            yield piece

    async def reached(self, start: int) -> None:
        """At once."""

    async def told(self, reach: ResolutionTarget) -> TargetEnd:
        """At once."""
        return self.frame.told(reach)

    def sending(self, start: int, stop: int | None) -> AbstractContextManager[None]:
        """Makes no difference, because all bytes are held."""
        del start, stop
        return nullcontext()

    @property
    def size(self) -> int:
        """Bytes that are held."""
        return self.frame.size

    @property
    def layout(self) -> Layout | None:
        """The layout of the bytes that are held."""
        return self.frame.layout


async def reduced(source: FrameSource, reach: ResolutionTarget) -> tuple[TargetEnd, HeldFrame]:
    """Cuts a smaller picture out of a frame, as a frame. Raises `CodestreamError` if it can't be cut."""
    told = await source.told(reach)
    if told.resolution is None:
        raise CodestreamError("the ends of its resolutions are not known")
    await source.reached(told.stop)
    leading = b"".join(await source.take(0, told.stop))
    return told, HeldFrame(cut_out(leading, source.layout, told.resolution, await source.describe()))
