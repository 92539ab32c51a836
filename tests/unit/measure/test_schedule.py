import math

import pytest

from proxy.measure.schedule import MIN_QUEUE, Schedule, packet_size


def test_packets_leave_one_after_the_other() -> None:
    line = Schedule(rate=8_000, delay=0.25)
    assert [line.admit(100.0, 500) for _ in range(3)] == [100.75, 101.25, 101.75]


def test_a_line_that_was_idle_starts_at_once() -> None:
    line = Schedule(rate=8_000, delay=0.0)
    assert line.admit(0.0, 1000) == 1.0
    assert line.admit(50.0, 1000) == 51.0


def test_a_late_look_at_the_clock_does_not_lower_the_rate() -> None:
    line = Schedule(rate=8_000, delay=0.0)
    for late in (0.0, 0.9, 1.9, 2.9):  # each time just before the line would be idle
        due = line.admit(late, 1000)
    assert due == 4.0


def test_what_has_no_bytes_keeps_its_place_and_costs_nothing() -> None:
    line = Schedule(rate=8_000, delay=0.5)
    line.admit(0.0, 1000)
    assert line.admit(0.0, 0) == 1.5
    assert line.free == 1.0


def test_the_queue_has_room_again_when_enough_has_left() -> None:
    line = Schedule(rate=8 * MIN_QUEUE, delay=9.0)  # one queue of bytes per second
    for _ in range(4):
        assert line.room_at(MIN_QUEUE // 4) <= 0.0
        line.admit(0.0, MIN_QUEUE // 4)
    assert line.room_at(MIN_QUEUE // 4) == 0.25


def test_a_fast_line_queues_more_than_a_timer_may_be_late() -> None:
    assert Schedule(rate=30e6, delay=0.0).queue == pytest.approx(MIN_QUEUE * 8 / 30e6)
    assert Schedule(rate=10e9, delay=0.0).queue == pytest.approx(0.020)


def test_without_a_rate_nothing_waits() -> None:
    line = Schedule(rate=math.inf, delay=0.0)
    assert line.admit(3.0, 10**9) == 3.0
    assert line.room_at(10**9) < 3.01
    assert packet_size(math.inf) == 65536
