"""The one path of a frame: held whole, or being fetched, or held in part, or to be fetched.

`open` decides in one step, without waiting, so of any number of viewers who come at once exactly one
starts a fill and the others join it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from proxy.cache.frame import IDENTIFYING, Frame, FrameKey, Identity, cut
from proxy.cache.store import Store
from proxy.errors import UnknownName
from proxy.fill.fill import Order, Site
from proxy.fill.table import Fills
from proxy.origin.client import Asked
from proxy.plan.profile import Profile
from proxy.plan.stages import spans_of_frame


class CacheDid(StrEnum):
    """What the cache did (RFC 9211 2)."""

    HIT = "hit"
    """Everything asked for was held."""
    PARTIAL = "partial"
    """A prefix was held; the rest is fetched."""
    MISS = "miss"
    """Nothing was held."""
    COLLAPSED = "collapsed"
    """Joined a fill that was under way."""


class Source(Protocol):
    """What a viewer's answer is read from."""

    async def describe(self) -> Identity:
        """Which version of the frame this is."""

    async def take(self, start: int, stop: int) -> Sequence[bytes]:
        """What there is of `[start, stop)` of the codestream, one byte at least."""


@dataclass(frozen=True, slots=True)
class Held:
    """A source that has all its bytes."""

    frame: Frame
    """Reaches as far as it is read."""

    async def describe(self) -> Identity:
        """At once."""
        return self.frame.identity

    async def take(self, start: int, stop: int) -> Sequence[bytes]:
        """At once, all of it."""
        return tuple(cut(self.frame.pieces, start, stop))


@dataclass(frozen=True, slots=True)
class Wanted:
    """A viewer's request for a frame, ready to be carried out."""

    key: FrameKey
    """Which frame, for whom."""
    asked: Asked
    """What the origin would be asked."""
    profile: Profile
    """How it is fetched."""
    stop: int | None
    """How far the viewer reads, in bytes from 0; None is to the end."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A source, and how it came about."""

    source: Source
    """To read from."""
    did: CacheDid
    """What the cache did."""


class Retrieve:
    """Frames from the store, the fills and the origins."""

    def __init__(self, sites: dict[str, Site], store: Store, fills: Fills) -> None:
        self._sites = sites
        self._store = store
        self._fills = fills

    def open(self, wanted: Wanted) -> Opened:
        """Where the bytes of a frame come from. Raises `UnknownName`, `ShuttingDown`."""
        # Whoever reads no byte (HEAD) completes nothing either.
        is_completed = wanted.profile.complete == "always" and wanted.stop != 0
        stop = None if is_completed else wanted.stop
        fill = self._fills.get(wanted.key)
        if fill is not None:
            fill.want(stop)
            return Opened(fill, CacheDid.COLLAPSED)
        frame = self._store.get(wanted.key)
        if frame is None:
            return Opened(self._fills.start(self._order(wanted), None, stop), CacheDid.MISS)
        if frame.is_whole:
            return Opened(Held(frame), CacheDid.HIT)
        is_held = wanted.stop is not None and wanted.stop <= frame.size
        if is_held and stop is not None:
            return Opened(Held(frame), CacheDid.HIT)
        fill = self._fills.start(self._order(wanted), frame, stop)
        return Opened(Held(frame), CacheDid.HIT) if is_held else Opened(fill, CacheDid.PARTIAL)

    def _order(self, wanted: Wanted) -> Order:
        site = self._sites.get(wanted.key.origin)
        if site is None:
            raise UnknownName("no origin of that name")
        first = spans_of_frame(wanted.profile)[0].stop
        # A fill can't be answered from before it is identified.
        return Order(wanted.key, site, wanted.asked, first and max(first, IDENTIFYING))
