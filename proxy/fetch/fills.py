"""The fills under way, and the tasks that carry them out.

A fill belongs to the app, not to a viewer. It goes on when viewers leave. At most two of its fetches run at
once. The first fetch starts at byte 0. The completion is requested as soon as the headers of the first
response are in, because they carry the total size and the validator that the completion is checked against.
Its body is read once the first bytes are in.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from proxy.cache.store import Store
from proxy.codestream.reach import UNTOLD, ResolutionTarget, Stop, TargetEnd
from proxy.errors import (
    OriginBusy,
    OriginFailed,
    OriginHungUp,
    OriginMismatch,
    OriginRefused,
    OriginStalled,
    PlanCancelled,
    ProxyError,
    ShuttingDown,
)
from proxy.fetch.account import FetchSize
from proxy.fetch.askers import revoked_by
from proxy.fetch.fill import Fill
from proxy.fetch.gate import Seat
from proxy.fetch.learned import Learned
from proxy.fetch.order import FillOrder, first_fetch
from proxy.fetch.patience import Patience
from proxy.fetch.tasks import Tasks, cause_of
from proxy.fetch.turns import Rank
from proxy.frame.frame import Frame
from proxy.frame.key import FrameKey
from proxy.frame.scope import FrameScope
from proxy.frame.supply import Answer, OriginRequest
from proxy.telemetry.telemetry import Telemetry
from proxy.wire.ranges import Span

_log = logging.getLogger(__name__)


class Fills:
    """Starts fills and runs their fetches."""

    def __init__(self, store: Store, telemetry: Telemetry) -> None:
        self._store = store
        self._metrics = telemetry.metrics
        self._table: dict[FrameKey, Fill] = {}
        self._learned = Learned(store.ledger)
        self.tasks: Tasks[Fill] = Tasks()
        self.next_span: Callable[[Fill], Awaitable[Span | None]] = Fill.next_span  # the tiers come before it
        self.extend: Callable[[Fill, bytes], None] = Fill.extend  # and get what it brings

    def __len__(self) -> int:
        return len(self._table)

    @property
    def waiting(self) -> int:
        """Number of fills that wait for room in memory."""
        return self._store.room.waiting

    def get(self, key: FrameKey) -> Fill | None:
        """The fill of a frame, if one is under way that others may join."""
        fill = self._table.get(key)
        return fill if fill is not None and not fill.arrived.gone else None

    def start(
        self, order: FillOrder, held: Frame | None, stop: Stop | None, planned: Rank | None = None
    ) -> Fill:
        """Starts a fill from the bytes in `held` up to `stop`. Raises `ShuttingDown`.

        `planned` is the rank of the plan that asks; None if a viewer does.
        """
        return self._start(order, held, stop, planned, self._heal)

    def cancel(self, key: FrameKey) -> None:
        """Ends a fill that only plans wanted, if no plan wants it now. The bytes that came are kept."""
        fill = self._table.get(key)
        if fill is not None and fill.demand.planned is not None and not fill.demand.plans:
            self._cancel(fill)

    def leave(self, fill: Fill) -> None:
        """A viewer has left. If nobody else reads, ends a fill of which nothing came that could be kept.

        A request that has gone out goes on at the origin until it is answered, and keeps its seat as long.
        """
        if self._is_in_vain(fill) and (fill.claim is not None or not fill.askers.has_asked):
            self._cancel(fill)

    def _is_in_vain(self, fill: Fill) -> bool:
        return fill.pace.was_left and (fill.identity is None or fill.order.is_alone)

    def _cancel(self, fill: Fill) -> None:
        if self._is_current(fill):
            self._keep(fill)
            del self._table[fill.order.key]
        self.tasks.cancel(fill)  # it may take one more step, and ends after that

    def _start(
        self,
        order: FillOrder,
        held: Frame | None,
        stop: Stop | None,
        planned: Rank | None,
        heal: Callable[[Fill], None] | None,
    ) -> Fill:
        first, is_learned = first_fetch(order, stop, self._learned)

        def note(fill: Fill, reach: ResolutionTarget, told: TargetEnd) -> None:
            if told.resolution is not None:
                self._learned.note(order.key, reach, told.stop)
            if fill.first is not None and reach == order.first:
                self._count(told, fill.first, is_learned=is_learned)

        fill = Fill(order, self._store.room, held, first, note, planned)
        fill.seam.is_apart = self._learned.is_apart(order.key)
        expected = self._learned.guess(order.key, None)
        if not fill.size and expected is not None:
            fill.expect(expected)
        fill.want(stop)
        self.tasks.start(fill, self._run(fill, heal), lambda: self._end_if_left(fill))
        if not order.is_alone:
            self._table[order.key] = fill
        self._metrics.fills_in_flight.inc()
        return fill

    def _count(self, told: TargetEnd, first: int, *, is_learned: bool) -> None:
        """Counts a first fetch by resolution, now that the end of the resolution is known."""
        self._metrics.first_fetches.labels("learned" if is_learned else told.method).inc()
        if told.stop > first:
            self._metrics.top_ups.inc()
        self._metrics.first_saved_bytes.inc(max(0, UNTOLD - max(told.stop, first)))

    async def _run(self, fill: Fill, heal: Callable[[Fill], None] | None) -> None:
        # This task lets no exception out except its own cancellation: any other would end all other fills.
        try:
            while not fill.is_enough:
                await self._carry_out(fill)
            self._end(fill, None)
        except* OriginMismatch as group:
            self._refuse(fill, cause_of(group), heal)
        except* ProxyError as group:
            error = cause_of(group)
            is_probe = fill.order.is_alone and fill.order.asked.identity  # it tells of its caller only
            if not is_probe and (named := revoked_by(fill.order.asked, error)) is not None:
                self.forget(named)
            self._end(fill, error)
        except* Exception as group:
            _log.error("a fill ended because of a fault inside the proxy", exc_info=cause_of(group))
            self._end(fill, OriginFailed("a fault inside the proxy"))

    def _end_if_left(self, fill: Fill) -> None:
        """Ends a fill whose task was cancelled."""
        ending = ShuttingDown("the service is ending") if self.tasks.is_closing else None
        self._end(fill, ending or PlanCancelled("nobody waits for the frame"))

    async def _carry_out(self, fill: Fill) -> None:
        async with asyncio.TaskGroup() as both:
            both.create_task(self._complete(fill))
            if not fill.size:
                await self._fetch_first(fill)

    async def _fetch_first(self, fill: Fill) -> None:
        await self._fetch(fill, Span(0, fill.first), is_first=True)
        self._keep(fill)

    async def _complete(self, fill: Fill) -> None:
        while (span := await self.next_span(fill)) is not None:
            if fill.seam.is_anew(span, fill.claim):
                self._learned.note_apart(fill.order.key)
            fill.has_resumed &= not fill.pace.is_by_stretches  # each stretch may be resumed once
            await self._fetch(fill, span, is_first=fill.is_first(span))

    async def _fetch(self, fill: Fill, span: Span, *, is_first: bool) -> None:
        """Runs one fetch. Resumes it once if it broke off; retries it if the origin was busy or failed."""
        start, stop, origin = span.start, span.stop, fill.order.key.origin
        patience = Patience(fill, self._metrics.asked_again.labels(origin).inc, self._close)
        is_anew = fill.seam.is_anew(span, fill.claim)
        while True:
            asked, part = fill.askers.now, Span(start, stop)
            try:
                return await self._fetch_once(fill, asked, part, is_first=is_first, is_anew=is_anew)
            except OriginRefused as error:
                if not fill.askers.pass_on(asked, error):
                    self._close(fill)
                    raise
            except (OriginHungUp, OriginStalled):
                if is_anew:
                    raise
                if span.start == 0 and fill.claim is not None:
                    stop = fill.answered  # the response may be longer or shorter than the request
                if stop is not None and fill.size >= stop:
                    return None  # it broke off within the envelope after the frame
                if fill.has_resumed or fill.claim is None or fill.claim.validator is None:
                    raise
                fill.has_resumed = True
                self._metrics.resumes.labels(origin).inc()
                start = max(start, fill.size)
            except (OriginBusy, OriginFailed) as error:
                await patience.wait(error, start)

    async def _fetch_once(
        self, fill: Fill, asked: OriginRequest, span: Span, *, is_first: bool, is_anew: bool
    ) -> None:
        order, stage = fill.order, "first" if is_first else "completion"
        held = None if is_anew else fill.claim

        def size() -> FetchSize:
            return fill.size_of(span, self._learned.guess(fill.order.key, None))

        async with order.source.seat(asked, fill.demand, size, is_first=is_first) as seat:
            span, fetch = fill.within_room(span), order.source.supplier.fetch
            fill.askers.has_asked = True
            async with fetch(asked, span, held, stage, fill.demand, fill.arrived.stale_claim) as answer:
                if self._is_in_vain(fill):
                    raise PlanCancelled("nobody waits for the frame")
                if answer.is_unchanged:
                    fill.renew(answer.claim.lease)
                else:
                    await self._read(fill, answer, seat, span, is_anew=is_anew)

    async def _read(self, fill: Fill, answer: Answer, seat: Seat, span: Span, *, is_anew: bool) -> None:
        if answer.start < span.start:  # the whole, without a validator: its bytes are compared
            is_anew, fill.seam.begun_at = True, span.start
            self._learned.note_apart(fill.order.key)
        was_unguarded = fill.seam.is_unguarded
        fill.believe(answer, is_anew=is_anew)
        seat.begun()
        if span.start == 0:
            self._learned.note(fill.order.key, None, answer.claim.total)
        if fill.seam.is_unguarded and not was_unguarded:
            self._metrics.unguarded.labels(fill.order.key.origin).inc()
        at = answer.start
        await fill.reached(fill.seam.begun_at if is_anew else at)
        async for chunk in answer.chunks:
            await seat.let_first_pass()
            new, at = fill.seam.beyond(chunk, at, fill.arrived.pieces) if is_anew else chunk, at + len(chunk)
            if new:
                self.extend(fill, new)
            seat.arrived(len(chunk))
            if fill.has_first:
                seat.end_first()
            if fill.breaks_off(answer.stop):
                return

    def forget(self, named: FrameScope) -> None:
        """Drops all that is held in a scope. Fills in it go on for their readers, but are not stored."""
        self._store.forget(named)
        self._learned.forget(named)
        for key in [key for key in self._table if named.has(key)]:
            del self._table[key]

    def _is_current(self, fill: Fill) -> bool:
        return self._table.get(fill.order.key) is fill

    def _close(self, fill: Fill) -> None:
        """Takes a fill that is about to fail out of the table, so that nobody joins it and gets its error."""
        if self._is_current(fill):
            self._keep(fill)
            del self._table[fill.order.key]

    def _keep(self, fill: Fill) -> None:
        frame = fill.frame()
        if frame is not None and self._is_current(fill):
            fill.arrived.share(frame)
            self._store.put(fill.order.key, frame, fill.askers.now.person)

    def _end(self, fill: Fill, error: ProxyError | None, *, is_kept: bool = True) -> None:
        if fill.error is not None:
            return  # it has ended already
        # One step: no request may find the fill gone from the table and the frame not yet in the store.
        if is_kept:
            self._keep(fill)
        if self._is_current(fill):
            if not is_kept:
                self._store.drop(fill.order.key)
            del self._table[fill.order.key]
        self._metrics.fills_in_flight.dec()
        fill.end(error or OriginHungUp("the fill ended before these bytes"))

    def _refuse(self, fill: Fill, error: ProxyError, heal: Callable[[Fill], None] | None) -> None:
        """Drops bytes that do not match. The first time, fetches the frame anew by one plain request."""
        reason = error.reason if isinstance(error, OriginMismatch) else "other"
        self._metrics.mismatches.labels(fill.order.key.origin, reason).inc()
        if reason == "markers":
            self._learned.note_apart(fill.order.key)
        is_current = self._is_current(fill)
        self._end(fill, error, is_kept=False)
        if heal is not None and is_current and not self.tasks.is_closing:
            heal(fill)

    def _heal(self, fill: Fill) -> None:
        order = replace(fill.order, asked=fill.askers.now, first=None, is_stale=False)
        self._start(order, None, None, fill.demand.planned, None)
