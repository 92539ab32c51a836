"""The status of a service as the admin API tells it. No value holds a path; UIDs only if the log has them.

Counts begin with the start of the processes that run. Several workers tell theirs, and
`proxy.service.several.statuses` makes one of them.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from proxy.admin.plans import PlanStatus
from proxy.telemetry.deliveries import SECONDS
from proxy.telemetry.history import Past

Level = Literal["bad", "warn"]


class Told(BaseModel):
    """A part of the status."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid")


class Held(Told):
    """Bytes of one kind in one tier."""

    tier: str
    """`memory`, or a tier behind it: `disk`."""
    kind: str
    """Frames are `frame` as the origin sends it, another `form`, `alternate`, `made` by the proxy, or
    rendered `picture`. Resources beside them are `search`, `metadata`, `picture`, `bulkdata` or `instances`.
    `other` is the rest."""
    part: str
    """Frames have `first` pieces and a `rest`. Resources are `tables`. The rest is `tables` too, `overhead`,
    and bytes that are `filling` or `lent`."""
    bytes: int
    """Bytes that are held."""


class TierStatus(Told):
    """A tier behind memory."""

    name: str
    """`disk`, `shared` or `objects`."""
    lookups: dict[str, int]
    """Look-ups for frames by outcome: hit, miss, late, wrong, failed."""
    writes: dict[str, int]
    """Frames for the tier by outcome: stored, dropped, failed."""


class Minute(Told):
    """The responses for frames that ended within a minute."""

    at: int
    """Unix time of its start."""
    answers: dict[str, int]
    """Responses by what the cache did: hit, partial, stale, miss, collapsed."""
    first: list[int]
    """Responses by the time until their first bytes were written, for each of `Hour.bounds`, and slower."""
    final: list[int]
    """The same until the last byte."""


class Hour(Told):
    """The last hour, minute by minute."""

    bounds: list[float]
    """Upper ends of the times that are counted together, in seconds. One more count is of slower ones."""
    minutes: list[Minute]
    """Minutes that have ended, oldest first. A minute that is not there had nothing."""


class Fault(Told):
    """One thing that is wrong with an origin."""

    level: Level
    """`bad` if viewers lack something, `warn` if it is only slower or less safe."""
    what: str
    """A sentence for people."""
    since: float | None = None
    """Unix time since which it is so; None if that is not known."""
    times: int | None = None
    """How often it came in the last hour; None if it is not a thing that comes and goes."""
    last: float | None = None
    """Unix time at which it came last; likewise."""


class OriginStatus(Told):
    """An origin: what it showed of itself, what is wrong, and what it is asked now."""

    name: str
    """Its name in the configuration."""
    form: str | None
    """The form of request that worked last; None if none has yet."""
    ranges: bool | None
    """True if it supports ranges; None if that is not known."""
    validators: bool | None
    """True if its responses have a strong validator; None if that is not known."""
    stable_multipart: bool
    """True if ranges of its multipart responses fit together."""
    resting: bool
    """True if it is not asked for frames now, because it did not respond."""
    up: bool
    """True if it responds."""
    wrong: list[Fault]
    """Its faults; empty if there are none."""
    seats: int
    """Fetches that may run at once, at most."""
    at_once: int
    """Fetches at once that the origin repays, as far as the proxy knows."""
    running: dict[str, int]
    """Fetches that have gone out, by turn."""
    waiting: dict[str, int]
    """Fetches that wait in the proxy's queue, by turn."""
    to_come: int
    """Bytes that are still to come on the fetches that have gone out."""
    round_trip: float | None
    """Seconds of the shortest of the last round trips; None if there was none."""
    requests: dict[str, int]
    """Requests to it by outcome."""
    received: int
    """Bytes of bodies that it sent."""
    mismatches: dict[str, int]
    """Responses of it that the proxy rejected, by reason."""


class PlanLine(PlanStatus):
    """A plan of any caller."""

    origin: str
    """Name of its origin."""
    is_viewers: bool
    """True if a viewer's request set it off, False if it was requested here."""
    who: str
    """Digest of the credentials with which it fetches, as in the audit; empty if there are none."""
    study_uid: str | None = None
    """StudyInstanceUID; None unless `log.uids` is on."""
    series_uid: str | None = None
    """SeriesInstanceUID of a plan for one series; likewise."""


class Jobs(Told):
    """The processes that decode and encode."""

    most: int
    """Processes at once, at most."""
    processes: int
    """Processes that run."""
    waiting: int
    """Jobs that wait for a process."""
    running: int
    """Jobs that are in one."""
    lost: dict[str, int]
    """Processes that ended over a job, by reason: late, crashed."""


class CallerShare(Told):
    """One caller."""

    who: str
    """Digest of the credentials, as in the audit; empty for all callers without any."""
    held: int
    """Bytes in memory that the caller fetched."""
    running: int
    """Fetches that run for the caller."""
    waiting: int
    """Requests of the caller that wait for an origin or read along."""
    planned: int
    """Frames of the caller's plans that run."""


class Place(Told):
    """A bound, and what is under way."""

    taken: int
    """Places that are taken."""
    most: int
    """Places that there are."""


class Status(Told):
    """The service as it is at one moment."""

    at: float
    """Unix time of the moment."""
    since: float
    """Unix time of the start of the oldest process that runs."""
    version: str
    """The version of the proxy."""
    ready: str
    """`ok`, or why `/readyz` answers 503."""
    processes: int
    """Processes that serve viewers, and told how they are."""
    budget: int
    """Bytes that the cache in memory may take."""
    held: list[Held]
    """Everything that is held."""
    tiers: list[TierStatus]
    """The tiers behind memory, from near to far."""
    answers: dict[str, int]
    """Responses for frames by what the cache did."""
    resources: dict[str, int]
    """Responses for other resources of studies, likewise."""
    sent: int
    """Bytes of frames sent to viewers."""
    fills: int
    """Frames that are being fetched or made."""
    connections: int
    """Open connections of viewers."""
    places: dict[str, Place]
    """The bounds of requests and plans, by setting."""
    origins: list[OriginStatus]
    """The origins, in the order of the configuration."""
    plans: list[PlanLine]
    """Plans that run, newest first, and some that have ended."""
    more_plans: int
    """Plans that are left out."""
    jobs: Jobs
    """The processes that decode and encode."""
    callers: list[CallerShare]
    """The callers that have most, or are doing something, largest first."""
    more_callers: int
    """Callers that are left out."""
    minute: Minute
    """The minute that has begun."""


def minute_of(past: Past) -> Minute:
    """A minute as the API tells it."""
    counts = past.counts
    answers = {cache: count for cache, count in counts.answers.items() if count}
    return Minute(at=past.at, answers=answers, first=list(counts.first), final=list(counts.final))


def hour_of(past: list[Past]) -> Hour:
    """The last hour as the API tells it."""
    return Hour(
        bounds=list(SECONDS), minutes=[minute_of(each) for each in past if any(each.counts.answers.values())]
    )
