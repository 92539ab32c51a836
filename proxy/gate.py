"""Whose turn it is at an origin: viewers before plans, first fetches before completions, and no idle link.

A fetch takes a seat for as long as its answer runs. The last quarter of the seats is for viewers who have
no picture yet, so one of these finds a seat at any time; plans leave one half to viewers. Who waits is
ranked anew at each call, since a viewer who asks for a frame lifts its fetches.

Everything but the first bytes that a viewer asked for is asked for only when less than a *window* of bytes
is still to come (for a viewer, of viewers' bytes): then a first fetch that arrives has little ahead of it,
and yet the next answer is on its way before the last one ends. The window finds its own size: where all
answers that had begun were in, and then for a while nothing arrived until the answer to a fetch that had to
wait, the link stood idle and it was asked too late: the window doubles; else it shrinks a little. Bytes
that are late say nothing about it, and each size of it is judged once. A large completion that is running
is not read on while first fetches of a higher rank are under way, until no more than a window of it is left.

Of viewers who wait for whole frames each has nothing before his last byte. So of short frames one comes
after the other, a window of them at a time: had all of them the link together, each would be late.

Where an origin takes so many requests a second, no more go out in any second, whoever asks.

Nothing starves: each `HELD_AT_MOST` the fetch that waits longest is let go, and a chunk of each that
runs is read.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import IntEnum
from itertools import chain, count
from time import perf_counter
from typing import NamedTuple

from proxy.metrics import Metrics

HELD_AT_MOST = 1.0
"""Seconds between fetches let go, or chunks of one read, whatever goes before them."""
LEAST_WINDOW = 96 * 1024
"""Bytes to come, below which a fetch may always be asked for; one and a half first fetches."""
MOST_WINDOW = 64 * 1024 * 1024
"""Bytes to come, above which only first bytes that viewers ask for are, however long the link."""


class Turn(IntEnum):
    """What a fetch is for; lower goes first."""

    VIEWER_FIRST = 0
    """A viewer waits for the first bytes."""
    VIEWER_WHOLE = 1
    """A viewer waits for a whole frame: its first bytes, and its rest where that is short."""
    VIEWER_COMPLETION = 2
    """A viewer reads on."""
    LEFT_COMPLETION = 3
    """A viewer began the frame, and nobody reads it now."""
    PLAN_FIRST = 4
    """Nobody asked yet."""
    PLAN_COMPLETION = 5
    """Nobody asked yet, and a picture is there already."""


class Rank(NamedTuple):
    """Who goes first; of equals, who came first."""

    turn: Turn
    """What the fetch is for."""
    came: int = 0
    """Of two plans the one with the lower number goes first, of viewers who read on whoever came first."""
    request_type: int = 0
    """The place of its requestType: interaction 0, thumbnail 1, prefetch 2, compute 3."""
    priority: float = 0
    """Of its stage."""


class Seat:
    """A turn that was given or is waited for, and what is still to come on it."""

    def __init__(self, gate: "Gate", rank: Callable[[bool], Rank], size: int, *, is_first: bool) -> None:
        self._gate = gate
        self._rank = rank
        self._asked = 0.0
        self._ticket: asyncio.Future[None] | None = None
        self._has_begun = False
        self.arrival = next(gate.arrivals)
        self.is_first = is_first
        """Until its first bytes are in."""
        self.is_given = False
        """Whether its request may go out."""
        self.to_come = size
        """Bytes, as far as is known."""

    @property
    def rank(self) -> Rank:
        """As it is now."""
        return self._rank(self.is_first)

    @property
    def is_viewers(self) -> bool:
        """Whether a viewer asked for it."""
        return self.rank.turn < Turn.PLAN_FIRST

    @property
    def order(self) -> tuple[Rank, int]:
        """Lower goes first."""
        return self.rank, self.arrival

    async def wait(self) -> None:
        """Waits to be called."""
        self._ticket = asyncio.get_running_loop().create_future()
        await self._ticket

    def give(self) -> None:
        """Its request goes out now."""
        if self._ticket is not None and not self._ticket.done():
            self._ticket.set_result(None)
        self._asked = perf_counter()
        self._gate.to_come += self.to_come
        self.is_given = True

    def begun(self, size: int) -> None:
        """Its answer's headers are there: so many bytes are to come."""
        if self._ticket is not None and self.rank.turn is not Turn.VIEWER_FIRST:
            self._gate.learn(self._asked)
        self._has_begun = True
        self._gate.on_its_way += self.to_come
        self.expect(size)

    def expect(self, size: int) -> None:
        """So many bytes are to come."""
        more = size - self.to_come
        self._gate.to_come += more
        if self._has_begun:
            self._gate.on_its_way += more
        self.to_come = size

    def arrived(self, size: int) -> None:
        """So many bytes came."""
        self.expect(max(0, self.to_come - size))
        self._gate.bytes_came()

    def end_first(self) -> None:
        """The first bytes are in: what follows on this seat is a completion like any other."""
        if self.is_first:
            self.is_first = False
            self._gate.first_ended()

    async def let_first_pass(self) -> None:
        """Waits while first fetches of a higher rank are under way, unless this has little left."""
        if not self.is_first and self.to_come > self._gate.window:
            await self._gate.until_no_first_before(self)


