"""One status of several workers: sums, what they share once, and the worst of an origin."""

from typing import Any

from proxy.admin.status import (
    CallerShare,
    Fault,
    Held,
    Hour,
    Jobs,
    Minute,
    OriginStatus,
    Place,
    PlanLine,
    Status,
    TierStatus,
)
from proxy.service.several.statuses import merged_hour, merged_status


def minute(at: int, *counts: int) -> Minute:
    return Minute(at=at, answers={"hit": sum(counts)}, first=list(counts), final=list(reversed(counts)))


def origin(**more: Any) -> OriginStatus:
    known: dict[str, Any] = {
        "name": "pacs",
        "form": None,
        "ranges": None,
        "validators": None,
        "stable_multipart": True,
        "resting": False,
        "up": True,
        "wrong": [],
        "seats": 16,
        "at_once": 1,
        "running": {"viewer-first": 1},
        "waiting": {},
        "to_come": 10,
        "round_trip": None,
        "requests": {"ok": 3},
        "received": 100,
        "mismatches": {},
    }
    return OriginStatus(**known | more)


def plan(name: str, state: str) -> PlanLine:
    status = {"id": name, "profile": "p", "state": state, "frames": 1, "bytes": 0, "error": "", "stages": []}
    status |= {"series": [], "unopened": 0, "form": ""}
    return PlanLine(**status, origin="pacs", is_viewers=True, who="")


def status(**more: Any) -> Status:
    known: dict[str, Any] = {
        "at": 100.0,
        "since": 10.0,
        "version": "1",
        "ready": "ok",
        "processes": 1,
        "budget": 50,
        "held": [
            Held(tier=tier, kind="frame", part="first", bytes=size)
            for tier, size in (("memory", 5), ("disk", 70))
        ],
        "tiers": [TierStatus(name="disk", lookups={"hit": 1}, writes={"stored": 2})],
        "answers": {"hit": 2, "miss": 1},
        "resources": {"hit": 1},
        "sent": 1000,
        "fills": 1,
        "connections": 2,
        "places": {"waiting": Place(taken=1, most=8)},
        "origins": [origin()],
        "plans": [],
        "more_plans": 0,
        "jobs": Jobs(most=1, processes=1, waiting=2, running=1, lost={"late": 1}),
        "callers": [CallerShare(who="aa", held=5, running=1, waiting=0, planned=0)],
        "more_callers": 0,
        "minute": minute(60, 1, 0),
    }
    return Status(**known | more)


def test_numbers_are_added_and_what_is_shared_counts_once() -> None:
    told = merged_status([status(), status(since=5.0, answers={"hit": 3, "partial": 1})], "ok")
    assert (told.processes, told.since, told.budget, told.sent) == (2, 5.0, 100, 2000)
    assert told.answers == {"hit": 5, "miss": 1, "partial": 1}
    assert {(each.tier, each.bytes) for each in told.held} == {("memory", 10), ("disk", 70)}
    assert told.tiers[0].lookups == {"hit": 2}
    assert told.places["waiting"] == Place(taken=2, most=16)
    assert (told.jobs.most, told.jobs.waiting, told.jobs.lost) == (2, 4, {"late": 2})
    assert [(each.who, each.held, each.running) for each in told.callers] == [("aa", 10, 2)]


def test_an_origin_is_as_good_as_at_the_worst_worker() -> None:
    slow = Fault(level="warn", what="slow")
    down = Fault(level="bad", what="down")
    one = origin(form="a", ranges=True, round_trip=0.5, wrong=[slow])
    two = origin(ranges=False, up=False, resting=True, round_trip=0.2, wrong=[down, slow])
    [told] = merged_status([status(origins=[one]), status(origins=[two])], "ok").origins
    assert (told.form, told.ranges, told.validators) == ("a", False, None)
    assert (told.up, told.resting, told.wrong) == (False, True, [down, slow])
    assert (told.seats, told.running, told.round_trip, told.received) == (32, {"viewer-first": 2}, 0.2, 200)


def test_a_trouble_of_two_workers_is_one_with_the_sum_of_its_times() -> None:
    def cut(times: int, last: float) -> Fault:
        return Fault(level="warn", what="cut", times=times, last=last)

    down = Fault(level="bad", what="down", since=50.0)
    one = origin(wrong=[down, cut(2, 90.0)])
    two = origin(wrong=[down.model_copy(update={"since": 40.0}), cut(3, 70.0)])
    told = merged_status([status(origins=[one]), status(origins=[two])], "ok").origins[0].wrong
    assert told == [Fault(level="bad", what="down", since=40.0), cut(5, 90.0)]


def test_plans_that_run_come_first() -> None:
    one, two = status(plans=[plan("a", "done")]), status(plans=[plan("b", "running")], more_plans=3)
    told = merged_status([one, two], "ok")
    assert ([each.id for each in told.plans], told.more_plans) == (["b", "a"], 3)


def test_minutes_are_added_by_their_time() -> None:
    hours = [
        Hour(bounds=[0.1], minutes=[minute(0, 1, 2), minute(60, 1, 0)]),
        Hour(bounds=[0.1], minutes=[minute(60, 0, 5)]),
    ]
    told = merged_hour(hours)
    assert [(each.at, each.first, each.answers) for each in told.minutes] == [
        (0, [1, 2], {"hit": 3}),
        (60, [1, 5], {"hit": 6}),
    ]


def test_a_minute_that_only_one_worker_has_begun_is_the_current_one() -> None:
    told = merged_status([status(minute=minute(60, 9, 9)), status(minute=minute(120, 1, 0))], "ok")
    assert (told.minute.at, told.minute.first) == (120, [1, 0])
