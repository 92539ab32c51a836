"""Opens a frame for reading: from the store, from a fill that runs, or from a new fill.

`open` decides in one step, without waiting. So if several viewers come at once, exactly one starts a fill and
the others join it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from proxy.access.caller import Caller
from proxy.cache.lifetimes import Stale
from proxy.cache.store import Store
from proxy.codestream.reach import UNTOLD, ResolutionTarget, Stop
from proxy.fetch.askers import OwnView
from proxy.fetch.farther import Farther
from proxy.fetch.fill import Fill
from proxy.fetch.fills import Fills
from proxy.fetch.order import FillOrder
from proxy.fetch.permit import Permit
from proxy.fetch.reader import FillReader
from proxy.fetch.source import CacheOutcome, FrameSource, HeldFrame
from proxy.fetch.supplier import Suppliers
from proxy.fetch.turns import Rank
from proxy.frame.frame import Frame
from proxy.frame.identity import IDENTIFYING, Identity
from proxy.frame.key import FrameKey
from proxy.frame.supply import OriginRequest

AT_ONCE = 1024 * 1024
"""Bytes in the cache that go out at once, without a look at the viewer or at its rights in between."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """A request for a frame, ready to be carried out."""

    asked: OriginRequest
    """The request to the supplier, with the credentials of the caller."""
    first: Stop | None
    """How far the first fetch goes if nothing is held; None is one plain request for the whole frame."""
    stop: Stop | None
    """How far the frame is read; None is to the end."""
    is_completed: bool
    """True if the frame is fetched to its end, even if less of it is read."""
    planned: Rank | None = None
    """Rank of the plan that asks; None if a viewer does."""
    is_made: bool = False
    """True if the proxy makes the frame; otherwise the origin has it."""
    is_alone: bool = False
    """True if the frame is fetched for this request only."""
    permit: Permit | None = field(default=None, compare=False)
    """The caller's permit to read on; None if nobody has to be asked."""

    @property
    def key(self) -> FrameKey:
        """The key of the frame, for this caller."""
        return self.asked.key

    def within(self, partition: bytes) -> "Retrieval":
        """The same request in a partition."""
        if partition == self.key.partition:
            return self
        return replace(self, asked=replace(self.asked, key=replace(self.key, partition=partition)))

    def is_small(self, size: int) -> bool:
        """True if a response from the cache goes out at once, of a frame of which so many bytes are held."""
        return size <= AT_ONCE or (isinstance(self.stop, int) and self.stop <= AT_ONCE)

    def may_have(self, reading: "Reading", identity: Identity) -> bool:
        """True if a response to another request may be used for this one too (RFC 9111 5.2.2.7)."""
        is_anothers = reading.outcome is CacheOutcome.COLLAPSED and not self.key.partition
        return not (is_anothers and identity.claim.lease.is_personal)


@dataclass(frozen=True, slots=True)
class Reading:
    """An open source. The reader leaves it when it needs no more bytes."""

    source: FrameSource
    """The source to read from."""
    outcome: CacheOutcome
    """How the cache handled the request."""
    give_back: Callable[[], None]
    """Tells the source that nobody reads here any more."""
    fill: Fill | None = None
    """The fill that the bytes come from; None if all of them are held."""
    is_planned: bool = False
    """True if a plan reads, and only plans wanted the frame when it was opened."""
    is_read: bool = False
    """True if a viewer reads past the first bytes of a fill."""

    def leave(self) -> None:
        """A viewer needs no more bytes."""
        self.give_back()
        if self.is_read and self.fill is not None:
            self.fill.demand.leave()

    def count(self, stop: int) -> tuple[int, bool]:
        """For a plan, once the bytes before `stop` are in.

        Returns the number of bytes that the plan brought, and True if a viewer has asked for the frame.
        """
        if not self.is_planned or self.fill is None:
            return 0, False
        return self.fill.count_for_plan(stop), self.fill.demand.planned is None


def _at_will() -> None:
    """Lets everybody wait."""


