"""Order of the fetches at one origin: viewers before plans, first fetches before completions.

If two callers wait with the same turn, the one that had less goes first (`proxy.fetch.waiting`).

A fetch holds a seat until its response has ended. A caller with a credential leaves the last quarter of the
seats to others. That quarter is also for viewers that have no picture yet, so they need not wait for a seat.
Plans leave half of the seats to viewers.

The gate also decides how many bytes are on their way at once. A fetch of the first bytes that a viewer wants
goes out at once. Any other fetch goes out if fewer fetches run than the origin repays
(`proxy.origin.concurrency`), or if less than a *window* of bytes (`proxy.origin.window`) is to come on the
fetches ahead of it. Ahead of a plan are all fetches, ahead of a viewer those of viewers. Ahead of a viewer
that wants a whole frame are only fetches of its own kind. So short frames are fetched one after another, at
most one window of bytes at a time. If they shared the link, all of them would be late. Ahead of a fetch for
which no viewer waits are also the first fetches that viewers are about to ask for (`proxy.fetch.firsts`).

While first bytes of a higher rank arrive, the gate stops reading large completions, until only a window of
the completion is left.

No fetch starves: every `HELD_AT_MOST` seconds the fetch that has waited longest goes out, of each caller in
rotation; one of a plan only if none of its turn went out meanwhile, since one more would delay viewers. Each
event costs O(log n) for n waiting fetches. A fetch gets its rank when it comes and in `move`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from time import perf_counter

from proxy.fetch.account import NOTHING, Account, FetchSize
from proxy.fetch.demand import Ranked
from proxy.fetch.firsts import Firsts
from proxy.fetch.turns import Turn
from proxy.fetch.waiting import LEAST_COST, Queue, Waiting
from proxy.origin.concurrency import GENTLE, STEP, Concurrency
from proxy.origin.window import Clock, Quota, Window
from proxy.telemetry.telemetry import Telemetry

HELD_AT_MOST = 1.0
"""Seconds after which the longest waiting fetch goes out, even if others are ahead of it."""
UNREAD = 256 * 1024
"""Bytes that socket buffers hold. If no more than these are left unread, the link is not slowed down."""


class Seat:
    """The place of one fetch, which waits or runs, and the bytes that are still to come on it."""

    def __init__(
        self, gate: "Gate", demand: Ranked, size: Callable[[], FetchSize], *, is_first: bool
    ) -> None:
        self._gate = gate
        self._account = gate.account
        self._demand = demand
        self._size = size
        self._called: asyncio.Future[None] | None = None
        self.number = next(gate.numbers)
        self.is_first = is_first
        """True until the first bytes of the frame are in."""
        self.is_given = False
        """True once the request may go out."""
        self.size = NOTHING
        """Bytes to come, once the request has gone out."""
        self.first_size = 0
        """First bytes that were expected when the request went out."""
        self.rank = demand.rank(is_first)
        """The rank when the seat last moved."""
        self._turns = self.rank.turn, demand.rank(False).turn
        self.persons = demand.persons
        """The callers who wanted the frame."""
        self.entry = self.queued = 0  # see `WaitingFetch`
        self.payer: Queue[Seat] = Queue(b"")
        """The queue of the caller that pays, once the request has gone out."""
        self.heard_at = 0.0
        """When the request went out, or when the last bytes came, if they have."""

    @property
    def to_come(self) -> int:
        """Bytes to come on this seat."""
        return sum(self.size)

    def move(self) -> None:
        """Updates the rank after the demand changed."""
        rank, rest, size = self._demand.rank(self.is_first), self._demand.rank(False), self.size
        if (rank, rest.turn) != (self.rank, self._turns[1]):
            self._expect(NOTHING)
            self.rank, self._turns = rank, (rank.turn, rest.turn)
            self._expect(size)
            self._gate.moved(self)
        elif self.entry:
            self._gate.waiting.join(self)

    async def wait(self) -> None:
        """Waits until the gate gives the seat."""
        self._called = asyncio.get_running_loop().create_future()
        await self._called

    def give(self, now: float, *, was_idle: bool) -> None:
        """The request goes out now."""
        if self._called is not None and not self._called.done():
            self._called.set_result(None)
        self.is_given, self.heard_at = True, now
        self._expect(self._size())
        self.first_size = self.size.first
        self.payer = self._gate.waiting.go(self, self.to_come)
        self._arrival = self._gate.window.asked(now, was_idle=was_idle)

    def begun(self) -> None:
        """The headers of the response are in, so its size is known."""
        self._gate.window.began(self._arrival, self._gate.clock())
        before = self.to_come
        self._expect(self._size())
        self.payer.due += max(0, self.to_come - max(before, LEAST_COST))
        self.move()

    def arrived(self, size: int) -> None:
        """`size` bytes came."""
        self.heard_at = self._gate.clock()
        was_all = 0 < self.to_come <= size
        first = max(0, self.size.first - size)
        self._expect(FetchSize(first, max(0, self.to_come - size - first)))
        self._gate.window.came(self._arrival, size, self.heard_at, is_full=self._gate.is_full, is_all=was_all)
        self._gate.bytes_came(size)

    def end_first(self) -> None:
        """The first bytes are in. The rest on this seat counts as a completion."""
        if self.is_first:
            self.is_first = False
            self._expect(FetchSize(0, self.to_come))
            self._gate.firsts.end(self)
            self.move()

    def end(self) -> None:
        """The fetch has ended."""
        self._expect(NOTHING)
        self.end_first()

    async def let_first_pass(self) -> None:
        """Waits while first bytes of a higher rank arrive, unless this fetch has little left."""
        if not self.is_first and self.to_come > max(UNREAD, self._gate.window.size):
            await self._gate.firsts.until_none_before(self)

    def _expect(self, size: FetchSize) -> None:
        self._account.enter(self._turns, self.size, size)
        self.size = size


class Gate:
    """The seats at one origin."""

    def __init__(
        self,
        origin: str,
        seats: int,
        telemetry: Telemetry,
        per_second: int | None = None,
        window: Window | None = None,
        clock: Clock = perf_counter,
    ) -> None:
        self.clock = clock
        self.window = window or Window()  # bytes that may be on their way
        self.concurrency = Concurrency()  # fetches that may run at once, if more than the window allows
        self.numbers = count(1)  # for viewers and seats, in the order in which they come
        self._free = seats
        self._kept_for_first = max(1, seats // 4)
        self._kept_for_viewers = max(self._kept_for_first + 1, seats // 2)
        self._quota = Quota(per_second)
        self.patience = HELD_AT_MOST  # seconds after which the longest waiting fetch goes out
        self.waiting: Waiting[Seat] = Waiting(seats - self._kept_for_first)
        self.running: set[Seat] = set()  # fetches that have gone out
        self._went_at = [0.0] * len(Turn)  # when a fetch of each turn last went out
        self.account: Account = Account()
        self.firsts = Firsts(self.window, clock, self.call_next)  # those that run
        self._blocked: Turn | None = None
        """The turn of the first fetch in line, if it could not go out; None if no fetch waits."""
        self._alarm: asyncio.TimerHandle | None = None
        self._quota_alarm: asyncio.TimerHandle | None = None
        wait = telemetry.metrics.gate_wait.labels
        self._wait = {stage: wait(origin, stage) for stage in ("first", "completion")}

    @property
    def is_full(self) -> bool:
        """True if a fetch waits."""
        return self._blocked is not None

    @asynccontextmanager
    async def seat(
        self, demand: Ranked, size: Callable[[], FetchSize], *, is_first: bool
    ) -> AsyncIterator[Seat]:
        """Waits for a seat, and holds it from the request to the last byte of the response.

        `size` returns the expected bytes. It is called when the request goes out and when headers come in.
        """
        seat = Seat(self, demand, size, is_first=is_first)
        came = self.clock()
        demand.followers.add(seat)
        try:
            self.waiting.place(seat)
            self.call_next()
            if not seat.is_given:
                self._set_alarm()
                await seat.wait()
            self._wait["first" if is_first else "completion"].observe(self.clock() - came)
            yield seat
        finally:
            demand.followers.discard(seat)
            self._leave(seat)

    def _leave(self, seat: Seat) -> None:
        self.waiting.leave(seat)
        if seat.is_given:
            self.running.discard(seat)
            self._free += 1
            self.waiting.end(seat.payer)
        seat.end()
        self.call_next()

    def moved(self, seat: Seat) -> None:
        """The rank of a seat has changed."""
        if seat.entry:
            self.waiting.place(seat)
        self.call_next()

    def call_next(self) -> None:
        """Lets waiting fetches go out by rank, as many as may go now."""
        self._blocked = None
        while (seat := self.waiting.first()) is not None:
            if not self._has_room(seat.rank.turn):
                self._blocked = seat.rank.turn
                return
            self._give(seat)

    def bytes_came(self, size: int) -> None:
        """`size` bytes came, so the next fetch may be able to go out."""
        if self._blocked is None:
            self.concurrency.idle()
            return
        now, running, to_come = self.clock(), len(self.running), self.account.total
        has_first = self.firsts.was_lately or self.account.of(Turn.VIEWER_FIRST)
        step = 1 if has_first else STEP if self._blocked < Turn.PLAN_FIRST else GENTLE
        round_trip = self.window.round_trip or 0.0
        self.concurrency.came(size, now, running=running, to_come=to_come, round_trip=round_trip, step=step)
        if self._has_room(self._blocked):
            self.call_next()

    def _give(self, seat: Seat) -> None:
        now = self.clock()
        seat.give(now, was_idle=not self.running)
        self.running.add(seat)
        if seat.is_first:
            self.firsts.begin(seat)
        self._free -= 1
        self._went_at[seat.rank.turn] = now
        self._quota.give(now)

    def _has_room(self, turn: Turn) -> bool:
        """True if a fetch of this turn may go out now."""
        if self._free <= self._kept_from(turn) or self._is_over_quota():
            return False
        if turn is Turn.VIEWER_FIRST or len(self.running) + self.firsts.soon < self.concurrency.number:
            return True
        ahead, window = self.account.ahead_of(turn), self.window
        if turn <= Turn.VIEWER_COMPLETION:
            return ahead < window.size
        expected = self.firsts.expected()
        room = window.plan_size if turn >= Turn.PLAN_FIRST else window.filled if expected else window.size
        return ahead - self.account.of(Turn.VIEWER_FIRST) + expected < room

    def _kept_from(self, turn: Turn) -> int:
        """The number of seats that fetches of this turn leave free."""
        if turn <= Turn.VIEWER_WHOLE:
            return 0
        return self._kept_for_first if turn < Turn.PLAN_FIRST else self._kept_for_viewers

    def _is_over_quota(self) -> bool:
        """True if the origin's requests per second are used up. If so, an alarm is set for later."""
        left = self._quota.wait(self.clock())
        if left and self._quota_alarm is None:
            self._quota_alarm = asyncio.get_running_loop().call_later(left, self._call_after_quota)
        return left > 0

    def _call_after_quota(self) -> None:
        self._quota_alarm = None
        self.call_next()

    def _set_alarm(self) -> None:
        if self._alarm is None and len(self.waiting):
            self._alarm = asyncio.get_running_loop().call_later(self.patience, self._let_one_go)

    def _let_one_go(self) -> None:
        self._alarm = None
        longest = None if self._is_over_quota() else self.waiting.longest(self._may_be_let_go)
        if longest is not None:
            self._give(longest)
        self._set_alarm()

    def _may_be_let_go(self, seat: Seat) -> bool:
        turn = seat.rank.turn
        is_due = turn < Turn.PLAN_FIRST or self.clock() >= self._went_at[turn] + self.patience
        return is_due and self._free > max(self._kept_for_first, self._kept_from(turn))
