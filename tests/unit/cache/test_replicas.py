"""The simulated day and its replicas: `python -m tests.bench replicas` makes a page's figures of them."""

from dataclasses import replace
from itertools import pairwise

import pytest

from tests.simulation.day import Day, Request, day_of
from tests.simulation.replicas import HOUR, Fleet, owner, replay

MIB = 1 << 20
SMALL = 100 * MIB
DAY = day_of(40, seed=7, sample=10)
FLEETS = (
    Fleet(1, SMALL),
    Fleet(1, SMALL, ttl=HOUR),
    Fleet(5, SMALL, is_hashed=True),
    Fleet(5, SMALL, disk=8 * SMALL),
    Fleet(5, SMALL, shared=8 * SMALL),
    Fleet(5, SMALL, disk=2 * SMALL, shared=8 * SMALL),
)


def requested(day: Day) -> int:
    return day.sample * sum(day.studies[request.study].size for request in day.requests)


def origin(day: Day, fleet: Fleet) -> int:
    return replay(day, fleet).bytes["origin"]


def test_a_seed_gives_the_same_day_and_the_same_outcome() -> None:
    assert day_of(50, seed=7) == day_of(50, seed=7)
    assert day_of(50, seed=7) != day_of(50, seed=8)
    assert replay(DAY, FLEETS[-1]) == replay(DAY, FLEETS[-1])


@pytest.mark.parametrize("fleet", FLEETS, ids=str)
def test_each_requested_byte_comes_from_one_place(fleet: Fleet) -> None:
    outcome = replay(DAY, fleet)
    assert outcome.bytes.total() == requested(DAY)
    assert outcome.spans.total() == outcome.bytes["origin"] >= DAY.distinct * (fleet.ttl > HOUR)


def test_a_cache_that_holds_the_day_fetches_each_frame_once_and_again_after_the_restart() -> None:
    large = Fleet(1, 1 << 40)
    assert DAY.distinct < origin(DAY, large) < 1.5 * DAY.distinct
    assert origin(DAY, replace(large, disk=1 << 40)) == DAY.distinct


def test_more_memory_never_means_more_from_the_origin() -> None:
    sizes = [origin(DAY, Fleet(1, SMALL << step)) for step in range(5)]
    assert all(more <= less * 1.02 for less, more in pairwise(sizes))
    assert sizes[-1] < 0.8 * sizes[0]


@pytest.mark.parametrize("replicas", [2, 4])
def test_replicas_with_hashing_are_one_replica_with_their_memory(replicas: int) -> None:
    one = origin(DAY, Fleet(1, replicas * 4 * SMALL))
    assert origin(DAY, Fleet(replicas, 4 * SMALL, is_hashed=True)) == pytest.approx(one, rel=0.1)


def test_a_sampled_day_is_the_whole_day_within_a_tenth() -> None:
    whole, sampled = (day_of(60, seed=7, sample=sample) for sample in (1, 10))
    fleet = Fleet(3, 2 * SMALL, is_hashed=True)
    assert origin(sampled, fleet) == pytest.approx(origin(whole, fleet), rel=0.1)


def test_one_replica_fetches_and_another_one_waits_if_it_is_not_for_long() -> None:
    slice_, radiograph = (
        next(study for study in day_of(50, seed=7).studies if study.frames == frames) for frames in (300, 2)
    )
    for study, is_shared in ((slice_, True), (radiograph, False)):
        both = tuple(
            Request(at, 1, study.number, 0, connection) for at, connection in ((0, 0.1), (0.02, 0.9))
        )
        outcome = replay(replace(day_of(50, seed=7), requests=both), Fleet(2, 1 << 30, shared=1 << 30))
        rest = 0 if is_shared else study.size - study.first
        assert outcome.bytes == {"origin": study.size + rest, "shared": study.size - rest}
        assert sorted(outcome.firsts) == [pytest.approx(14.6 + 4.6, abs=0.1), 34.6]


def test_a_replica_more_takes_its_part_of_the_studies_and_moves_no_other() -> None:
    before, after = ([owner(study, replicas) for study in range(2000)] for replicas in (4, 5))
    moved = [now for was, now in zip(before, after, strict=True) if was != now]
    assert set(moved) == {4}
    assert len(moved) == pytest.approx(400, rel=0.2)
