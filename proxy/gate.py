"""Whose turn it is at an origin: first fetches before completions, and the link never idle.

A fetch takes a seat for as long as its answer runs; completions never take the last quarter of the
seats, so a first fetch finds one at any time.

A completion is asked for only when less than a *window* of bytes is still to come: then a first
fetch that arrives has little ahead of it, and yet the next answer is on its way before the last one
ends. The window finds its own size: where nothing arrived while the answer to a completion that had to
wait was on its way, the link stood idle and it was asked too late: the window doubles; else it shrinks
a little. A large completion that is running is not read on while first fetches are under way,
until no more than a window of it is left.

Nothing starves: each `HELD_AT_MOST` one completion is let go, and one chunk of each that runs is read.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from time import perf_counter

from proxy.metrics import Metrics

HELD_AT_MOST = 1.0
"""Seconds between completions, or chunks of one, whatever first fetches there are."""
LEAST_WINDOW = 96 * 1024
"""Bytes to come, below which a completion may always be asked for; one and a half first fetches."""
MOST_WINDOW = 64 * 1024 * 1024
"""Bytes to come, above which no completion is asked for, however long the link."""


class Turn(StrEnum):
    """What a fetch is for; named as in the metrics."""

    FIRST = "first"
    COMPLETION = "completion"


class Seat:
    """A turn that was given, and what is still to come on it."""

    def __init__(self, gate: "Gate", turn: Turn, size: int) -> None:
        self._gate = gate
        self._asked = 0.0
        self._ticket: asyncio.Future[None] | None = None
        self.is_first = turn is Turn.FIRST
        """Until its first bytes are in."""
        self.is_given = False
        """Whether its request may go out."""
        self.to_come = size
        """Bytes, as far as is known."""

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
        self.expect(size)
        if self._ticket is not None and not self.is_first:
            self._gate.learn(self._asked)

    def expect(self, size: int) -> None:
        """So many bytes are to come."""
        self._gate.to_come += size - self.to_come
        self.to_come = size

    def arrived(self, size: int) -> None:
        """So many bytes came."""
        self.expect(max(0, self.to_come - size))
        self._gate.last_arrival = perf_counter()
        self._gate.call_next()

    def end_first(self) -> None:
        """The first bytes are in: what follows on this seat is a completion like any other."""
        if self.is_first:
            self.is_first = False
            self._gate.first_ended()

    async def let_first_pass(self) -> None:
        """Waits while first fetches are under way, unless this is one or has little left."""
        if not self.is_first and self.to_come > self._gate.window:
            await self._gate.until_no_first()


class Gate:
    """The seats at one origin."""

    def __init__(self, origin: str, seats: int, metrics: Metrics) -> None:
        self.window = LEAST_WINDOW
        self.to_come = 0
        self.last_arrival = 0.0
        self._free = seats
        self._kept_for_first = max(1, seats // 4)
        self._waiting: dict[Turn, deque[Seat]] = {turn: deque() for turn in Turn}
        self._first_under_way = 0
        self._first_ended = asyncio.Event()
        self._alarm: asyncio.TimerHandle | None = None
        self._wait = {turn: metrics.gate_wait.labels(origin, turn.value) for turn in Turn}

    @asynccontextmanager
    async def seat(self, turn: Turn, size: int) -> AsyncIterator[Seat]:
        """A seat for one fetch of about `size` bytes, from its request to the last byte of its answer."""
        seat = Seat(self, turn, size)
        self._first_under_way += seat.is_first
        came = perf_counter()
        try:
            if self._has_room(turn) and not self._waiting[turn]:
                self._give(seat)
            else:
                self._waiting[turn].append(seat)
                self._set_alarm()
                await seat.wait()
            self._wait[turn].observe(perf_counter() - came)
            yield seat
        finally:
            seat.end_first()
            if seat.is_given:
                seat.expect(0)
                self._free += 1
            else:
                self._waiting[turn].remove(seat)
            self.call_next()

    def learn(self, asked: float) -> None:
        """The answer to a completion that had to wait has begun: was it asked for in time?"""
        now = perf_counter()
        has_idled = now - max(self.last_arrival, asked) > (now - asked) / 4
        if has_idled:
            self.window = min(2 * self.window, MOST_WINDOW)
        else:
            self.window = max(LEAST_WINDOW, self.window - self.window // 16)

    def first_ended(self) -> None:
        """One first fetch less is under way."""
        self._first_under_way -= 1
        ended, self._first_ended = self._first_ended, asyncio.Event()
        ended.set()

    async def until_no_first(self) -> None:
        """Waits while first fetches are queued or running, but not for ever."""
        try:
            async with asyncio.timeout(HELD_AT_MOST):
                while self._first_under_way:
                    await self._first_ended.wait()
        except TimeoutError:
            return

    def call_next(self) -> None:
        """Gives seats to those who wait, as far as there are any."""
        for turn, queue in self._waiting.items():
            while queue and self._has_room(turn):
                self._give(queue.popleft())

    def _give(self, seat: Seat) -> None:
        self._free -= 1
        seat.give()

    def _has_room(self, turn: Turn) -> bool:
        if turn is Turn.FIRST:
            return self._free > 0
        return self._free > self._kept_for_first and self.to_come < self.window

    def _set_alarm(self) -> None:
        if self._alarm is None and self._waiting[Turn.COMPLETION]:
            self._alarm = asyncio.get_running_loop().call_later(HELD_AT_MOST, self._let_one_go)

    def _let_one_go(self) -> None:
        self._alarm = None
        if self._free > self._kept_for_first and self._waiting[Turn.COMPLETION]:
            self._give(self._waiting[Turn.COMPLETION].popleft())
        self._set_alarm()
