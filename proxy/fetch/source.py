"""The sources of a viewer's response: a frame in the cache, or one that is still being fetched."""

from collections.abc import Sequence
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
    """The outcome of a cache look-up (RFC 9211 2)."""

    HIT = "hit"
    """Everything asked for was held."""
    PARTIAL = "partial"
    """A prefix was held; the rest is fetched."""
    MISS = "miss"
    """Nothing was held."""
    COLLAPSED = "collapsed"
    """Joined a fill that was under way."""


class FrameSource(Protocol):
    """The source of a viewer's response."""

    async def describe(self) -> Identity:
        """Which version of the frame this is."""

    async def settle(self) -> Identity:
        """The same, by a name that no other version has."""

    async def take(self, start: int, stop: int) -> Sequence[bytes]:
        """The bytes of `[start, stop)` of the codestream that are there, at least one."""

    async def reached(self, start: int) -> None:
        """Returns when all bytes before `start` are there."""

    async def told(self, reach: ResolutionTarget) -> TargetEnd:
        """How many bytes a reach takes."""

    @property
    def layout(self) -> Layout | None:
        """Where its resolutions end, if that is known at once."""


@dataclass(frozen=True, slots=True)
class HeldFrame:
    """A source that has all its bytes."""

    frame: Frame
    """Reaches as far as it is read."""

    async def describe(self) -> Identity:
        """At once."""
        return self.frame.identity

    async def settle(self) -> Identity:
        """At once."""
        return self.frame.identity

    async def take(self, start: int, stop: int) -> Sequence[bytes]:
        """At once, all of it."""
        return tuple(cut(self.frame.pieces, start, stop))

    async def reached(self, start: int) -> None:
        """At once."""

    async def told(self, reach: ResolutionTarget) -> TargetEnd:
        """At once."""
        return self.frame.told(reach)

    @property
    def layout(self) -> Layout | None:
        """The layout of the bytes that are held."""
        return self.frame.layout


async def reduced(source: FrameSource, reach: ResolutionTarget) -> tuple[TargetEnd, HeldFrame]:
    """A smaller picture of a frame as a frame of its own. Raises `CodestreamError` where it can't be cut."""
    told = await source.told(reach)
    if told.resolution is None:
        raise CodestreamError("where its resolutions end can't be told")
    await source.reached(told.stop)
    leading = b"".join(await source.take(0, told.stop))
    return told, HeldFrame(cut_out(leading, source.layout, told.resolution, await source.describe()))
