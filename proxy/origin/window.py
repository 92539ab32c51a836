"""The number of bytes that may be on their way from an origin; pure, the caller gives the time.

A link is busy if as many bytes are on their way as it carries in one round trip. More bytes only delay the
first bytes that a viewer asks for next. So the window is `GAIN` times the rate multiplied by the round trip,
as in BBR, and never less than `LEAST_WINDOW`.

The *round trip* is the time from a request to the headers of its response. A busy link makes it longer. So it
is measured by requests that found the link idle, and by others only if they took less.

The *rate* is measured by each response that is large enough: the bytes of all responses that arrived after
its first chunk, divided by the time they took. It is measured once early and again at the end. A smaller
response measures the bytes that arrived between its request and its end. That rate is too low while the
window is too small, so it is multiplied by `GROWTH`, and the window grows until the link is full. A rate that
is low because little was requested does not count. If this process pauses, some responses look too fast. So
the rate is not the highest of the last ones, but the one that a quarter of them exceed.

If no frame has shown a rate yet, other bodies do, such as the metadata of a series. They do not measure the
round trip, because the origin may have to search for them.

The *quota* is the number of requests that an origin accepts in a second.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

LEAST_WINDOW = 96 * 1024
"""Bytes that may always be on their way: one and a half first fetches."""
LEAST_FOR_PLANS = 32 * 1024
"""Bytes that plans may always have on their way."""
MOST_WINDOW = 64 * 1024 * 1024
"""Maximum bytes that may be on their way, even on a very long link."""
GAIN = 1.25
"""Factor by which the window exceeds the bytes that a link carries in one round trip.

With a larger factor the next completion goes out before the viewer's next first fetch comes. With 2 the last
first fetch of 20 frames of 1 MB over 30 Mbit/s and 20 ms took 0.47 to 0.50 s, with 1 0.38 (`bench twenty`,
six runs each).
"""
GROWTH = 2.0
"""Factor by which the rate of small responses is raised if fetches wait."""
LAST = 16
"""Number of recent responses from which the rate is taken."""
IDLE = 8
"""Number of recent responses on an idle link from which the round trip is taken."""
UNKNOWN = 512 * 1024
"""Bytes that an unknown link is assumed to carry in one round trip: 100 Mbit/s, 40 ms."""
ENOUGH = 32 * 1024
"""Bytes after the first chunk of a response that are enough to measure a rate."""


@dataclass(slots=True)
class Arrival:
    """One response while it arrives. Times are in seconds; bytes are those of all responses of the origin."""

    asked_at: float
    """When the request went out."""
    asked_bytes: int
    """Bytes that had arrived by then."""
    was_idle: bool
    """True if nothing else was on its way then."""
    first_at: float = 0.0
    """When the first chunk came; 0 until then."""
    first_bytes: int = 0
    """Bytes that had arrived with that chunk."""
    has_told: bool = False
    """True if it has measured a rate already."""


class Window:
    """The bytes that may be on their way from one origin."""

    def __init__(self, least: int = LEAST_WINDOW) -> None:
        self._least = least
        self._arrived = 0
        self._round_trips: deque[float] = deque(maxlen=IDLE)
        self._rates: deque[float] = deque(maxlen=LAST)
        self.size = least
        """The size of the window in bytes."""
        self.plan_size = least
        """The size for plans; smaller, because a viewer that comes suddenly has to wait for it."""
        self.filled = least
        """The least size, or the bytes that just fill the link."""

    @property
    def round_trip(self) -> float | None:
        """Seconds from a request to the headers on an idle link; None until it is measured."""
        return min(self._round_trips, default=None)

    @property
    def is_unknown(self) -> bool:
        """True if no rate is measured yet."""
        return not self._rates

    @property
    def in_one_round_trip(self) -> int:
        """Bytes that the link carries in one round trip; assumed until they are measured."""
        if not self._rates or self.round_trip is None:
            return UNKNOWN
        return int(_upper_quartile(self._rates) * self.round_trip)

    def asked(self, now: float, *, was_idle: bool) -> Arrival:
        """A request goes out."""
        return Arrival(now, self._arrived, was_idle)

    def began(self, arrival: Arrival, now: float) -> None:
        """The headers of a response are in."""
        took = now - arrival.asked_at
        if arrival.was_idle or took < (self.round_trip or inf):
            self._round_trips.append(took)
            self._resize()

    def came(self, arrival: Arrival, size: int, now: float, *, is_full: bool, is_all: bool) -> None:
        """A chunk of `size` bytes came; `is_all` if it is the last one, `is_full` if fetches wait."""
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
        if len(self._rates) > 1 and self._round_trips:  # a single rate may come from a pause of this process
            carried = self.in_one_round_trip
            self.size = max(self._least, min(MOST_WINDOW, int(GAIN * carried)))
            self.plan_size = max(LEAST_FOR_PLANS, min(MOST_WINDOW, int(GAIN * carried)))
            self.filled = max(self._least, min(MOST_WINDOW, carried))


def _upper_quartile(values: Sequence[float]) -> float:
    return sorted(values)[3 * (len(values) - 1) // 4] if values else 0.0


class Quota:
    """Requests that may go out in any second."""

    def __init__(self, per_second: int | None) -> None:
        self._given: deque[float] = deque(maxlen=per_second or 0)

    def give(self, now: float) -> None:
        """A request goes out."""
        self._given.append(now)

    def wait(self, now: float) -> float:
        """Seconds until the next request may go out; 0 if it may go now."""
        if not self._given.maxlen or len(self._given) < self._given.maxlen:
            return 0.0
        return max(0.0, self._given[0] + 1.0 - now)


Clock = Callable[[], float]
"""A monotonic clock, in seconds."""
