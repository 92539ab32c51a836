"""How much may be on its way from an origin; pure, told the time by its caller.

A line is busy if as many bytes are on their way as it carries in one round trip. More of them only delay the
first bytes that a viewer asks for next. So the window is `GAIN` times the rate multiplied by the round trip,
as in BBR, and never less than `LEAST_WINDOW`.

The *round trip* is the time from a request to the headers of its answer. A busy line makes it longer, so a
request that found the line idle tells it, and any other one only if it took less.

The *rate* is told by each answer that is large enough: the bytes of all answers that arrived behind its first
chunk, divided by the time they took; once early and again at its end. A smaller answer tells the bytes that
arrived between its request and its end. That is too low while the window is too small, so it counts `GROWTH`
times, and the window grows until the line is full. If it is low because little was asked for, it does not
count. A pause of this process makes some answers look too fast, so the rate is not the
highest of the last ones, but one that a quarter of them exceed.

As long as no frame told a rate, other bodies do, such as the metadata of a series. They tell no round trip,
since the origin may have to search for them.

The *quota* is the number of requests that an origin takes in a second.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

LEAST_WINDOW = 96 * 1024
"""Bytes that may always be on their way: one and a half first fetches."""
MOST_WINDOW = 64 * 1024 * 1024
"""Bytes that may be on their way at most, however long the line."""
GAIN = 1.25
"""How many times what a line carries in one round trip.

More lets the next completion go before the viewer's next first fetch comes. With 2 the last first fetch of
20 frames of 1 MB over 30 Mbit/s and 20 ms took 0.47 to 0.50 s, with 1 0.38 (`bench twenty`, six runs each).
"""
GROWTH = 2.0
"""How many times the rate of small answers may be too low if fetches wait for room."""
LAST = 16
"""Answers that the rate rests on."""
IDLE = 8
"""Answers on an idle line that the round trip rests on."""
UNKNOWN = 512 * 1024
"""Bytes that a line of which nothing is known is thought to carry in one round trip: 100 Mbit/s, 40 ms."""
ENOUGH = 32 * 1024
"""Bytes behind the first chunk of an answer that tell a rate by themselves."""


@dataclass(slots=True)
class Arrival:
    """One answer, as far as it has come; times in seconds, bytes of all answers of the origin."""

    asked_at: float
    """When its request went out."""
    asked_bytes: int
    """Bytes that had arrived by then."""
    was_idle: bool
    """True if nothing else was on its way then."""
    first_at: float = 0.0
    """When its first chunk came; 0 until then."""
    first_bytes: int = 0
    """Bytes that had arrived with that chunk."""
    has_told: bool = False
    """True if it told a rate already."""


class Window:
    """The bytes that may be on their way from one origin."""

    def __init__(self, least: int = LEAST_WINDOW) -> None:
        self._least = least
        self._arrived = 0
        self._round_trips: deque[float] = deque(maxlen=IDLE)
        self._rates: deque[float] = deque(maxlen=LAST)
        self.size = least
        """Bytes."""

    @property
    def round_trip(self) -> float | None:
        """Seconds from a request to its headers on an idle line; None until an answer told it."""
        return min(self._round_trips, default=None)

    @property
    def is_unknown(self) -> bool:
        """True if no answer has told a rate yet."""
        return not self._rates

    @property
    def in_one_round_trip(self) -> int:
        """Bytes that the line carries in one round trip; a guess until an answer told."""
        if not self._rates or self.round_trip is None:
            return UNKNOWN
        return int(_upper_quartile(self._rates) * self.round_trip)

    def asked(self, now: float, *, was_idle: bool) -> Arrival:
        """A request goes out."""
        return Arrival(now, self._arrived, was_idle)

    def began(self, arrival: Arrival, now: float) -> None:
        """The headers of an answer are there."""
        took = now - arrival.asked_at
        if arrival.was_idle or took < (self.round_trip or inf):
            self._round_trips.append(took)
            self._resize()

    def came(self, arrival: Arrival, size: int, now: float, *, is_full: bool, is_all: bool) -> None:
        """A chunk of an answer is there, and perhaps all of it; `is_full` if fetches wait for room."""
        self._arrived += size
        if not arrival.first_bytes:
            arrival.first_at, arrival.first_bytes = now, self._arrived
        behind, seconds = self._arrived - arrival.first_bytes, now - arrival.first_at
        if behind >= ENOUGH and seconds > 0 and (is_all or not arrival.has_told):
            arrival.has_told = True
            self._learn(behind / seconds)
        elif is_all and not arrival.has_told:
            rate = (self._arrived - arrival.asked_bytes) / max(now - arrival.asked_at, 1e-6)
            rate *= GROWTH if is_full else 1
            if is_full or rate >= _upper_quartile(self._rates):
                self._learn(rate)

    def _learn(self, rate: float) -> None:
        self._rates.append(rate)
        self._resize()

    def _resize(self) -> None:
        if self._rates and self._round_trips:
            self.size = max(self._least, min(MOST_WINDOW, int(GAIN * self.in_one_round_trip)))


def _upper_quartile(values: Sequence[float]) -> float:
    return sorted(values)[3 * len(values) // 4] if values else 0.0


class Quota:
    """Requests that may go out in any second."""

    def __init__(self, per_second: int | None) -> None:
        self._given: deque[float] = deque(maxlen=per_second or 0)

    def give(self, now: float) -> None:
        """One goes out."""
        self._given.append(now)

    def wait(self, now: float) -> float:
        """Seconds until one more may go out; 0 if it may now."""
        if not self._given.maxlen or len(self._given) < self._given.maxlen:
            return 0.0
        return max(0.0, self._given[0] + 1.0 - now)


Clock = Callable[[], float]
"""Seconds, which only ever grow."""
