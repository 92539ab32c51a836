"""One fill: a frame while it is being fetched, read by any number of viewers.

    asked ──► claimed ──────► identified ─────────► ended
              the response's  the leading bytes     complete, or as far as wanted, or with an error;
              headers are in  are in: readers       the frame is in the store, and the fill is no
                              can be answered       longer in the table

If the supplier still has the stale version in the cache, the fill goes from asked to identified at once.
Bytes are only ever appended. So a reader needs only its own position, and a slow reader delays no other
reader. The state changes in one step, without waiting. Readers are woken afterwards.

If room is short (`proxy.cache.room`), a fill that can go on by ranges stays close to its readers: it fetches
a stretch at a time and lets go of bytes that all readers have passed. Without readers it ends.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import monotonic

from proxy.cache.room import STRETCH, Room
from proxy.codestream.reach import ResolutionTarget, Stop, TargetEnd
from proxy.errors import OriginChanged, OriginMismatch, ProxyError
from proxy.fetch.account import NOTHING, FetchSize
from proxy.fetch.arrived import Arrived
from proxy.fetch.askers import Askers
from proxy.fetch.demand import Demand
from proxy.fetch.order import DEFAULT_FIRST, FillOrder
from proxy.fetch.pace import Pace
from proxy.fetch.reaches import Reaches
from proxy.fetch.seam import Seam
from proxy.fetch.turns import Rank
from proxy.frame.frame import Frame
from proxy.frame.identity import IDENTIFYING, Claim, Identity, Lease, identify
from proxy.frame.supply import Answer
from proxy.wire.ranges import Span
from proxy.wire.text import is_text


class Fill:
    """One frame while it is being fetched."""

    def __init__(
        self,
        order: FillOrder,
        room: Room,
        held: Frame | None,
        first: int | None,
        on_told: Callable[["Fill", ResolutionTarget, TargetEnd], None],
        planned: Rank | None = None,
    ) -> None:
        """`first` is the size of the first fetch in bytes; `on_told` is called with each target's end."""
        self.order = order
        self.askers = Askers(order.asked)
        self.first = first
        """Bytes of the first fetch; None is one plain request for the whole frame, or no first fetch."""
        stale, held = (held, None) if order.is_stale else (None, held)
        self.arrived = Arrived(room, stale)
        """The bytes that are in."""
        self.pace = Pace(room)
        """Its readers, and how far it may go for them."""
        self.claim: Claim | None = None
        self.seam = Seam(order.asked.validators, held)
        """Checks that all bytes are of one version."""
        self.identity: Identity | None = None
        self.error: ProxyError | None = None
        self.has_resumed = False
        self.demand = Demand(order.asked.person, planned)
        """The viewers and plans that want the frame."""
        self._counted = self._planned = 0
        self._first_piece = min(first or order.named_first, order.named_first)
        self._first_reach = order.first if isinstance(order.first, ResolutionTarget) else None
        self.answered = 0
        """End of the response to the first fetch, once its headers are in; exclusive, in bytes."""
        if held:
            self.arrived.share(held)
            self._begin_with(held, held.identity.begun_anew(self.seam.copy))
        self._on_told = on_told
        self.reaches = Reaches()
        """The targets whose ends are wanted."""
        if self._first_reach is not None:
            self.reaches.want(self._first_reach)
        self._changed = asyncio.Event()

    def _begin_with(self, held: Frame, identity: Identity) -> None:
        """Takes the bytes that are held, under this identity."""
        self.first = self._first_reach = None
        self.claim, self.identity, self.seam.held = identity.claim, identity, held.identity
        self._first_piece = len(held.pieces[0])
        self._counted = self.answered = self._planned = self.size
        self.expect(identity.claim.total)

    def renew(self, lease: Lease) -> None:
        """The supplier still has the stale version. Its bytes are in now, under a new lease."""
        stale = self.arrived.renew()
        claim = replace(stale.identity.claim, lease=lease.dated(monotonic()))
        self._begin_with(stale, replace(stale.identity, claim=claim))
        self._look()
        self._notify()

    def want(self, stop: int | ResolutionTarget | None) -> None:
        """Extends the fill to `stop`; None is the end of the frame."""
        if isinstance(stop, ResolutionTarget):
            self.reaches.want(stop)
            self._look()
        else:
            self.demand.want(stop)
        self._notify()

    def view(self, stop: Stop | None, person: bytes) -> bool:
        """A viewer wants the frame up to `stop`. Returns True if it counts as a reader until it leaves."""
        is_first_enough = isinstance(stop, int) and stop <= self._first_piece
        is_early = is_first_enough or isinstance(stop, ResolutionTarget)
        number = next(self.order.source.gate.numbers)
        return self.demand.view(
            person, number, is_first_enough=is_first_enough, is_early=is_early, has_first=self.has_first
        )

    def count_for_plan(self, stop: int) -> int:
        """Bytes before `stop` that were fetched and that no plan has counted yet; all of these are in."""
        first_stop = min(self.first or 0, self.claim.total if self.claim else 0)
        brought = max(0, max(stop, first_stop) - self._counted)
        self._counted += brought
        return brought

    @property
    def size(self) -> int:
        """End of the bytes that are in, exclusive."""
        return self.arrived.size

    def frame(self) -> Frame | None:
        """The bytes that are in, as a frame; None until it is identified, or if some bytes were let go."""
        return self.arrived.frame(self.identity, self._first_piece) if self.identity is not None else None

    def believe(self, answer: Answer, *, is_anew: bool = False) -> None:
        """Takes the claim of a response, or checks that it is the same as before. Raises `OriginMismatch`."""
        said, lease = answer.claim, answer.claim.lease.dated(monotonic())
        if self.claim is None:
            self.arrived.drop_stale()
            validator = self.seam.begin(said, answer.stop)
            self.claim = replace(said, validator=validator, lease=lease)
            self._planned = self.answered = answer.stop
            self.expect(self.claim.total)
            self._notify()
        elif (said.label, said.total) != (self.claim.label, self.claim.total):
            raise OriginChanged("another media type or total than before", "label")
        elif is_anew:
            self._lend(lease)
        else:
            self._lend(self.claim.lease.within(lease))
            self.seam.join(self.claim, said, self.identity)

    def _lend(self, lease: Lease) -> None:
        if self.claim is not None and self.claim.lease != lease:
            self.claim = replace(self.claim, lease=lease)
            if self.identity is not None:
                self.identity = replace(self.identity, claim=self.claim)

    def extend(self, chunk: bytes) -> None:
        """Appends the next bytes. Raises `OriginMismatch` if they do not fit, or if they are no image."""
        self.seam.check(self.identity, self.arrived.pieces, self.size, chunk)
        self.arrived.append(chunk, self._first_piece)
        if self.identity is None and self.claim and self.size >= min(IDENTIFYING, self.claim.total):
            leading = b"".join(self.arrived.views(0, IDENTIFYING))
            if is_text(self.claim.label, leading, self.claim.total):
                raise OriginMismatch("a text that is labelled as a frame", "text")
            keeps_label = self.order.source.supplier.keeps_labels
            self.identity = identify(self.claim, leading, copy=self.seam.copy, keeps_label=keeps_label)
        self.identity = self.seam.name(self.identity, self.size, chunk)
        self._look()
        self._notify()

    def end(self, error: ProxyError) -> None:
        """Ends the fill. A reader that needs bytes that are missing gets the error."""
        self.error = error.anew()
        self.pace.end()
        self.reader_moved()
        self._notify()

    def reader_moved(self) -> None:
        """A reader has come on, waits for bytes, or has left."""
        if self.error is not None and not self.pace.readers:
            self.arrived.release()
        elif self.pace.is_by_stretches:
            self._notify()

    @property
    def has_first(self) -> bool:
        """True if the first bytes are in."""
        return self.size >= self._first_piece

    def expect(self, total: int) -> None:
        """The whole frame has about `total` bytes."""
        self.demand.is_short = total - self._first_piece < self.order.source.gate.window.size

    @property
    def is_enough(self) -> bool:
        """True if all bytes that are wanted are in."""
        if self.claim is None:
            return False
        if self.pace.is_left and self._may_be_split and self.size >= self._planned:
            return True  # it can go on when somebody wants it again
        return not self.reaches and self.size >= self.demand.bytes_of(self.claim.total)

    @property
    def _may_be_split(self) -> bool:
        """True if the rest can come by several ranges that a strong validator guards."""
        is_guarded = self.claim and self.claim.validator and not self.seam.is_unguarded
        return bool(is_guarded) and self.order.source.supplier.has_ranges is not False

    def within_room(self, span: Span) -> Span:
        """The span; only its first bytes if it is the whole frame, room is short, and the rest can follow."""
        supplier = self.order.source.supplier
        may = self.order.first is not None and supplier.has_ranges is not False and supplier.has_validators
        if span != Span(0, None) or self.claim or not may or self.seam.is_apart or not self.pace.is_short:
            return span
        self.first = self._first_piece
        return Span(0, self.first)

    def breaks_off(self, stop: int) -> bool:
        """True if a response that ends at `stop` is not read on for now, because room is short."""
        is_long = stop - self.size > STRETCH and stop == self._planned and self.has_first
        if not (is_long and self._may_be_split and self.pace.has_to_wait(self.size)):
            return False
        self._planned, self.pace.is_by_stretches = self.size, True
        return True

    def is_first(self, span: Span) -> bool:
        """True if a span has bytes of the first picture."""
        return span.start < self._first_piece and not (span.start == 0 and self.has_first)

    def size_of(self, span: Span, expected: int | None) -> FetchSize:
        """Estimated bytes of a span; `expected` is the size of the largest recent frame of the series.

        A revalidation is expected to bring none.
        """
        if self.arrived.stale is not None:
            return NOTHING
        total = self.claim.total if self.claim else expected
        end = min(filter(None, (span.stop, total)), default=DEFAULT_FIRST)
        first = max(0, min(end, self._first_piece) - span.start)
        return FetchSize(first, max(0, end - span.start - first))

    async def next_span(self) -> Span | None:
        """Returns the next completion to request; None when all bytes that are wanted are in."""
        while True:
            if self.claim is not None:
                stop = self.demand.bytes_of(self.claim.total)
                is_begun, takes_all = self.size >= self._planned, None
                if stop > self._planned:
                    takes_all = self.seam.takes_all(self.claim, self.identity, is_begun=is_begun)
                if takes_all:
                    self.seam.begun_at, self._planned = self._planned, self.claim.total
                    return Span(0, None)
                end = self._within_room(stop) if takes_all is not None else None
                if end is not None:
                    span = Span(self._planned, None if end == self.claim.total else end)
                    self._planned = end
                    return span
                if self.is_enough or (self.size >= max(stop, self._planned) and not self.reaches):
                    return None
            await self.changed()

    def _within_room(self, stop: int) -> int | None:
        """How far the next completion may go, at most to `stop`; None if it has to wait for room."""
        self.pace.is_by_stretches |= self._may_be_split and self.pace.is_short
        if not self.pace.is_by_stretches:
            return stop
        if self._planned > self.size or not self.pace.goes_on(self.size, self._notify):
            return None  # one stretch at a time
        if self.pace.is_short and not self.reaches:
            self.arrived.let_go(self.pace.passed, self._first_piece)
        return min(stop, self._planned + STRETCH)

    def _look(self) -> None:
        """Looks in the bytes for the ends of targets that are not known yet."""
        if not self.reaches or self.identity is None:
            return
        pieces, size, total = self.arrived.pieces, self.size, self.identity.claim.total
        found = self.reaches.look(pieces, size, total, partial(self._on_told, self))
        for reach, stop in found.items():
            self.demand.want(stop)
            if reach == self._first_reach:
                self._first_piece = stop

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def changed(self) -> None:
        """Waits for the next change. Raises the error that ended the fill."""
        if self.error is not None:
            raise self.error.anew()
        await self._changed.wait()

    async def reached(self, start: int) -> None:
        """Waits until all bytes before `start` are in. Raises the error that ended the fill."""
        while self.size < start:
            await self.changed()
