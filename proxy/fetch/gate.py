"""Whose turn it is at an origin: viewers before plans, first fetches before completions, and no idle line.

A fetch takes a seat for as long as its answer runs. The last quarter of the seats is for viewers that have
no picture yet, so one of these finds a seat at any time; plans leave one half to viewers.

How much is on its way is another question than which fetch goes next. The first bytes that a viewer asks for
go out at once. Any other fetch goes out if fewer run than the origin repays (`proxy.origin.concurrency`), or
if less than a *window* of bytes (`proxy.origin.window`) is to come on fetches that it has to wait for. A plan
waits for all of them, a viewer for viewers, and a viewer that wants a whole frame only for others that do. So
short frames that are wanted whole come a window at a time; if they shared the line, all of them would be
late.

A large completion that runs is not read on while first bytes of a higher rank arrive (`proxy.fetch.firsts`),
until no more than a window of it is left.

Nothing starves: each `HELD_AT_MOST` the fetch that has waited longest is let go.

Each event costs O(log n) for n waiting fetches. It is ranked when it comes and when it is told to `move`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from heapq import heappop, heappush
from itertools import count
from time import perf_counter

from proxy.fetch.account import NOTHING, Account, FetchSize
from proxy.fetch.demand import Ranked
from proxy.fetch.firsts import Firsts
from proxy.fetch.turns import Rank, Turn
from proxy.origin.concurrency import Concurrency
from proxy.origin.window import Clock, Quota, Window
from proxy.telemetry.telemetry import Telemetry

HELD_AT_MOST = 1.0
"""Seconds between fetches that are let go, whatever goes before them."""
UNREAD = 256 * 1024
"""Bytes that sockets take without being read: to leave so few unread holds back nothing on the line."""


class Seat:
    """A turn that was given or is waited for, and what is still to come on it."""

    def __init__(
        self, gate: "Gate", demand: Ranked, size: Callable[[], FetchSize], *, is_first: bool
    ) -> None:
        self._gate = gate
        self._account = gate.account
        self._demand = demand
        self._size = size
        self._called: asyncio.Future[None] | None = None
        self.number = next(gate.numbers)
        """The lower of two numbers came first."""
        self.is_first = is_first
        """Until its first bytes are in."""
        self.is_given = False
        """True if its request may go out."""
        self.size = NOTHING
        """Bytes to come, once its request went out."""
        self.rank = demand.rank(is_first)
        """Its place, as it was when it last moved."""
        self._turns = self.rank.turn, demand.rank(False).turn
        self.entry = 0
        """The entry of the heap that counts."""
        self.heard_at = 0.0
        """When it was asked, or its last byte came."""

    @property
    def to_come(self) -> int:
        """Bytes to come."""
        return sum(self.size)

    def move(self) -> None:
        """Its rank may be another one now."""
        rank, rest = self._demand.rank(self.is_first), self._demand.rank(False)
        if (rank, rest.turn) != (self.rank, self._turns[1]):
            size = self.size
            self._expect(NOTHING)
            self.rank, self._turns = rank, (rank.turn, rest.turn)
            self._expect(size)
            self._gate.moved(self)

    async def wait(self) -> None:
        """Waits to be called."""
        self._called = asyncio.get_running_loop().create_future()
        await self._called

    def give(self, now: float, *, was_idle: bool) -> None:
        """Its request goes out now."""
        if self._called is not None and not self._called.done():
            self._called.set_result(None)
        self.is_given, self.heard_at = True, now
        self._expect(self._size())
        self._arrival = self._gate.window.asked(now, was_idle=was_idle)

    def begun(self) -> None:
        """Its answer's headers are there, and tell how much is to come."""
        self._gate.window.began(self._arrival, self._gate.clock())
        self._expect(self._size())
        self.move()

    def arrived(self, size: int) -> None:
        """So many bytes came."""
        self.heard_at = self._gate.clock()
        was_all = 0 < self.to_come <= size
        first = max(0, self.size.first - size)
        self._expect(FetchSize(first, max(0, self.to_come - size - first)))
        self._gate.window.came(self._arrival, size, self.heard_at, is_full=self._gate.is_full, is_all=was_all)
        self._gate.bytes_came(size)

    def end_first(self) -> None:
        """The first bytes are in: what follows on this seat is a completion like any other."""
        if self.is_first:
            self.is_first = False
            self._expect(FetchSize(0, self.to_come))
            self.move()
            self._gate.firsts.end(self)

    def end(self) -> None:
        """Nothing more comes."""
        self._expect(NOTHING)
        self.end_first()

    async def let_first_pass(self) -> None:
        """Waits while first bytes of a higher rank arrive, unless this has little left."""
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
        self.window = window or Window()
        """How much may be on its way."""
        self.concurrency = Concurrency()
        """How many fetches may run at once, if that is more."""
        self.numbers = count(1)
        """Numbers for seats, in the order in which they come."""
        self._free = seats
        self._kept_for_first = max(1, seats // 4)
        self._kept_for_viewers = max(self._kept_for_first + 1, seats // 2)
        self._quota = Quota(per_second)
        self._waiting: dict[Seat, None] = {}
        """In the order in which they came."""
        self._heap: list[tuple[Rank, int, int, Seat]] = []
        """Waiting seats by rank; an entry counts if it is its seat's last one."""
        self._entries = count(1)
        self._running: set[Seat] = set()
        self.account = Account()
        """Bytes to come."""
        self.firsts = Firsts(self.window, clock)
        """First fetches that run."""
        self._blocked: Turn | None = None
        """The turn of the seat that could not go when room was last looked for; None if none waited."""
        self._alarm: asyncio.TimerHandle | None = None
        self._quota_alarm: asyncio.TimerHandle | None = None
        waits = telemetry.metrics.gate_wait
        self._wait = {stage: waits.labels(origin, stage) for stage in ("first", "completion")}

    @property
    def is_full(self) -> bool:
        """True if a fetch waits for room."""
        return self._blocked is not None

    @asynccontextmanager
    async def seat(
        self, demand: Ranked, size: Callable[[], FetchSize], *, is_first: bool
    ) -> AsyncIterator[Seat]:
        """A seat for one fetch, from its request to the last byte of its answer.

        `size` tells how many bytes that will be about; it is asked when the request goes out.
        """
        seat = Seat(self, demand, size, is_first=is_first)
        came = self.clock()
        demand.followers.add(seat)
        try:
            self._waiting[seat] = None
            self._push(seat)
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
        self._waiting.pop(seat, None)
        seat.entry = 0
        if seat.is_given:
            self._running.discard(seat)
            self._free += 1
        seat.end()
        self.call_next()

    def moved(self, seat: Seat) -> None:
        """A seat has another rank now."""
        if seat in self._waiting:
            self._push(seat)
        self.call_next()

    def _push(self, seat: Seat) -> None:
        seat.entry = next(self._entries)
        heappush(self._heap, (seat.rank, seat.number, seat.entry, seat))

    def _next(self) -> Seat | None:
        while self._heap and self._heap[0][3].entry != self._heap[0][2]:
            heappop(self._heap)
        return self._heap[0][3] if self._heap else None

    def call_next(self) -> None:
        """Gives seats to those that wait, by rank, as far as there are any."""
        self._blocked = None
        while (seat := self._next()) is not None:
            if not self._has_room(seat.rank.turn):
                self._blocked = seat.rank.turn
                return
            self._give(seat)

    def bytes_came(self, size: int) -> None:
        """Less is to come, which may make room for the next."""
        if self._blocked is None:
            self.concurrency.idle()
            return
        self.concurrency.came(
            size,
            self.clock(),
            running=len(self._running),
            round_trip=self.window.round_trip or 0.0,
            has_first=self.account.of(Turn.VIEWER_FIRST) > 0,
        )
        if self._has_room(self._blocked):
            self.call_next()

    def _give(self, seat: Seat) -> None:
        now = self.clock()
        del self._waiting[seat]
        seat.entry = 0
        seat.give(now, was_idle=not self._running)
        self._running.add(seat)
        if seat.is_first:
            self.firsts.begin(seat)
        self._free -= 1
        self._quota.give(now)

    def _has_room(self, turn: Turn) -> bool:
        """True if a fetch of this turn may go out now."""
        if self._free <= self._kept_from(turn) or self._is_over_quota():
            return False
        if turn is Turn.VIEWER_FIRST or len(self._running) < self.concurrency.number:
            return True
        return self.account.ahead_of(turn) < self.window.size

    def _kept_from(self, turn: Turn) -> int:
        """Seats that fetches of this turn leave free."""
        if turn <= Turn.VIEWER_WHOLE:
            return 0
        return self._kept_for_first if turn < Turn.PLAN_FIRST else self._kept_for_viewers

    def _is_over_quota(self) -> bool:
        """True if within a second as many were let go as the origin takes; then all are called later."""
        left = self._quota.wait(self.clock())
        if left and self._quota_alarm is None:
            self._quota_alarm = asyncio.get_running_loop().call_later(left, self._call_after_quota)
        return left > 0

    def _call_after_quota(self) -> None:
        self._quota_alarm = None
        self.call_next()

    def _set_alarm(self) -> None:
        if self._alarm is None and self._waiting:
            self._alarm = asyncio.get_running_loop().call_later(HELD_AT_MOST, self._let_one_go)

    def _let_one_go(self) -> None:
        self._alarm = None
        able = (seat for seat in self._waiting if self._free > self._kept_from_alarm(seat))
        if not self._is_over_quota() and (longest := next(able, None)) is not None:
            self._give(longest)
        self._set_alarm()

    def _kept_from_alarm(self, seat: Seat) -> int:
        return max(self._kept_for_first, self._kept_from(seat.rank.turn))