class Gate:
    """The seats at one origin."""

    def __init__(
        self,
        origin: str,
        seats: int,
        metrics: Metrics,
        per_second: int | None = None,
        least_window: int = LEAST_WINDOW,
    ) -> None:
        self._least_window = self.window = least_window
        self.to_come = 0
        self.on_its_way = 0
        self.last_arrival = 0.0
        self._judged = 0.0
        self.arrivals = count()
        self._free = seats
        self._kept_for_first = max(1, seats // 4)
        self._kept_for_viewers = max(self._kept_for_first + 1, seats // 2)
        self._given: deque[float] = deque(maxlen=per_second or 0)
        self._quota_alarm: asyncio.TimerHandle | None = None
        self._waiting: set[Seat] = set()
        self._called = Turn.VIEWER_FIRST
        """Up to this turn nobody waits, unless for a seat."""
        self._running: set[Seat] = set()
        self._first_ended = asyncio.Event()
        self._alarm: asyncio.TimerHandle | None = None
        self._wait = {stage: metrics.gate_wait.labels(origin, stage) for stage in ("first", "completion")}

    @asynccontextmanager
    async def seat(self, rank: Callable[[bool], Rank], size: int, *, is_first: bool) -> AsyncIterator[Seat]:
        """A seat for one fetch of about `size` bytes, from its request to the last byte of its answer.

        `rank` is asked again at each call, with whether the first bytes are still to come.
        """
        seat = Seat(self, rank, size, is_first=is_first)
        came = perf_counter()
        try:
            self._waiting.add(seat)
            self.call_next()
            if not seat.is_given:
                self._set_alarm()
                await seat.wait()
            self._wait["first" if is_first else "completion"].observe(perf_counter() - came)
            yield seat
        finally:
            self._waiting.discard(seat)
            self._running.discard(seat)
            seat.end_first()
            if seat.is_given:
                seat.expect(0)
                self._free += 1
            self.call_next()

    def learn(self, asked: float) -> None:
        """The answer to a fetch that had to wait has begun: was it asked for in time?"""
        if asked < self._judged:
            return
        now = self._judged = perf_counter()
        idle = now - max(self.last_arrival, asked)
        if not self.on_its_way and idle > (now - asked) / 4:
            self.window = min(2 * self.window, MOST_WINDOW)
        else:
            self.window = max(self._least_window, self.window - self.window // 16)

    def first_ended(self) -> None:
        """One first fetch less is under way."""
        ended, self._first_ended = self._first_ended, asyncio.Event()
        ended.set()

    async def until_no_first_before(self, seat: Seat) -> None:
        """Waits while first fetches of a higher rank are queued or running, but not for ever."""
        try:
            async with asyncio.timeout(HELD_AT_MOST):
                while any(
                    other.is_first and other.rank < seat.rank for other in chain(self._waiting, self._running)
                ):
                    await self._first_ended.wait()
        except TimeoutError:
            return

    def call_next(self) -> None:
        """Gives seats to those who wait, by rank, as far as there are any."""
        while self._waiting and (last := self._last_turn()) is not None:
            seat = min(self._waiting, key=lambda seat: seat.order)
            if seat.rank.turn > last:
                self._called = last
                return
            self._give(seat)
        self._called = Turn.VIEWER_FIRST

    def bytes_came(self) -> None:
        """Less is to come. Many may wait while little comes: they are ranked where that makes room."""
        self.last_arrival = perf_counter()
        if self._waiting and (self._last_turn() or 0) > self._called:
            self.call_next()

    def _give(self, seat: Seat) -> None:
        self._waiting.discard(seat)
        self._running.add(seat)
        self._free -= 1
        self._given.append(perf_counter())
        seat.give()

    def _is_over_quota(self) -> bool:
        """Whether within a second as many were let go as the origin takes; then all are called later."""
        if not self._given.maxlen or len(self._given) < self._given.maxlen:
            return False
        left = self._given[0] + 1.0 - perf_counter()
        if left <= 0:
            return False
        if self._quota_alarm is None:
            self._quota_alarm = asyncio.get_running_loop().call_later(left, self._call_after_quota)
        return True

    def _call_after_quota(self) -> None:
        self._quota_alarm = None
        self.call_next()

    def _last_turn(self) -> Turn | None:
        """The turn up to which there is room; None is for nobody."""
        if not self._free or self._is_over_quota():
            return None
        last = self._last_by_window()
        if self._free <= self._kept_for_first:
            return min(last, Turn.VIEWER_WHOLE)
        return last if self._free > self._kept_for_viewers else min(last, Turn.LEFT_COMPLETION)

    def _last_by_window(self) -> Turn:
        if self.to_come < self.window:
            return Turn.PLAN_COMPLETION
        # What goes after it may stand still: viewers do not wait for plans, nor whole frames for large rests.
        ranked = [(seat.rank.turn, seat.to_come) for seat in self._running]
        if sum(size for turn, size in ranked if turn < Turn.PLAN_FIRST) < self.window:
            return Turn.LEFT_COMPLETION
        whole = sum(size for turn, size in ranked if turn is Turn.VIEWER_WHOLE)
        return Turn.VIEWER_WHOLE if whole < self.window else Turn.VIEWER_FIRST

    def _set_alarm(self) -> None:
        if self._alarm is None and self._waiting:
            self._alarm = asyncio.get_running_loop().call_later(HELD_AT_MOST, self._let_one_go)

    def _let_one_go(self) -> None:
        self._alarm = None
        kept = self._kept_for_first
        able = [s for s in self._waiting if self._free > (kept if s.is_viewers else self._kept_for_viewers)]
        if able and not self._is_over_quota():
            self._give(min(able, key=lambda seat: seat.arrival))
        self._set_alarm()
