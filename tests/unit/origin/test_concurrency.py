"""How many fetches at once an origin repays, on lines of which the test knows the answer."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from proxy.origin.concurrency import GENTLE, MOST, STEP, Concurrency

CHUNK = 2048
"""Least bytes of a chunk."""
CHUNK_TIME = 0.001
"""Seconds from one chunk to the next on a line that is faster than that."""
Rate = Callable[[int], float]
"""Bytes a second that so many fetches at once bring together."""


def each_limited(each: float, line: float = 125e6) -> Rate:
    return lambda fetches: min(line, fetches * each)


def shared(line: float) -> Rate:
    return lambda fetches: line if fetches else 0.0


def played(
    rate: Rate,
    seconds: float,
    *,
    waiting: int = 1000,
    round_trip: float = 0.01,
    alone: int = 1,
    step: int = STEP,
    concurrency: Concurrency | None = None,
    began: float = 0.0,
) -> tuple[Concurrency, list[int]]:
    """Chunks arrive for so long, while so many fetches want to run and a window lets `alone` of them go."""
    concurrency, now, numbers = concurrency or Concurrency(), began, []
    while now < began + seconds:
        running = min(waiting, max(alone, concurrency.number))
        chunk = max(CHUNK, int(rate(running) * CHUNK_TIME))
        now += chunk / rate(running)
        concurrency.came(chunk, now, running=running, to_come=0, round_trip=round_trip, step=step)
        numbers.append(concurrency.number)
    return concurrency, numbers


@pytest.mark.parametrize("each", [0.3e6, 2e6, 10e6])
def test_an_origin_that_limits_each_connection_is_asked_by_as_many_as_it_repays(each: float) -> None:
    concurrency, _ = played(each_limited(each, line=24 * each), 2.0)
    assert 20 <= concurrency.number <= 40


@pytest.mark.parametrize("line", [1.25e6, 3.75e6, 12.5e6, 125e6])
def test_a_shared_line_is_tried_ever_more_seldom(line: float) -> None:
    _, numbers = played(shared(line), 60.0)
    trials = sum(before == 1 < after for before, after in pairwise(numbers))
    assert numbers[-1] == 1
    assert 1 <= trials <= 8
    assert max(numbers) <= 4


def test_what_first_fetches_showed_is_used_at_once() -> None:
    """Twenty-four of them ran, each at its own limit; then completions wait behind one."""
    rate = each_limited(2e6)
    concurrency, _ = played(rate, 0.2, alone=24, step=1)
    concurrency, numbers = played(rate, 0.2, concurrency=concurrency, began=0.2)
    assert max(numbers) >= 24


def test_first_fetches_over_a_shared_line_let_nothing_else_go() -> None:
    concurrency, numbers = played(shared(3.75e6), 2.0, alone=6, step=1)
    assert set(numbers) == {1}
    _, numbers = played(shared(3.75e6), 2.0, alone=3, step=1, concurrency=concurrency, began=2.0)
    assert set(numbers) == {1}


def test_a_limit_that_is_lifted_brings_the_number_down_again() -> None:
    concurrency, _ = played(each_limited(2e6, line=48e6), 2.0)
    assert concurrency.number > 16
    concurrency, numbers = played(shared(48e6), 120.0, concurrency=concurrency, began=2.0)
    assert min(numbers) <= 4


def test_plans_alone_try_gently() -> None:
    _, numbers = played(shared(3.75e6), 60.0, step=GENTLE)
    assert max(numbers) == GENTLE


def test_plans_alone_try_more_seldom() -> None:
    trials = []
    for step in (STEP, GENTLE):
        _, numbers = played(shared(3.75e6), 60.0, step=step)
        trials.append(sum(before == 1 < after for before, after in pairwise(numbers)))
    assert trials[1] <= trials[0] - 2


def test_a_line_that_is_not_full_is_no_reason_to_try() -> None:
    concurrency = Concurrency()
    for step in range(1000):
        concurrency.came(CHUNK, step * 0.001, running=1, to_come=0, round_trip=0.01, step=STEP)
        concurrency.idle()
    assert concurrency.number == 1


def test_the_number_has_a_bound() -> None:
    concurrency, _ = played(lambda fetches: fetches * 1e5, 60.0, waiting=10**6)
    assert concurrency.number <= MOST


def test_before_any_byte_one_fetch_at_a_time() -> None:
    assert Concurrency().number == 1