class Retrieve:
    """Frames from the store, the fills and the suppliers."""

    def __init__(self, suppliers: Suppliers, store: Store, fills: Fills) -> None:
        self._suppliers = suppliers
        self._store = store
        self._fills = fills
        self.farther: Farther | None = None
        """The tiers behind memory, if there are any."""

    async def bring(self, caller: Caller, key: FrameKey) -> str:
        """Brings a frame that only a tier has into memory, before `Permits.admit` looks what is held.

        Returns the name of the tier; empty if there is none that has it.
        """
        return "" if self.farther is None else await self.farther.bring(caller, key)

    def open(self, wanted: Retrieval, wait: Callable[[], None] = _at_will) -> Reading:
        """Opens a frame, and starts a fill if needed. Raises `UnknownName`, `ShuttingDown`.

        If not all bytes are held, it calls `wait` first, and raises the error of that.
        """
        opened, outcome = self._open(wanted, wait)
        if isinstance(opened, Frame):
            return self.read(wanted, opened, outcome)
        reader = FillReader(opened)
        source: FrameSource = reader
        if wanted.asked.identity:
            opened.askers.join(wanted.asked)
            source = OwnView(reader, opened.askers, wanted.asked.identity, wanted.permit)
        if wanted.planned is not None:
            opened.demand.plan(wanted.asked.person)
            is_planned = opened.demand.planned is not None
            return Reading(source, outcome, reader.leave, opened, is_planned=is_planned)

        def leave() -> None:
            reader.leave()
            self._fills.leave(opened)

        return Reading(source, outcome, leave, opened, is_read=opened.view(wanted.stop, wanted.asked.person))

    def read(self, wanted: Retrieval, frame: Frame, outcome: CacheOutcome) -> Reading:
        """Opens a frame of which enough is held."""
        self._store.room.borrow(frame)
        source: FrameSource = HeldFrame(frame)
        if wanted.permit is not None and not wanted.is_small(frame.size):
            source = OwnView(source, None, wanted.asked.identity, wanted.permit)
        return Reading(source, outcome, lambda: self._store.room.give_back(frame))

    async def stale(self, wanted: Retrieval) -> Stale | None:
        """The frame that may be read if the origin fails; None if too little of it is held, or nothing.

        If memory holds too little, tiers are asked for the rest.
        """
        stale = self._store.if_error(wanted.key)
        if stale is None or stale.frame.is_whole or _holds(stale.frame, wanted.stop):
            return stale
        if self.farther is None:
            return None
        whole = await self.farther.whole(wanted.asked.person, wanted.key, stale.frame)
        return None if whole is None else replace(stale, frame=whole)

    def held(self, key: FrameKey) -> Frame | None:
        """The fresh frame or its prefix, unless a fill of it is under way. It counts as used."""
        return self._store.get(key) if self._fills.get(key) is None else None

    def _open(self, wanted: Retrieval, wait: Callable[[], None]) -> tuple[Frame | Fill, CacheOutcome]:
        if wanted.is_alone:
            wait()
            return self._start(wanted, None, wanted.stop), CacheOutcome.MISS
        stop = None if wanted.is_completed else wanted.stop
        fill = self._fills.get(wanted.key)
        if fill is not None:
            wait()
            fill.want(stop)
            return fill, CacheOutcome.COLLAPSED
        frame = self._store.get(wanted.key)
        if frame is None:
            stale = self._store.stale(wanted.key)
            outcome = CacheOutcome.MISS if stale is None else CacheOutcome.STALE
            wait()
            return self._start(wanted, stale, stop, is_stale=True), outcome
        if frame.is_whole:
            return frame, CacheOutcome.HIT
        is_held = _holds(frame, wanted.stop)
        if is_held and (stop is not None or frame.is_rest_near):
            return frame, CacheOutcome.HIT
        if not is_held:
            wait()
        started = self._start(wanted, frame, stop)
        return (frame, CacheOutcome.HIT) if is_held else (started, CacheOutcome.PARTIAL)

    def leave(self, wanted: Retrieval, reading: Reading, *, is_cancelled: bool) -> None:
        """A plan has finished with a frame. If it was cancelled, the fill ends unless others want it."""
        reading.give_back()
        if reading.fill is not None:
            reading.fill.demand.plans -= 1
            if is_cancelled:
                self._fills.cancel(wanted.key)

    def _start(
        self, wanted: Retrieval, held: Frame | None, stop: Stop | None, *, is_stale: bool = False
    ) -> Fill:
        # A viewer that asks for a first range of its own waits for only one fetch, however short a
        # resolution is.
        read = wanted.stop if isinstance(wanted.stop, int) else 0
        least = max(IDENTIFYING, min(read, UNTOLD) if isinstance(wanted.first, ResolutionTarget) else 0)
        order = FillOrder(
            self._suppliers.of(wanted.key, is_made=wanted.is_made),
            wanted.asked,
            wanted.first,
            least,
            is_whole=wanted.stop is None and wanted.planned is None,
            is_alone=wanted.is_alone,
            is_stale=is_stale,
        )
        return self._fills.start(order, held, stop, wanted.planned)


def _holds(frame: Frame, stop: Stop | None) -> bool:
    """True if all bytes up to `stop` are held; False if that needs more bytes to know."""
    if isinstance(stop, ResolutionTarget):
        told = frame.told(stop)
        return told.is_final and told.stop <= frame.size
    return stop is not None and stop <= frame.size
