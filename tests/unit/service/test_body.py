"""How long a connection waits for more of a body; by a clock of the test's own."""

import pytest

from proxy.service.body import Pace

SILENCE = 75.0


def seconds_held(size: int, every: float, *, rate: int = 500, limit: float = 86_400.0) -> float:
    """How long a viewer that sends `size` bytes at once keeps its connection."""
    pace, now = Pace(SILENCE, rate), 0.0
    pace.begin(now)
    left = pace.left_after(0, now)
    while left > every and now < limit:
        now += every
        left = pace.left_after(size, now)
    return now + left


@pytest.mark.parametrize("every", [0.01, 1.0, 30.0, 74.0])
def test_a_byte_now_and_then_holds_nothing(every: float) -> None:
    assert seconds_held(1, every) < 100


@pytest.mark.parametrize(("size", "every"), [(500, 1.0), (5, 0.01), (64 * 1024, 60.0), (37_500, 74.0)])
def test_a_viewer_that_keeps_the_rate_is_never_late(size: int, every: float) -> None:
    assert seconds_held(size, every) > 86_400


def test_a_viewer_a_little_too_slow_has_some_time_all_the_same() -> None:
    assert 300 < seconds_held(400, 1.0) < 400


def test_what_came_fast_buys_no_longer_silence() -> None:
    pace = Pace(SILENCE, 500)
    pace.begin(0)
    assert pace.left_after(10**9, 1) == SILENCE


def test_no_rate_is_any() -> None:
    assert seconds_held(1, 74.0, rate=0) > 86_400
    assert "bytes a second" not in str(Pace(SILENCE, 0).fault)


def test_after_a_pause_of_the_proxys_own_the_time_begins_anew() -> None:
    pace = Pace(SILENCE, 500)
    pace.begin(0)
    assert pace.left_after(1, 70) < 6
    pace.begin(1_000)
    assert pace.left_after(0, 1_000) == SILENCE
