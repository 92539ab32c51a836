"""Frames in memory, within a budget of bytes.

A first picture of many frames is worth more than a few complete frames, so first pieces outlive the rest.
The cache keeps the first piece of each frame and the whole frame as two entries.

When space runs out, the frames of a caller that has more than its share leave first (`proxy.cache.shares`).
Otherwise, the least recently used frame gives up its finest resolution (if its offset is known) and goes back
to the end of the queue. When it reaches the front with nothing left to give, its remainder is dropped and
only its first piece stays. First pieces have a share of the budget. If they exceed it when space runs out,
the least recently used one is evicted, together with the rest of its frame.

A frame whose lease has ended is stale (`proxy.cache.lifetimes`). As long as it is held, `get` does not return
it: `stale` does, if the origin can revalidate it, and `if_error`, if it may be used while the origin fails.

A frame that grows is put again, because cachetools measures a value only when it is put.

The budget also covers what each frame costs beside its bytes, the bytes outside the cache
(`proxy.cache.room`), and tables (`proxy.cache.kept`): frames are evicted to make room for them.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from time import monotonic

from proxy.cache.kept import Ledger
from proxy.cache.lifetimes import Lifetimes, Stale, Times
from proxy.cache.names import Names
from proxy.cache.parts import Kept, bytes_in, entries_in, first_size, parts_of
from proxy.cache.room import STRETCH, Room
from proxy.cache.shares import Shares
from proxy.cache.uses import NO_MARK, Mark, Uses
from proxy.frame.frame import Frame
from proxy.frame.key import FrameKey
from proxy.frame.kinds import kind_of
from proxy.frame.scope import FrameScope
from proxy.telemetry.telemetry import Telemetry

OVERHEAD = 2500
"""Bytes that a frame costs beside its own: its key, its identity and the indexes (1.8 to 2.5 kB measured)."""
TABLES = 1 / 8
"""Share of the budget that tables may take (`proxy.cache.kept`)."""
MOST_SPARED = 8
"""Frames in use that are passed over at once when space runs out. They go back to the end of the queue."""
NAMES_LEFT = 1024
"""Number of keys of evicted frames that `Names` may hold before it is rebuilt."""


class MemoryStore:
    """A store that evicts least recently used frames, in two parts under one budget of bytes."""

    def __init__(
        self,
        budget: int,
        first_share: float,
        ttl: float,
        telemetry: Telemetry,
        clock: Callable[[], float] = monotonic,
        *,
        overhead: int = OVERHEAD,
        stale_ttl: float | None = None,
        if_error: float = 0.0,
    ) -> None:
        """A frame is fresh for `ttl` seconds at most, and held for revalidation for `stale_ttl`, or as long.

        If the origin fails, it may be used for `if_error` seconds after the end of its lease.
        """
        self._budget = budget
        self._first_budget = int(budget * first_share)
        self._metrics = telemetry.metrics
        # `_make_room` keeps their sum within the budget
        self._firsts, self._rests = parts_of(budget, clock, self._metrics)
        self._names = Names()
        self._uses = Uses(self.get, clock)
        self._lifetimes = Lifetimes(ttl, max(ttl, stale_ttl or ttl), if_error)
        self._clock, self._doubted = clock, float("-inf")
        self._overhead = overhead
        self.room = Room(budget, self._fixed, self._make_room)
        """The bytes outside the cache, which count too."""
        self.ledger = Ledger(int(budget * TABLES), self._make_room)
        """The bytes of tables, which count too."""
        self.shares = Shares(budget, self.ledger)  # the accounts of callers
        outside = {
            "overhead": self._overhead_bytes,
            "filling": lambda: self.room.filling,
            "lent": lambda: self.room.lent,
            "tables": lambda: self.ledger.size,
        }
        for part, count in outside.items():
            telemetry.metrics.cache_bytes.labels(part).set_function(count)

    def get(self, key: FrameKey) -> Frame | None:
        """The fresh frame or its prefix, None if neither is held. Both parts count as used."""
        kept = self._kept(key)
        if kept is None or self._clock() >= kept.fresh_until:
            return None
        kept.is_used = True
        return kept.frame

    def mark(self, key: FrameKey) -> Mark:
        """A mark that counts as long as `get` returns for this key the same as now."""
        kept = self._kept(key)
        return NO_MARK if kept is None else Mark(self._uses.changes, kept.fresh_until)

    def use(self, key: FrameKey, mark: Mark) -> bool:
        """True if a mark of this key still counts. Then its frame is used, as if it came from `get`."""
        return self._uses.note(key, mark)

    def stale(self, key: FrameKey) -> Frame | None:
        """A frame or prefix that may be used once the origin has revalidated it, None if there is none."""
        kept = self._kept(key)
        return kept.frame if kept is not None and kept.frame.can_be_revalidated else None

    def if_error(self, key: FrameKey) -> Stale | None:
        """A frame or prefix that may be used if the origin fails. It counts as used then."""
        kept, now = self._kept(key), self._clock()
        if kept is None or now >= kept.usable_until:
            return None
        kept.is_used = True
        made = kept.frame.identity.claim.lease.after(0.0, now)
        return Stale(kept.frame, now - made, now - kept.fresh_until)

    def held(self, key: FrameKey) -> Frame | None:
        """The frame or its prefix, fresh or not, for a tier."""
        kept = self._kept(key)
        return None if kept is None else kept.frame

    def may_keep(self, key: FrameKey, frame: Frame) -> bool:
        """True if a frame may be kept at all, whether or not there is room for it here."""
        now = self._clock()
        return self._times(key, frame, now).expires > now

    def doubt(self) -> None:
        """Makes all frames stale that were fetched before now, also those that a tier brings later."""
        self._uses.end_marks()
        self._doubted = self._clock()
        for kept in (*self._firsts.values(), *self._rests.values()):
            kept.fresh_until = min(kept.fresh_until, self._doubted)
            kept.usable_until = kept.fresh_until

    def _kept(self, key: FrameKey) -> Kept | None:
        self._uses.carry_out()
        try:
            first = self._firsts[key]
        except KeyError:
            return None
        try:
            return self._rests[key]
        except KeyError:
            return first

    def put(self, key: FrameKey, frame: Frame, caller: bytes = b"") -> None:
        """Keeps a frame until it expires. If the whole does not fit, only its first piece is kept.

        It is charged to the caller, or to its partition if the caller is empty.
        A frame with an empty partition was fetched without a credential, so the shared lifetime applies.
        """
        self._drop_expired()  # cachetools would drop them below, without a word
        self.drop(key)
        times = self._times(key, frame, now := self._clock())
        first = len(frame.pieces[0])
        rest = frame.size - first
        room = self.room.left_beside(frame) - self.ledger.size - self._overhead
        if first > room or times.expires <= now:
            self.room.keep(frame, 0)
            return
        if rest and first + rest > room:
            self._metrics.cache_evictions.labels("rest").inc()
            rest = 0
        self.room.keep(frame, first + rest)
        size = first + rest + self._overhead
        kind = kind_of(key, frame.identity.claim)
        account = self.shares.account_of(caller or key.partition, key, self._firsts)
        self._make_room(size)
        self.shares.fetched(account, key, size, now)
        self._firsts[key] = Kept(frame.prefix, *times, kind, account)
        self._names.add(key)
        if self._names.size > 2 * len(self._firsts) + NAMES_LEFT:  # keys of evicted frames pile up in it
            self._names = Names(self._firsts)
        if rest:
            self._rests[key] = Kept(frame, *times, kind, account)

    def _times(self, key: FrameKey, frame: Frame, now: float) -> Times:
        return self._lifetimes.times(frame, now, is_shared=not key.partition, doubted=self._doubted)

    def drop(self, key: FrameKey) -> None:
        """Drops both parts of a frame."""
        self._uses.end_marks()
        first, _ = self._firsts.drop(key), self._rests.drop(key)
        if first is not None:
            self.shares.release(first.account, key)
            self.room.keep(first.frame, 0)

    def forget(self, named: FrameScope) -> None:
        """Drops all frames of a scope."""
        for key in self._names.take(named):
            self.drop(key)

    @property
    def size(self) -> int:
        """Bytes held in both parts. Expired frames count until room is short or the bytes are asked for."""
        self._drop_expired()
        return bytes_in(self._firsts) + bytes_in(self._rests)

    @property
    def counted(self) -> int:
        """All bytes that count against the budget."""
        outside = self.room.filling + self.room.lent + self.ledger.size
        return bytes_in(self._firsts) + bytes_in(self._rests) + self._overhead_bytes() + outside

    def _make_room(self, wanted: int = 0) -> None:
        if self.counted + wanted + STRETCH <= self._budget:
            return
        self._drop_expired()
        spared = 0
        while self.counted + wanted > self._budget and self._firsts and spared < MOST_SPARED:
            with suppress(KeyError):  # the last entry expired just now
                spared += not self._evict()

    def _evict(self) -> bool:
        """Evicts an entry: of an account that has more than its share, or the least recently used one.

        If the entry is being read, keeps it as recent and returns False.
        """
        self._uses.end_marks()
        for chances in range(MOST_SPARED, -1, -1):
            leaving = self.shares.first_to_leave(self._clock())
            if leaving is None:
                break
            if not (chances and self._was_used(*leaving)):
                return self._evict_of(*leaving)
        is_first = self._firsts.currsize > self._first_budget or not self._rests
        part = self._firsts if is_first else self._rests
        key, kept = part.popitem()
        if self.room.is_borrowed(kept.frame):
            part[key] = kept
            return False
        if is_first:
            self.shares.release(kept.account, key)
            self._metrics.cache_evictions.labels("first").inc()
            if self._rests.pop(key, None) is None:
                return True
        elif (coarser := kept.frame.coarser) is not None:
            self._rests[key] = replace(kept, frame=coarser)
            self._charge(kept.account, key, coarser)
            self._metrics.cache_evictions.labels("finest").inc()
            return True
        else:
            self._charge(kept.account, key, kept.frame.prefix)
        self._metrics.cache_evictions.labels("rest").inc()
        return True

    def _was_used(self, account: bytes, key: FrameKey) -> bool:
        """True if a frame was used since it was charged; then it is charged anew."""
        held = [each for each in (self._firsts.get(key), self._rests.get(key)) if each is not None]
        if not any(each.is_used for each in held):
            return False
        for each in held:
            each.is_used = False
        self._charge(account, key, held[-1].frame)
        return True

    def _evict_of(self, account: bytes, key: FrameKey) -> bool:
        """Evicts the rest of a frame, or its first piece. If it is being read, returns False."""
        first = self._firsts.get(key)
        if first is None:  # it has expired
            self.shares.release(account, key)
            return True
        has_rest = key in self._rests
        if self.room.is_borrowed(first.frame):
            self._charge(account, key, (self._rests[key] if has_rest else first).frame)
            return False
        if has_rest:
            del self._rests[key]
            self._charge(account, key, first.frame)
        else:
            del self._firsts[key]
            self.shares.release(account, key)
        self._metrics.cache_evictions.labels("rest" if has_rest else "first").inc()
        return True

    def _charge(self, account: bytes, key: FrameKey, frame: Frame) -> None:
        self.shares.charge(account, key, frame.size + self._overhead)

    def _fixed(self) -> int:
        """Bytes that fills do not displace: overhead, tables, and the share of first pieces."""
        firsts = min(bytes_in(self._firsts), self._first_budget)
        return firsts + self._overhead_bytes() + self.ledger.size

    def _overhead_bytes(self) -> int:
        return self._overhead * entries_in(self._firsts)

    def _drop_expired(self) -> None:
        for key, kept in self._firsts.expire():
            self.shares.release(kept.account, key)
            self.room.keep(kept.frame, 0)
        for key, kept in self._rests.expire():
            if key in self._firsts:
                self._charge(kept.account, key, kept.frame.prefix)
                self.room.keep(kept.frame, first_size(kept))
