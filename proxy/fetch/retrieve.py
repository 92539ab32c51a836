"""The one path of a frame: held whole, or being fetched, or held in part, or to be fetched.

`open` decides in one step, without waiting, so of any number of viewers who come at once exactly one
starts a fill and the others join it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from proxy.cache.store import Store
from proxy.codestream.reach import UNTOLD, ResolutionTarget, Stop
from proxy.errors import UnknownName
from proxy.fetch.fill import Fill, FillOrder, GatedSupplier
from proxy.fetch.fills import Fills
from proxy.fetch.source import CacheOutcome, FrameSource, HeldFrame
from proxy.fetch.turns import Rank
from proxy.frame.frame import Frame
from proxy.frame.identity import IDENTIFYING, Identity
from proxy.frame.key import FrameKey
from proxy.frame.supply import OriginRequest


@dataclass(frozen=True, slots=True)
class Retrieval:
    """A request for a frame, ready to be carried out."""

    key: FrameKey
    """Which frame, for whom."""
    asked: OriginRequest
    """What the origin would be asked."""
    first: Stop | None
    """How far the first fetch goes, where nothing is held; None is one plain request for the whole."""
    stop: Stop | None
    """How far it is read; None is to the end."""
    is_completed: bool
    """Whether the frame is fetched to its end, however far it is read."""
    validators: Literal["strict", "length", "off"] | None = None
    """What must agree before a completion is appended."""
    planned: Rank | None = None
    """For a plan, with this rank; None is for a viewer."""
    site: Callable[[], GatedSupplier] | None = None
    """Gives who supplies it, where that is not the origin; asked where it is not held."""
    is_alone: bool = False
    """Whether it is fetched for this request only."""

    def may_have(self, opened: "Reading", identity: Identity) -> bool:
        """Whether what came for another request may be given to this one too (RFC 9111 5.2.2.7)."""
        is_anothers = opened.outcome is CacheOutcome.COLLAPSED and not self.key.partition
        return not (is_anothers and identity.claim.lease.is_personal)


@dataclass(frozen=True, slots=True)
class Reading:
    """A source, and how it came about. A viewer's is left when it is read no more."""

    source: FrameSource
    """To read from."""
    outcome: CacheOutcome
    """What the cache did."""
    is_planned: bool = False
    """For a plan, into a fill that only plans wanted then."""
    is_read: bool = False
    """By a viewer, past the first bytes of a fill."""

    def leave(self) -> None:
        """A viewer reads no more."""
        if self.is_read and isinstance(self.source, Fill):
            self.source.leave()

    def count(self, stop: int) -> tuple[int, bool]:
        """For a plan, once the bytes up to `stop` are there: how many it brought, and if a viewer came."""
        if not self.is_planned or not isinstance(self.source, Fill):
            return 0, False
        brought = max(0, max(stop, self.source.first_stop) - self.source.counted)
        self.source.counted += brought
        return brought, self.source.planned is None


class Retrieve:
    """Frames from the store, the fills and the origins."""

    def __init__(self, sites: dict[str, GatedSupplier], store: Store, fills: Fills) -> None:
        self._sites = sites
        self._store = store
        self._fills = fills

    def open(self, wanted: Retrieval) -> Reading:
        """Where the bytes of a frame come from. Raises `UnknownName`, `ShuttingDown`."""
        opened = self._open(wanted)
        fill = opened.source
        if not isinstance(fill, Fill):
            return opened
        if wanted.planned is not None:
            fill.plans += 1
            return replace(opened, is_planned=fill.planned is not None)
        is_read = fill.open_to(wanted.stop)
        if wanted.site is not None and opened.outcome is CacheOutcome.COLLAPSED:
            wanted.site().lift()
        return replace(opened, is_read=is_read)

    def _open(self, wanted: Retrieval) -> Reading:
        if wanted.is_alone:
            return Reading(self._start(wanted, None, wanted.stop), CacheOutcome.MISS)
        stop = None if wanted.is_completed else wanted.stop
        fill = self._fills.get(wanted.key)
        if fill is not None:
            fill.want(stop)
            return Reading(fill, CacheOutcome.COLLAPSED)
        frame = self._store.get(wanted.key)
        if frame is None:
            return Reading(self._start(wanted, None, stop), CacheOutcome.MISS)
        if frame.is_whole:
            return Reading(HeldFrame(frame), CacheOutcome.HIT)
        is_held = _holds(frame, wanted.stop)
        if is_held and stop is not None:
            return Reading(HeldFrame(frame), CacheOutcome.HIT)
        fill = self._start(wanted, frame, stop)
        return Reading(HeldFrame(frame), CacheOutcome.HIT) if is_held else Reading(fill, CacheOutcome.PARTIAL)

    def leave(self, wanted: Retrieval, opened: Reading, *, is_cancelled: bool) -> None:
        """A plan wants a frame no more; if it was cancelled, what nobody else wants is not fetched on."""
        if isinstance(opened.source, Fill):
            opened.source.plans -= 1
            if is_cancelled:
                self._fills.cancel(wanted.key)

    def _start(self, wanted: Retrieval, held: Frame | None, stop: Stop | None) -> Fill:
        site = wanted.site() if wanted.site else self._sites.get(wanted.key.origin)
        if site is None:
            raise UnknownName("no origin of that name")
        # Who reads a first range of his own waits for one fetch, however little a resolution takes.
        read = wanted.stop if isinstance(wanted.stop, int) else 0
        least = max(IDENTIFYING, min(read, UNTOLD) if isinstance(wanted.first, ResolutionTarget) else 0)
        is_whole = wanted.stop is None and wanted.planned is None
        order = FillOrder(
            wanted.key,
            site,
            wanted.asked,
            wanted.first,
            least,
            wanted.validators,
            is_whole,
            wanted.is_alone,
        )
        return self._fills.start(order, held, stop, wanted.planned)


def _holds(frame: Frame, stop: Stop | None) -> bool:
    """Whether all is held up to there; what more bytes would have to tell is not."""
    if isinstance(stop, ResolutionTarget):
        told = frame.told(stop)
        return told.is_final and told.stop <= frame.size
    return stop is not None and stop <= frame.size
