"""Frames from tiers behind memory (`proxy.cache.tiers`), for viewers and for fills.

A frame that only a tier has is brought into memory before it is known whether the caller may read it. Then
it is held, so the caller needs a proof like for any held frame (`proxy.fetch.permits`). It may be the copy of
any caller, so a caller who was the only reader of the study so far counts as one of several.

If a tier of this machine has the rest of a frame, the rest stays there until somebody reads it.

A fill that begins with held bytes takes what follows from a tier, as far as a tier has that very version, and
goes on at the origin from there. If the origin is away, a stale frame takes the rest from tiers only.

While the origin sends a frame, tiers that replicas share get what has come, piece by piece. If this replica
dies, another one has to fetch only what came after the last piece.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

from proxy.access.caller import Caller
from proxy.access.proofs import Proofs
from proxy.cache.tier import SMALL, piece_end
from proxy.cache.tiers import TieredStore
from proxy.fetch.arrived import Arrived
from proxy.fetch.fill import Fill
from proxy.fetch.fills import Fills
from proxy.frame.frame import Frame
from proxy.frame.key import FrameKey
from proxy.wire.ranges import Span


class Farther:
    """The tiers, as requests and fills use them."""

    def __init__(self, store: TieredStore, fills: Fills, proofs: Proofs) -> None:
        self._store = store
        self._fills = fills
        self._proofs = proofs
        fills.next_span, fills.extend = self.next_span, self.extend
        store.coming = self._coming

    async def bring(self, caller: Caller, key: FrameKey) -> str:
        """Brings a frame into memory, if only a tier has it. Returns the name of the tier, empty if none."""
        study, partition = key.resource.study, key.partition
        if caller.identity and (yes := self._proofs.yes((caller.identity, key.origin, study))) is not None:
            key = replace(key, partition=yes.partition)  # what `Permits.admit` will say
        return await self.bring_as(caller.person or partition, key)

    async def bring_as(self, person: bytes, key: FrameKey) -> str:
        """The same for a key that may be read already; the frame is charged to a person."""
        if not self._is_free(key) or not self._store.may_bring(key):
            return ""
        tier = await self._store.bring(key, person, lambda: self._is_free(key))
        if tier:
            self._proofs.note_others(key.origin, key.resource.study)
        return tier

    async def whole(self, person: bytes, key: FrameKey, prefix: Frame) -> Frame | None:
        """A frame of which memory holds a prefix, with the rest that tiers have; None if they lack some.

        It is kept in memory, and charged to a person, unless what memory holds has changed meanwhile.
        """
        version, first = prefix.identity, len(prefix.pieces[0])
        arrived = Arrived(self._store.room, None)
        arrived.share(prefix)
        try:
            async with aclosing(self._store.rest(key, version, prefix.size)) as pieces:  # type: ignore[type-var]
                async for _, piece in pieces:
                    arrived.append(piece, first)
            frame = arrived.frame(version, first)
        finally:
            arrived.release()
        if frame is None or not frame.is_whole or not self._store.keep_whole(key, frame, person):
            return None
        return frame

    def _is_free(self, key: FrameKey) -> bool:
        return self._fills.get(key) is None

    def _coming(self, key: FrameKey) -> Frame | None:
        fill = self._fills.get(key)
        if fill is None or fill.identity is None or not fill.arrived.pieces:
            return None
        return Frame(fill.identity, tuple(fill.arrived.pieces), fill.size)

    def extend(self, fill: Fill, chunk: bytes) -> None:
        """Appends bytes of the origin to a fill. If they end a piece, other replicas get what has come."""
        end = piece_end(fill.size)
        fill.extend(chunk)
        version = fill.identity
        if (
            fill.size >= end
            and version
            and version.is_vouched
            and version.claim.total > max(SMALL, fill.size)
        ):
            self._store.grow(fill.order.key)

    async def next_span(self, fill: Fill) -> Span | None:
        """The next span that a fill has to fetch; the bytes that a tier has are in by then."""
        while (span := await fill.next_span()) is not None:
            left = await self._without_held(fill, span)
            if left is not None:
                return left
        return None

    async def _without_held(self, fill: Fill, span: Span) -> Span | None:
        """The part of a span that no tier has; None if nothing of it is left."""
        version = fill.seam.held
        if version is None or not version.is_vouched or fill.size < span.start:
            return span
        stop = version.claim.total if span.stop is None else span.stop
        if await self._take(fill, self._store.rest(fill.order.key, version, fill.size), stop):
            return None
        if span.start == 0:  # the whole frame anew, whose bytes up to here are compared
            fill.seam.begun_at = fill.size
            return span
        return Span(fill.size, span.stop)

    async def _take(self, fill: Fill, pieces: AsyncIterator[tuple[str, bytes]], stop: int) -> bool:
        """Takes pieces up to `stop`. Returns True if the fill needs no more of them."""
        async with aclosing(pieces) as pieces:  # type: ignore[type-var]
            async for _, piece in pieces:
                fill.extend(piece[: stop - fill.size])
                fill.count_for_plan(fill.size)  # they cost the origin nothing
                if fill.size >= stop or fill.breaks_off(stop):
                    return True
        return False
