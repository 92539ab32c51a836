"""The number of fetches that an origin should serve at once; pure, the caller gives the time.

If all fetches share one link, it is full with a window of bytes on their way (`proxy.origin.window`). More
fetches at once then only delay each other. But some origins limit each connection, are far away, or are many
machines behind one name. There twice as many fetches bring twice as many bytes in the same time. Only a trial
can tell the two kinds apart.

So the proxy tries. While fetches wait, the bytes that arrive are counted in *rounds*. If a round with `STEP`
times as many fetches brings `WORTH` times the bytes a second, the larger number stays, and the next larger
one is tried. If it does not, the smaller number returns, and the pause before the next trial grows. Now and
then half the number is tried, and stays if it brings about as much. First fetches of viewers are never
delayed, so they show what more fetches at once bring. While they run, a larger number is tried only if it
brought more before, in proportion.
"""

from collections import deque
from math import ceil
from typing import NamedTuple

STEP = 4
"""Factor by which a trial raises the number of fetches."""
GENTLE = 2
"""The same if only plans wait, because a trial delays a viewer that comes in the middle of it."""
WORTH = 1.25
"""Factor by which the rate has to rise in a trial for the larger number to stay."""
SAME = 0.9
"""Fraction of the rate that half the number has to bring to stay."""
LINEAR = 0.7
"""Fraction of a proportional rise that a trial has to bring for the next trial to follow at once."""
LEAST_ROUND = 0.02
"""Minimum length of a round in seconds; one round trip if that is longer."""
CHUNKS = 8
"""Minimum number of chunks in a round."""
PAUSE = 0.5
"""Seconds from a failed trial to the next, at first."""
LONGER = 2
"""Factor by which the pause grows with each failure."""
LONGER_FOR_PLANS = 4
"""The same if only plans wait. With 2, of the viewers that jumped into a planned volume of 6 s over 4g, more
than one in twenty came into a trial (`bench load`)."""
MOST_PAUSE = 60.0
"""Maximum number of seconds between trials."""
ROUNDS = 32
"""Number of last rounds that count."""
MOST = 1024
"""Maximum number of fetches at once that is tried."""


class Point(NamedTuple):
    """The rate that a number of fetches at once brought."""

    number: int
    """Fetches at once."""
    rate: float
    """Bytes a second."""

    @property
    def each(self) -> float:
        """Bytes a second of one fetch."""
        return self.rate / max(1, self.number)


class Concurrency:
    """Finds the number of fetches at once by trials."""

    def __init__(self) -> None:
        self.number = 1
        """Fetches that may run at once, even if more than a window of bytes is on their way."""
        self._settled: Point | None = None
        """The rate before the trial; None if no trial runs."""
        self._before = 1
        """The number before the trial."""
        self._seen: deque[Point] = deque(maxlen=ROUNDS)
        self._pause = PAUSE
        self._next_at = 0.0
        self._goes_down = False
        self._begins_at: float | None = None
        self._bytes = 0
        self._chunks = 0
        self._fetches = 0

    def idle(self) -> None:
        """No fetch waits, so the round is dropped."""
        self._begins_at = None

    def came(
        self, size: int, now: float, *, running: int, to_come: int, round_trip: float, step: int
    ) -> bool:
        """A chunk came while fetches wait. Returns True if the number has changed.

        `size` is in bytes. `running` fetches run now, with `to_come` bytes to come. A trial may raise the
        number by the factor `step`. With a factor of 1 no trial begins, as is right while a viewer's first
        bytes come.
        """
        if self._begins_at is None:
            self._begin(now, round_trip)
        assert self._begins_at is not None
        if now < self._begins_at:
            return False
        self._bytes += size
        self._chunks += 1
        self._fetches += running
        took = now - self._begins_at
        if took < max(LEAST_ROUND, round_trip) or self._chunks < CHUNKS:
            return False
        before = self.number
        point = Point(round(self._fetches / self._chunks), self._bytes / took)
        self._judge(point, now, to_come=to_come, step=step)
        # Bytes of fetches that a new number allows begin to arrive a round trip later, or two if they need
        # connections that are not open yet.
        trips = 2 if self.number > before else 1 if self.number < before else 0
        self._begin(now, trips * round_trip)
        return self.number != before

    def _begin(self, now: float, later: float) -> None:
        self._begins_at = now + later
        self._bytes = self._chunks = self._fetches = 0

    def _judge(self, point: Point, now: float, *, to_come: int, step: int) -> None:
        self._seen.append(point)
        if self._settled is not None:
            self._judge_trial(
                self._settled, point, now, to_come, LONGER_FOR_PLANS if step == GENTLE else LONGER
            )
        else:
            self._try(self._best(point.number), now, step=step)

    def _best(self, number: int) -> Point:
        """The best of the last rounds with at most so many fetches. A round may be slow by chance."""
        return max((each for each in self._seen if each.number <= number), key=lambda each: each.rate)

    def _judge_trial(self, settled: Point, point: Point, now: float, to_come: int, longer: int) -> None:
        is_up, self._settled = self.number > self._before, None
        gain = point.rate / settled.rate
        if gain < (WORTH if is_up else SAME):
            self.number = self._before
            self._goes_down = is_up
            # The fetches of this trial go on. While they do, the next trial would add to them.
            self._next_at = now + max(self._pause, 2 * to_come / point.rate)
            self._pause = min(MOST_PAUSE, longer * self._pause)
        elif is_up:
            self._pause = PAUSE
            self.number = min(self.number, ceil(settled.number * gain * WORTH))
            if gain >= LINEAR * point.number / settled.number:
                self._start_trial(point, STEP * max(self.number, point.number))

    def _try(self, point: Point, now: float, *, step: int) -> None:
        best = self._best(MOST)
        # More fetches brought twice as much, or more nearly in proportion, so they do not share one link.
        times = best.number / max(1, point.number)
        if times >= 2 and best.rate >= min(2, LINEAR * times) * point.rate:
            self._start_trial(point, max(best.number, STEP * point.number))
        elif now >= self._next_at and step > 1:
            is_down = self._goes_down and self.number > 1
            number = self.number // 2 if is_down else step * max(self.number, point.number)
            self._start_trial(point, number)

    def _start_trial(self, settled: Point, number: int) -> None:
        self._settled, self._before = settled, self.number
        self.number = max(1, min(MOST, number))
