"""Looks at a service, to tell its operators how it is."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from heapq import nlargest
from importlib.metadata import version
from time import time

from proxy.access.bounds import Bound
from proxy.admin.plans import status_of_run
from proxy.admin.readiness import Readiness
from proxy.admin.status import (
    CallerShare,
    Held,
    Hour,
    Jobs,
    OriginStatus,
    Place,
    PlanLine,
    Status,
    TierStatus,
    hour_of,
    minute_of,
)
from proxy.cache.shares import VARIANTS, Shares
from proxy.codecs.workers import Workers
from proxy.fetch.gate import Gate, Seat
from proxy.origin.client import Origin
from proxy.prefetch.plans import Plans
from proxy.prefetch.run import Run
from proxy.service.wrong import wrong_with
from proxy.telemetry.history import History
from proxy.telemetry.metrics import OUTSIDE, Metrics
from proxy.telemetry.reading import counts, total, values

VERSION = version("progressive-proxy")
MOST_PLANS = 50
"""Most plans that a look tells of; those that run come first."""
MOST_CALLERS = 20
"""Most callers that a look tells of."""


@dataclass(frozen=True)
class Looking:
    """Looks at the parts of one service."""

    metrics: Metrics
    history: History
    """Its last hour."""
    readiness: Readiness
    origins: Mapping[str, Origin]
    gates: Mapping[str, Gate]
    """By origin, the line for it."""
    seats: Mapping[str, int]
    """By origin, the fetches that may run at once."""
    plans: Plans
    shares: Shares
    """The accounts of callers."""
    workers: Workers
    bounds: Mapping[str, Bound]
    """By setting: `waiting`, `sending`, `uploads`, `plans` and `planned_frames`."""
    tiers: tuple[str, ...]
    """Names of the tiers behind memory, from near to far."""
    budget: int
    """Bytes that the cache in memory may take."""
    with_uids: bool
    """True if the log has UIDs, so that plans may show theirs."""
    since: float
    """Unix time of the start."""

    async def hour(self) -> Hour:
        """The last hour."""
        return hour_of(self.history.past())

    async def status(self) -> Status:
        """The service as it is now."""
        metrics = self.metrics
        ends = await asyncio.to_thread(values, metrics.expires, "origin", "kind")  # it reads files
        plans, more_plans = self._plans()
        callers, more_callers = self._callers()
        return Status(
            at=time(),
            since=self.since,
            version=VERSION,
            ready=self.readiness.not_ready_because() or "ok",
            processes=1,
            budget=self.budget,
            held=[*self._in_memory(), *self._in_tiers()],
            tiers=[self._tier(name) for name in self.tiers],
            answers=counts(metrics.frame_answers, "cache"),
            resources=counts(metrics.resource_answers, "cache"),
            sent=total(metrics.served_bytes),
            fills=total(metrics.fills_in_flight),
            connections=total(metrics.connections, listener="viewers"),
            places={name: Place(taken=each.taken, most=each.most) for name, each in self.bounds.items()},
            origins=[self._origin(origin, ends) for origin in self.origins.values()],
            plans=plans,
            more_plans=more_plans,
            jobs=self._jobs(),
            callers=callers,
            more_callers=more_callers,
            minute=minute_of(self.history.now()),
        )

    def _in_memory(self) -> Iterable[Held]:
        kept, all_of = (
            values(self.metrics.kept_bytes, "kind", "part"),
            counts(self.metrics.cache_bytes, "part"),
        )
        for (kind, part), size in kept.items():
            yield Held(tier="memory", kind=kind, part=part, bytes=int(size))
            all_of[part] -= int(size)
        for part in OUTSIDE:
            yield Held(tier="memory", kind="other", part=part, bytes=all_of[part])

    def _in_tiers(self) -> Iterable[Held]:
        for (tier, kind, part), size in values(self.metrics.tier_bytes, "tier", "kind", "part").items():
            yield Held(tier=tier, kind=kind, part=part, bytes=int(size))

    def _tier(self, name: str) -> TierStatus:
        metrics = self.metrics
        return TierStatus(
            name=name,
            lookups=counts(metrics.tier_lookups, "outcome", tier=name),
            writes=counts(metrics.tier_writes, "outcome", tier=name),
        )

    def _origin(self, origin: Origin, ends: Mapping[tuple[str, ...], float]) -> OriginStatus:
        metrics, name = self.metrics, origin.name
        gate, report = self.gates[name], origin.report()
        mismatches = counts(metrics.mismatches, "reason", origin=name)
        own = {kind: end for (whose, kind), end in ends.items() if whose == name}
        why = self.readiness.unreached_because(origin)
        return OriginStatus(
            name=name,
            **asdict(report),
            up=total(metrics.origin_up, origin=name) > 0,
            wrong=wrong_with(report, origin.health.outage, why, origin.health.troubles.lately(), own),
            seats=self.seats[name],
            at_once=gate.concurrency.number,
            running=_by_turn(gate.running),
            waiting=_by_turn(gate.waiting),
            to_come=gate.account.total,
            round_trip=gate.window.round_trip,
            requests=counts(metrics.origin_requests, "outcome", origin=name),
            received=total(metrics.origin_bytes, origin=name),
            mismatches=mismatches,
        )

    def _plans(self) -> tuple[list[PlanLine], int]:
        newest = reversed([*self.plans])
        runs = sorted(newest, key=lambda run: run.is_over)
        return [self._plan(run) for run in runs[:MOST_PLANS]], max(0, len(runs) - MOST_PLANS)

    def _plan(self, run: Run) -> PlanLine:
        origin, study = run.study
        told = status_of_run(run).model_dump()
        of = {"origin": origin, "is_viewers": run.maker is None, "who": run.carrier.caller.person.hex()}
        if self.with_uids:
            of |= {"study_uid": study, "series_uid": run.series or None}
        else:
            told["series"] = [one | {"series": ""} for one in told["series"]]
        return PlanLine(**told, **of)

    def _jobs(self) -> Jobs:
        jobs = counts(self.metrics.jobs, "state")
        return Jobs(
            most=self.workers.number,
            processes=len(self.workers.running),
            waiting=jobs["waiting"],
            running=jobs["running"],
            lost=counts(self.metrics.lost_decoders, "reason"),
        )

    def _callers(self) -> tuple[list[CallerShare], int]:
        held = {who: size for who, size in self.shares.sizes().items() if who != VARIANTS}
        running = Counter[bytes]()
        for gate in self.gates.values():
            running.update(gate.waiting.running)
        waiting, planned = (self.bounds[name].by_person for name in ("waiting", "planned_frames"))
        found = {*held, *running, *waiting, *planned}
        numbers = {
            who: (held.get(who, 0), running[who], waiting.get(who, 0), planned.get(who, 0)) for who in found
        }
        largest = nlargest(MOST_CALLERS, found, key=numbers.__getitem__)
        shares = [
            CallerShare(who=who.hex(), held=size, running=runs, waiting=waits, planned=plans)
            for who in largest
            for size, runs, waits, plans in (numbers[who],)
        ]
        return shares, len(found) - len(shares)


def _by_turn(seats: Iterable[Seat]) -> dict[str, int]:
    return Counter(seat.rank.turn.name.lower().replace("_", "-") for seat in seats)
