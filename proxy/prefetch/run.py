"""One run of a plan: a few fetches in flight, each of them through `Retrieve` like a viewer's request.

    queued ──► running ──► done | spent | failed | cancelled

A run fetches exactly the parts in its profile's plan, in the plan's order. The gate decides when each fetch
starts. A frame that a viewer has already fetched is a cache hit and costs nothing. If the origin is busy (429
or 503), the run waits for as long as the origin says and retries. Viewers do not wait with it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from time import perf_counter
from typing import Any

from proxy.access.caller import Caller
from proxy.alternates.offered import Alternates
from proxy.alternates.request import in_form, read_address, retrieval_of
from proxy.codestream.reach import ResolutionTarget, Stop
from proxy.errors import (
    CallerRefused,
    NotAcceptable,
    OriginBusy,
    OriginRefused,
    OtherForm,
    PlanCancelled,
    ProxyError,
)
from proxy.fetch.permits import Permits
from proxy.fetch.retrieve import Retrieval, Retrieve
from proxy.fetch.series import ListedFrames, SeriesFrames
from proxy.fetch.source import FrameSource
from proxy.fetch.turns import Rank, Turn
from proxy.frame.key import FrameKey
from proxy.plan.plan import Fetch, Plan
from proxy.plan.profile import Profile
from proxy.plan.queue import REQUEST_TYPES, StageCount
from proxy.plan.stages import parts_of_frame
from proxy.prefetch.events import Events, StageTimes
from proxy.telemetry.telemetry import Telemetry
from proxy.wire.problem import status_of
from proxy.wire.request import split_url

IN_FLIGHT = 16
"""Most fetches of one run at once. The gate lets fewer of them reach the origin."""
BUSY_TRIES = 5
"""Most retries of a fetch while the origin is busy."""
LONGEST_PAUSE = 60.0
"""Most seconds that a busy origin can make a run wait before one retry."""
MOST_FAILURES = IN_FLIGHT
"""Failures in a row after which a run gives up: as many as it has under way at once."""


class State(StrEnum):
    """The state of a run."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    SPENT = "spent"
    """The run used up its budget of bytes before its plan was done."""
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(slots=True)
class Run:
    """One run of a plan over the frames of a series, on behalf of one caller."""

    id: str
    """Random identifier of the run in the API. It cannot be guessed."""
    number: int
    """Order among runs. The run with the lower number goes first."""
    profile_name: str
    """Name of the profile, for the API and for metrics."""
    profile: Profile
    """The profile that the run carries out."""
    frames: SeriesFrames | ListedFrames
    """The frames of the whole series, or those that the request listed."""
    images: range
    """0-based positions of the frames to fetch, within `frames`."""
    caller: Caller
    """The caller whose credentials the fetches use, until the run ends. It is never shown."""
    retrieve: Retrieve
    """Fetches each frame."""
    alternates: Alternates
    """The alternates that stages can name by path."""
    permits: Permits
    """Lets the caller read what the origin lets it read."""
    telemetry: Telemetry
    """The metrics that the run updates."""
    on_fetched: Callable[[FrameKey, int, bool], None]
    """Called with a key, the bytes prefetched, and True if a viewer has already requested the frame."""
    maker: bytes | None = None
    """Digest of the caller who may look at the run and cancel it. None if nobody may."""
    let_in: Callable[[], Awaitable[object]] | None = None
    """Raises `CallerRefused` if the maker is not let in any more. None for a viewer's run, and at the end."""
    form: str = ""
    """Form of the frames, unless a stage names one in its `urlArguments`."""
    state: State = State.QUEUED
    """The current state."""
    fetched: int = 0
    """Bytes that the run has fetched from the origin."""
    error: str = ""
    """Class name of the last error, and that the run gave up, if it did. Empty if there was none."""
    is_refused: bool = False
    """True if the origin lets the caller read no longer, so that each further fetch would be in vain."""
    plan: Plan = field(init=False)
    """The order of the fetches."""
    times: dict[str, StageTimes] = field(default_factory=dict)
    """Times of each stage, by its id."""
    events: Events = field(default_factory=Events)
    """The events so far."""
    _began: float = 0.0
    _paused_until: float = 0.0
    _failures: int = 0
    _is_learning: bool = False

    def __post_init__(self) -> None:
        served = self.alternates.syntax_of(self.frames.key.origin, self.frames.transfer_syntax)
        self.plan = Plan(self.profile, len(self.images), served or None)
        self._is_learning = isinstance(parts_of_frame(self.profile)[0].stop, ResolutionTarget)
        self.times = {stage.id: StageTimes() for stage in self.profile.stages}

    @property
    def is_over(self) -> bool:
        """True once the run has reached a final state."""
        return self.state in (State.DONE, State.SPENT, State.FAILED, State.CANCELLED)

    async def carry_out(self) -> None:
        """Fetches until the plan is done, the budget is spent, or the run is cancelled.

        A fetch that fails is recorded and does not raise.
        """
        self.state, self._began = State.RUNNING, perf_counter()
        running: set[asyncio.Task[None]] = set()
        try:
            while self.fetched < self.profile.prefetch.budget and not self._is_in_vain:
                while len(running) < self._at_once and (fetch := self.plan.next()) is not None:
                    running.add(asyncio.create_task(self._carry_out(fetch)))
                if not running:
                    break
                _, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            if self._has_given_up and not self.is_refused:
                self.error = f"gave up after {MOST_FAILURES} failures in a row, the last: {self.error}"
            has_failed = self._is_in_vain or (self.error and not self.fetched)
            self.end(State.FAILED if has_failed else State.DONE if self.plan.is_done else State.SPENT)
        finally:
            # If the budget is spent or the run is cancelled, the fetches still in flight end with the run.
            for task in running:
                task.cancel()
            self.end(State.CANCELLED)

    @property
    def _has_given_up(self) -> bool:
        return self._failures >= MOST_FAILURES

    @property
    def _is_in_vain(self) -> bool:
        return self.is_refused or self._has_given_up

    @property
    def _at_once(self) -> int:
        """Fetches that may run at once.

        If the plan asks for a resolution, the first frame is fetched on its own, because it tells the proxy
        where that resolution ends in the others.
        """
        return IN_FLIGHT if self.events.told or not self._is_learning else 1

    def end(self, state: State) -> None:
        """Ends the run in a final state, unless it has already ended. From then on it has no credentials."""
        if self.is_over:
            return
        self.state = state
        self.caller, self.let_in = replace(self.caller, credentials=(), forwarded=()), None
        self.events.record("end", {"state": state.value, "bytes": self.fetched})

    async def _carry_out(self, fetch: Fetch) -> None:
        began = perf_counter()
        stop, is_whole, is_ok = 0, False, True
        try:
            stop, is_whole = await self._fetch(fetch)
        except PlanCancelled:
            is_ok = False
        except ProxyError as error:
            is_ok, self.error = False, type(error).__name__
            is_known = bool(self.caller.identity) or isinstance(error, CallerRefused)
            self.is_refused |= is_known and status_of(error) in (401, 403)
            self._failures += 1
        else:
            self._failures = 0
        told = {
            "stageId": fetch.stage,
            "image": fetch.image + self.images.start,
            "ok": is_ok,
            "whole": is_whole,
            "bytes": stop,
        }
        self.events.record("frame", told | {"ms": round((perf_counter() - began) * 1000, 1)})
        self._note(fetch.stage, self.plan.ended(fetch, is_whole, is_ok))

    async def _fetch(self, fetch: Fetch) -> tuple[int, bool]:
        """Fetches one part of a frame. Returns the offset of its end, and True if the frame is complete."""
        wanted, refused = self._request(fetch), 0
        for attempt in range(BUSY_TRIES + 1):
            await asyncio.sleep(max(0.0, self._paused_until - perf_counter()))
            try:
                fetched = await self._fetch_once(wanted)
            except OriginBusy as error:
                if attempt == BUSY_TRIES:
                    raise
                pause = 2.0**attempt if error.retry_after is None else error.retry_after
                pause = min(pause, LONGEST_PAUSE)
                self._paused_until = max(self._paused_until, perf_counter() + pause)
            except (OriginRefused, OtherForm) as error:
                if not self.alternates.is_made_instead(wanted, error):
                    raise
                wanted, refused = self._request(fetch, is_made=True), error.status
            else:
                self.alternates.learn(wanted, refused)
                return fetched
        raise AssertionError("unreachable")

    async def _fetch_once(self, wanted: Retrieval) -> tuple[int, bool]:
        if self.let_in is not None:
            await self.let_in()
        await self.retrieve.bring(self.caller, wanted.key)
        self.caller = await self.permits.admit(self.caller, wanted.key)
        wanted = wanted.within(self.caller.partition)
        opened, is_cancelled = self.retrieve.open(wanted), False
        try:
            total = (await opened.source.describe()).claim.total
            stop = await _bytes_of(opened.source, wanted.stop, total)
            await opened.source.reached(stop)
        except asyncio.CancelledError:
            is_cancelled = True
            raise
        finally:
            self.retrieve.leave(wanted, opened, is_cancelled=is_cancelled)
        brought, is_used = opened.count(stop)
        if brought:
            self.fetched += brought
            self.telemetry.metrics.prefetched_bytes.labels(self.profile_name).inc(brought)
            self.on_fetched(wanted.key, brought, is_used)
        return stop, stop == total

    def _request(self, fetch: Fetch, *, is_made: bool = False) -> Retrieval:
        """The request that a viewer would send in this stage.

        Raises `NotAcceptable` if the stage asks for a media type that the proxy does not serve itself, and
        `BadResource` if the stage's path or arguments are malformed.
        """
        resource = self.frames.resource(self.images[fetch.image])
        url = f"{resource.path_at(fetch.frames_path or '/frames/')}?{fetch.url_arguments or ''}"
        path, ours, query = split_url(url)
        address = in_form(read_address(path, query, self.alternates), ours.get("accept"), self.form)
        if address is None:
            raise NotAcceptable("urlArguments ask for a media type that only the origin serves")
        stop, kind = fetch.part.stop, REQUEST_TYPES.index(fetch.request_type)
        rank = Rank(Turn.PLAN_FIRST, self.number, kind, fetch.priority)
        return retrieval_of(
            address,
            self.caller,
            self.alternates,
            first=stop,
            stop=stop,
            is_completed=stop is None,
            validators=self.profile.validators,
            planned=rank,
            is_made=is_made,
        )

    def _note(self, stage: str, over: tuple[StageCount, ...]) -> None:
        now = perf_counter() - self._began
        times = self.times[stage]
        times.first_done = now if times.first_done is None else times.first_done
        for count in over:
            self.times[count.stage].last_done = now
            self.events.record("stage", self.stage_event(count))

    def stage_event(self, count: StageCount) -> dict[str, Any]:
        """The fields of the viewer's own stage event. Durations are in milliseconds, None if unknown."""
        times = self.times[count.stage]
        first, last = times.first_done, times.last_done
        return {
            "stageId": count.stage,
            "numberOfFailures": count.failures,
            "numberOfImages": count.images,
            "stageDurationInMS": None if first is None or last is None else round((last - first) * 1000, 1),
            "startDurationInMS": None if last is None else round(last * 1000, 1),
        }


async def _bytes_of(source: FrameSource, stop: Stop | None, total: int) -> int:
    if isinstance(stop, ResolutionTarget):
        return (await source.told(stop)).stop
    return total if stop is None else min(stop, total)
