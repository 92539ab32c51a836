"""Whose turn it is at an origin: first fetches before completions.

A fetch takes a seat for as long as its answer runs. When all seats are taken, whoever waits is served
by turn, then by arrival. Completions never take the last quarter of the seats, so a first fetch finds
one even while completions are held back. A completion is held back, before it is asked and while it
runs, as long as first fetches of other frames are under way; never longer than `HELD_AT_MOST` at a
time, so it goes on, if slowly, under any load.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import IntEnum
from heapq import heappop, heappush
from itertools import count
from time import perf_counter

from proxy.metrics import Metrics

HELD_AT_MOST = 1.0
"""Seconds that a completion waits for first fetches before it is asked, and before each of its chunks."""


class Turn(IntEnum):
    """Lower goes first."""

    FIRST = 0
    COMPLETION = 1

    @property
    def word(self) -> str:
        """As in the metrics."""
        return self.name.lower()


class Seat:
    """A turn that was given; `is_first` until its first bytes are in."""

    def __init__(self, gate: "Gate", turn: Turn) -> None:
        self._gate = gate
        self.is_first = turn is Turn.FIRST

    def end_first(self) -> None:
        """The first bytes are in: what follows on this seat is a completion like any other."""
        if self.is_first:
            self.is_first = False
            self._gate.first_ended()


class Gate:
    """The seats at one origin."""

    def __init__(self, origin: str, seats: int, metrics: Metrics) -> None:
        self._free = seats
        self._kept_for_first = max(1, seats // 4)
        self._waiting: list[tuple[Turn, int, asyncio.Future[None]]] = []
        self._arrivals = count()
        self._first_under_way = 0
        self._first_ended = asyncio.Event()
        self._wait = {turn: metrics.gate_wait.labels(origin, turn.word) for turn in Turn}

    @asynccontextmanager
    async def seat(self, turn: Turn) -> AsyncIterator[Seat]:
        """A seat for one fetch, from its request to the last byte of its answer."""
        seat = Seat(self, turn)
        self._first_under_way += seat.is_first
        try:
            await self._take(turn)
            try:
                yield seat
            finally:
                self._give_back()
        finally:
            seat.end_first()

    def first_ended(self) -> None:
        """One first fetch less is under way."""
        self._first_under_way -= 1
        ended, self._first_ended = self._first_ended, asyncio.Event()
        ended.set()

    async def let_first_pass(self, own: int = 0) -> None:
        """Waits while more first fetches than one's `own` are queued or running, but not for ever."""
        if self._first_under_way <= own:
            return
        try:
            async with asyncio.timeout(HELD_AT_MOST):
                while self._first_under_way > own:
                    await self._first_ended.wait()
        except TimeoutError:
            return

    def _has_room(self, turn: Turn) -> bool:
        return self._free > (0 if turn is Turn.FIRST else self._kept_for_first)

    async def _take(self, turn: Turn) -> None:
        came = perf_counter()
        if self._has_room(turn) and not self._waiting:
            self._free -= 1
        else:
            ticket: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            heappush(self._waiting, (turn, next(self._arrivals), ticket))
            self._call_next()
            try:
                await ticket
            except asyncio.CancelledError:
                if ticket.done() and not ticket.cancelled():
                    self._give_back()  # called in the same moment as it was cancelled
                raise
        self._wait[turn].observe(perf_counter() - came)

    def _give_back(self) -> None:
        self._free += 1
        self._call_next()

    def _call_next(self) -> None:
        while self._waiting and self._has_room(self._waiting[0][0]):
            _, _, ticket = heappop(self._waiting)
            if not ticket.done():
                self._free -= 1
                ticket.set_result(None)
