"""Troubles of an origin: how often each kind came within the last hour, and when it came last."""

from proxy.telemetry.troubles import HOUR, Trouble, Troubles


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_020.0

    def __call__(self) -> float:
        return self.now


def test_each_kind_is_counted_with_its_last_time() -> None:
    clock = Clock()
    troubles = Troubles(clock)
    assert troubles.lately() == {}
    for seconds, kind in ((0, "cut"), (1, "cut"), (90, "stalled"), (200, "cut")):
        clock.now = 1_000_020.0 + seconds
        troubles.note(kind)
    assert troubles.lately() == {"cut": Trouble(3, 1_000_220.0), "stalled": Trouble(1, 1_000_110.0)}


def test_a_trouble_is_forgotten_after_an_hour() -> None:
    clock = Clock()
    troubles = Troubles(clock)
    troubles.note("cut")
    clock.now += HOUR - 1
    troubles.note("cut")
    assert troubles.lately()["cut"].times == 2
    clock.now += 61
    assert troubles.lately() == {"cut": Trouble(1, 1_000_020.0 + HOUR - 1)}
    clock.now += HOUR
    assert troubles.lately() == {}


def test_it_keeps_no_more_than_a_number_a_minute() -> None:
    clock = Clock()
    troubles = Troubles(clock)
    for _ in range(10_000):
        clock.now += 1.0
        troubles.note("cut")
    assert len(troubles._kinds["cut"].minutes) <= 62


def test_a_clock_that_was_set_back_loses_nothing() -> None:
    clock = Clock()
    troubles = Troubles(clock)
    troubles.note("cut")
    clock.now -= 600
    troubles.note("cut")
    assert troubles.lately()["cut"].times == 2
