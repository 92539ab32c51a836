"""One status of several workers. Pure.

Numbers are added up. Anything that workers share, such as a tier, counts once. An origin is as good as at the
worst worker.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from proxy.admin.status import (
    CallerShare,
    Held,
    Hour,
    Jobs,
    Minute,
    OriginStatus,
    Place,
    PlanLine,
    Status,
    TierStatus,
    Told,
)
from proxy.service.looking import MOST_CALLERS, MOST_PLANS
from proxy.service.wrong import together

Part = TypeVar("Part", bound=Told)


def merged_status(told: Sequence[Status], ready: str) -> Status:
    """The status of a service; `told` has that of each worker, at least one, and `ready` is for all."""
    one = told[0]
    plans = sorted((plan for each in told for plan in each.plans), key=_is_over)
    callers = [_caller(same) for same in _alike((each.callers for each in told), "who")]
    callers.sort(key=lambda each: (each.held, each.running, each.waiting, each.planned), reverse=True)
    return Status(
        at=max(each.at for each in told),
        since=min(each.since for each in told),
        version=one.version,
        ready=ready,
        processes=len(told),
        budget=sum(each.budget for each in told),
        held=list(map(_held, _alike((each.held for each in told), "tier", "kind", "part"))),
        tiers=list(map(_tier, _alike((each.tiers for each in told), "name"))),
        answers=_sum(each.answers for each in told),
        resources=_sum(each.resources for each in told),
        sent=sum(each.sent for each in told),
        fills=sum(each.fills for each in told),
        connections=sum(each.connections for each in told),
        places={name: _place([each.places[name] for each in told]) for name in one.places},
        origins=list(map(_origin, _alike((each.origins for each in told), "name"))),
        plans=plans[:MOST_PLANS],
        more_plans=sum(each.more_plans for each in told) + max(0, len(plans) - MOST_PLANS),
        jobs=_jobs([each.jobs for each in told]),
        callers=callers[:MOST_CALLERS],
        more_callers=max(each.more_callers for each in told) + max(0, len(callers) - MOST_CALLERS),
        minute=_minute(_latest([each.minute for each in told])),
    )


def merged_hour(told: Sequence[Hour]) -> Hour:
    """The last hour of a service, from that of each worker, at least one."""
    by_time = _alike((each.minutes for each in told), "at")
    minutes = sorted(map(_minute, by_time), key=lambda minute: minute.at)
    return Hour(bounds=told[0].bounds, minutes=minutes)


def _alike(lists: Iterable[Sequence[Part]], *names: str) -> list[list[Part]]:
    """The parts of all lists, those together that have the same values under these names."""
    found: dict[tuple[object, ...], list[Part]] = {}
    for part in (part for each in lists for part in each):
        found.setdefault(tuple(getattr(part, name) for name in names), []).append(part)
    return list(found.values())


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total = Counter[str]()
    for each in counts:
        total.update(each)
    return dict(total)


def _is_over(plan: PlanLine) -> bool:
    return plan.state not in ("queued", "running")


def _held(same: Sequence[Held]) -> Held:
    join = sum if same[0].tier == "memory" else max
    return same[0].model_copy(update={"bytes": join(each.bytes for each in same)})


def _tier(same: Sequence[TierStatus]) -> TierStatus:
    return TierStatus(
        name=same[0].name,
        lookups=_sum(each.lookups for each in same),
        writes=_sum(each.writes for each in same),
    )


def _place(same: Sequence[Place]) -> Place:
    return Place(taken=sum(each.taken for each in same), most=sum(each.most for each in same))


def _jobs(same: Sequence[Jobs]) -> Jobs:
    names = ("most", "processes", "waiting", "running")
    numbers = {name: sum(getattr(each, name) for each in same) for name in names}
    return Jobs(**numbers, lost=_sum(each.lost for each in same))


def _caller(same: Sequence[CallerShare]) -> CallerShare:
    names = ("held", "running", "waiting", "planned")
    return CallerShare(who=same[0].who, **{name: sum(getattr(each, name) for each in same) for name in names})


def _latest(minutes: Sequence[Minute]) -> list[Minute]:
    at = max(minute.at for minute in minutes)
    return [minute for minute in minutes if minute.at == at]


def _minute(same: Sequence[Minute]) -> Minute:
    return Minute(
        at=same[0].at,
        answers=_sum(each.answers for each in same),
        first=list(map(sum, zip(*(each.first for each in same), strict=True))),
        final=list(map(sum, zip(*(each.final for each in same), strict=True))),
    )


def _origin(same: Sequence[OriginStatus]) -> OriginStatus:
    trips = [each.round_trip for each in same if each.round_trip is not None]
    return OriginStatus(
        name=same[0].name,
        form=next((each.form for each in same if each.form is not None), None),
        ranges=_if_all([each.ranges for each in same]),
        validators=_if_all([each.validators for each in same]),
        stable_multipart=all(each.stable_multipart for each in same),
        resting=any(each.resting for each in same),
        up=all(each.up for each in same),
        wrong=together([fault for each in same for fault in each.wrong]),
        seats=sum(each.seats for each in same),
        at_once=sum(each.at_once for each in same),
        running=_sum(each.running for each in same),
        waiting=_sum(each.waiting for each in same),
        to_come=sum(each.to_come for each in same),
        round_trip=min(trips, default=None),
        requests=_sum(each.requests for each in same),
        received=sum(each.received for each in same),
        mismatches=_sum(each.mismatches for each in same),
    )


def _if_all(facts: Sequence[bool | None]) -> bool | None:
    known = [fact for fact in facts if fact is not None]
    return all(known) if known else None
