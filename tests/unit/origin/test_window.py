"""How much may be on its way, from what arrives; the times are made up."""

import pytest

from proxy.origin.window import ENOUGH, GAIN, LEAST_WINDOW, MOST_WINDOW, UNKNOWN, Quota, Window


class Line:
    """Answers one after another from a line of so many bytes a second and such a round trip."""

    def __init__(self, rate: float, round_trip: float) -> None:
        self.window = Window()
        self.now = 0.0
        self._rate = rate
        self._round_trip = round_trip

    def answer(self, size: int, *, chunk: int = 4096, queue: float = 0.0, was_idle: bool = True) -> None:
        """One answer, which waited `queue` seconds behind others."""
        arrival = self.window.asked(self.now, was_idle=was_idle)
        self.now += self._round_trip + queue
        self.window.began(arrival, self.now)
        for at in range(0, size, chunk):
            self.now += min(chunk, size - at) / self._rate
            self.came(arrival, min(chunk, size - at), is_all=at + chunk >= size)

    def came(self, arrival: object, size: int, *, is_all: bool) -> None:
        self.window.came(arrival, size, self.now, is_full=True, is_all=is_all)  # type: ignore[arg-type]


def test_nothing_is_known_at_first() -> None:
    window = Window()
    assert (window.size, window.round_trip, window.in_one_round_trip) == (LEAST_WINDOW, None, UNKNOWN)


@pytest.mark.parametrize(
    ("rate", "round_trip", "expected"),
    [
        pytest.param(3.75e6, 0.010, LEAST_WINDOW, id="4g"),
        pytest.param(12.5e6, 0.040, GAIN * 500_000, id="100 Mbit/s, 40 ms"),
        pytest.param(125e6, 0.001, GAIN * 125_000, id="1 Gbit/s, 1 ms"),
        pytest.param(1.25e9, 0.200, MOST_WINDOW, id="10 Gbit/s, 200 ms"),
    ],
)
def test_the_window_is_a_little_more_than_the_line_carries_in_a_round_trip(
    rate: float, round_trip: float, expected: float
) -> None:
    line = Line(rate, round_trip)
    line.answer(65536)
    assert line.window.size == pytest.approx(expected, rel=0.05)


def test_small_answers_widen_the_window_until_the_line_is_full() -> None:
    """They tell no rate by themselves, only together, by what arrives in the time that each takes."""
    window, now, sizes = Window(), 0.0, []
    rate, round_trip, size = 12.5e6, 0.040, 8192
    for _ in range(12):
        together = min(window.size, int(rate * round_trip * 1.5)) // size
        arrivals = [window.asked(now, was_idle=False) for _ in range(together)]
        now += round_trip
        for arrival in arrivals:
            window.began(arrival, now)
            now += size / rate
            window.came(arrival, size, now, is_full=True, is_all=True)
        sizes.append(window.size)
    assert sizes == sorted(sizes)
    assert sizes[-1] > 3 * LEAST_WINDOW


def test_answers_that_waited_behind_others_do_not_make_the_round_trip_longer() -> None:
    line = Line(12.5e6, 0.040)
    line.answer(65536)
    for _ in range(100):
        line.answer(65536, queue=0.5, was_idle=False)
    assert line.window.round_trip == pytest.approx(0.040)


def test_a_round_trip_that_became_longer_is_learned_from_an_idle_line() -> None:
    line = Line(12.5e6, 0.040)
    line.answer(65536)
    line._round_trip = 0.100
    for _ in range(8):
        line.answer(65536)
    assert line.window.round_trip == pytest.approx(0.100)


def test_a_few_answers_that_a_pause_made_fast_do_not_widen_the_window() -> None:
    line = Line(3.75e6, 0.010)
    for place in range(32):
        is_after_a_pause = place % 8 == 0
        line._rate = 1e9 if is_after_a_pause else 3.75e6
        line.answer(65536)
    assert line.window.size == LEAST_WINDOW


def test_little_traffic_does_not_tell_of_a_slow_line() -> None:
    line = Line(12.5e6, 0.040)
    line.answer(65536)
    size = line.window.size
    for _ in range(100):
        arrival = line.window.asked(line.now, was_idle=True)
        line.now += 0.040
        line.window.began(arrival, line.now)
        line.window.came(arrival, 1000, line.now + 0.0001, is_full=False, is_all=True)
        line.now += 1
    assert line.window.size == size


def test_a_line_that_became_slower_is_learned_from_large_answers() -> None:
    line = Line(12.5e6, 0.040)
    line.answer(2 * ENOUGH)
    line._rate = 5e6
    for _ in range(20):
        line.answer(3 * ENOUGH)
    assert line.window.size == pytest.approx(GAIN * 200_000, rel=0.05)


def test_other_bodies_tell_a_rate_and_no_round_trip() -> None:
    line = Line(12.5e6, 0.040)
    arrival = line.window.asked(0.0, was_idle=False)
    line.now = 2.0  # the origin searched
    for place in range(32):
        line.now += 4096 / 12.5e6
        line.came(arrival, 4096, is_all=place == 31)
    assert line.window.round_trip is None
    assert line.window.size == LEAST_WINDOW
    frame = line.window.asked(line.now, was_idle=True)
    line.window.began(frame, line.now + 0.040)
    assert line.window.size == pytest.approx(GAIN * 500_000, rel=0.05)


def test_a_quota_lets_so_many_out_in_any_second() -> None:
    quota = Quota(2)
    assert quota.wait(10.0) == 0
    quota.give(10.0)
    assert quota.wait(10.2) == 0
    quota.give(10.2)
    assert quota.wait(10.5) == pytest.approx(0.5)
    assert quota.wait(11.0) == 0
    quota.give(11.0)
    assert quota.wait(11.0) == pytest.approx(0.2)


def test_without_a_quota_nothing_waits() -> None:
    quota = Quota(None)
    for _ in range(1000):
        quota.give(1.0)
    assert quota.wait(1.0) == 0
