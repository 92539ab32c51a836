"""One fill: a frame while it is being fetched, read by any number of viewers.

    asked ──► claimed ──────► identified ─────────► ended
              the response's  the leading bytes     complete, or as far as wanted, or with an error;
              headers are in  are in: readers       the frame is in the store, and the fill is no
                              can be answered       longer in the table

If the supplier still has the stale version in the cache, the fill goes from asked to identified at once.

Bytes are only ever appended. So a reader needs only its own position, and a slow reader delays no other
reader. The state changes in one step, without waiting. Readers are woken afterwards.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from time import monotonic

from proxy.codestream.reach import ResolutionTarget, Stop, TargetEnd
from proxy.errors import OriginChanged, OriginMismatch, ProxyError
from proxy.fetch.account import NOTHING, FetchSize
from proxy.fetch.askers import Askers
from proxy.fetch.demand import Demand
from proxy.fetch.order import DEFAULT_FIRST, FillOrder
from proxy.fetch.reaches import Reaches
from proxy.fetch.seam import Seam
from proxy.fetch.turns import Rank
from proxy.frame.frame import Frame, cut, frame_of
from proxy.frame.identity import IDENTIFYING, Claim, Identity, Lease, identify
from proxy.frame.supply import Answer
from proxy.wire.ranges import Span
from proxy.wire.text import is_text


class Fill:
    """One frame while it is being fetched."""

    def __init__(
        self,
        order: FillOrder,
        held: Frame | None,
        first: int | None,
        on_told: Callable[[ResolutionTarget, TargetEnd], None],
        planned: Rank | None = None,
    ) -> None:
        """`first` is the size of the first fetch in bytes; `on_told` is called with each target's end."""
        self.order = order
        self.askers = Askers(order.asked)
        self.first = first
        """Bytes of the first fetch; None is one plain request for the whole frame, or no first fetch."""
        self.chunks: list[bytes] = []
        self.size = 0
        self.claim: Claim | None = None
        self.seam = Seam(order.asked.validators, held)
        """Checks that all bytes are of one version."""
        self.identity: Identity | None = None
        self.error: ProxyError | None = None
        self.has_resumed = False
        self.demand = Demand(planned)
        """The viewers and plans that want the frame."""
        self._counted = 0
        self._first_piece = min(first or order.named_first, order.named_first)
        self._first_reach = (
            order.first if held is None and isinstance(order.first, ResolutionTarget) else None
        )
        self.answered = 0
        """End of the response to the first fetch, once its headers are in; exclusive, in bytes."""
        self._planned = 0
        if held:
            self._begin_with(held, held.identity.begun_anew(self.seam.copy))
        self._reaches = Reaches(on_told)
        if self._first_reach is not None:
            self._reaches.want(self._first_reach)
        self._changed = asyncio.Event()

    def _begin_with(self, held: Frame, identity: Identity) -> None:
        """Takes the bytes that are held, under this identity."""
        self.first = None
        self.chunks, self.size = list(held.pieces), held.size
        self.claim, self.identity = identity.claim, identity
        self._first_piece = len(held.pieces[0])
        self._counted = self.answered = self._planned = self.size
        self.expect(identity.claim.total)

    @property
    def stale(self) -> Claim | None:
        """The version that the supplier may revalidate; None if there is none, or once a response is in."""
        stale = self.order.stale
        return stale.identity.claim if stale is not None and self.claim is None else None

    def renew(self, lease: Lease) -> None:
        """The supplier still has the stale version. Its bytes are in now, under a new lease."""
        stale = self.order.stale
        assert stale is not None
        claim = replace(stale.identity.claim, lease=_dated(lease))
        self._begin_with(stale, replace(stale.identity, claim=claim))
        self._look()
        self._notify()

    def want(self, stop: int | ResolutionTarget | None) -> None:
        """Extends the fill to `stop`; None is the end of the frame."""
        if isinstance(stop, ResolutionTarget):
            self._reaches.want(stop)
            self._look()
        else:
            self.demand.want(stop)
        self._notify()

    def view(self, stop: Stop | None) -> bool:
        """A viewer wants the frame up to `stop`. Returns True if it counts as a reader until it leaves."""
        is_first_enough = isinstance(stop, int) and stop <= self._first_piece
        return self.demand.view(
            next(self.order.source.gate.numbers),
            is_first_enough=is_first_enough,
            is_early=is_first_enough or isinstance(stop, ResolutionTarget),
            has_first=self.has_first,
        )

    def sending(self, start: int, stop: int | None) -> AbstractContextManager[None]:
        """A response is being sent, which begins with the byte at `start`. See `Demand.sending`."""
        return self.demand.sending(start, stop)

    def count_for_plan(self, stop: int) -> int:
        """Bytes before `stop` that were fetched and that no plan has counted yet; all of these are in."""
        first_stop = min(self.first or 0, self.claim.total if self.claim else 0)
        brought = max(0, max(stop, first_stop) - self._counted)
        self._counted += brought
        return brought

    async def describe(self) -> Identity:
        """Returns the identity once the leading bytes are in. Raises the error that ended the fill."""
        while self.identity is None:
            await self._changed_next()
        return self.identity

    async def told(self, reach: ResolutionTarget) -> TargetEnd:
        """Returns the end of a target, once the bytes show it. Raises the error that ended the fill."""
        self._reaches.want(reach)
        self._look()
        while (told := self._reaches.told(reach)) is None:
            await self._changed_next()
        return told

    async def take(self, start: int, stop: int) -> Sequence[bytes]:
        """Returns the bytes of `[start, stop)` that are in, at least one.

        Raises the error that ended the fill.
        """
        while self.size <= start:
            await self._changed_next()
        return tuple(cut(self.chunks, start, stop))

    def frame(self) -> Frame | None:
        """The bytes that are in, as a frame; None until the frame is identified."""
        if self.identity is None:
            return None
        return frame_of(self.identity, self.chunks, self._first_piece)

    def believe(self, answer: Answer, *, is_anew: bool = False) -> None:
        """Takes the claim of a response, or checks that it is the same as before. Raises `OriginMismatch`."""
        said, lease = answer.claim, _dated(answer.claim.lease)
        if self.claim is None:
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

    async def settle(self) -> Identity:
        """Returns an identity that no other version has. It may be known only when the whole frame is in.

        Raises the error that ended the fill.
        """
        while self.identity is None or not self.identity.is_vouched:
            await self._changed_next()
        return self.identity

    def extend(self, chunk: bytes) -> None:
        """Appends the next bytes. Raises `OriginMismatch` if they do not fit, or if they are no image."""
        self.seam.check(self.identity, self.chunks, self.size, chunk)
        self.chunks.append(chunk)
        self.size += len(chunk)
        if self.identity is None and self.claim and self.size >= min(IDENTIFYING, self.claim.total):
            leading = b"".join(cut(self.chunks, 0, IDENTIFYING))
            if is_text(self.claim.label, leading, self.claim.total):
                raise OriginMismatch("a text that is labelled as a frame", "text")
            keeps_label = self.order.source.supplier.keeps_labels
            self.identity = identify(self.claim, leading, copy=self.seam.copy, keeps_label=keeps_label)
        self.identity = self.seam.name(self.identity, self.size, chunk)
        self._look()
        self._notify()

    def end(self, error: ProxyError) -> None:
        """Ends the fill. A reader that needs bytes that are missing gets the error."""
        self.error = error
        self._notify()

    @property
    def layout(self) -> None:
        """None while the frame is being fetched. To cut a smaller picture, read the layout from the bytes."""

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
        return (
            self.claim is not None
            and not self._reaches
            and self.size >= self.demand.bytes_of(self.claim.total)
        )

    def is_first(self, span: Span) -> bool:
        """True if a span has bytes of the first picture."""
        return span.start < self._first_piece and not (span.start == 0 and self.has_first)

    def size_of(self, span: Span, expected: int | None) -> FetchSize:
        """Estimated bytes of a span; `expected` is the size of the largest recent frame of the series.

        A revalidation is expected to bring none.
        """
        if self.stale is not None:
            return NOTHING
        total = self.claim.total if self.claim else expected
        end = span.stop or total or DEFAULT_FIRST
        end = min(end, total or end)
        first = max(0, min(end, self._first_piece) - span.start)
        return FetchSize(first, max(0, end - span.start - first))

    async def next_span(self) -> Span | None:
        """Returns the next completion to request; None when all bytes that are wanted are in."""
        while True:
            if self.claim is not None:
                stop = self.demand.bytes_of(self.claim.total)
                takes_all = self._takes_all(self.claim) if stop > self._planned else None
                if takes_all:
                    self.seam.begun_at, self._planned = self._planned, self.claim.total
                    return Span(0, None)
                if takes_all is not None:
                    span = Span(self._planned, None if stop == self.claim.total else stop)
                    self._planned = stop
                    return span
                if self.size >= max(stop, self._planned) and not self._reaches:
                    return None
            await self._changed_next()

    def _takes_all(self, claim: Claim) -> bool | None:
        return self.seam.takes_all(claim, self.identity, is_begun=self.size >= self._planned)

    async def reached(self, start: int) -> None:
        """Waits until all bytes before `start` are in. Raises the error that ended the fill."""
        while self.size < start:
            await self._changed_next()

    def _look(self) -> None:
        """Looks in the bytes for the ends of targets that are not known yet."""
        if not self._reaches or self.identity is None:
            return
        for reach, stop in self._reaches.look(self.chunks, self.size, self.identity.claim.total).items():
            self.demand.want(stop)
            if reach == self._first_reach:
                self._first_piece = stop

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _changed_next(self) -> None:
        if self.error is not None:
            raise self.error
        await self._changed.wait()


def _dated(lease: Lease) -> Lease:
    """The lease of a response that came now, with the time at which the response was made."""
    return lease if lease.since is not None else replace(lease, since=monotonic() - lease.age)
