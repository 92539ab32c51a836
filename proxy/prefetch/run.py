"""One plan, carried out: a few fetches in flight, each through the path of every frame.

    queued ──► running ──► done | spent | failed | cancelled

A run asks for no more than its profile's plan says, in the plan's order; the gate decides when. What a
viewer already had fetched is a hit and costs nothing. Where the origin is busy (429, 503) the run
waits as it was told, and asks again; viewers do not wait with it.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from time import perf_counter
from typing import Any

from proxy.access.caller import Caller
from proxy.alternates.offered import Alternates
from proxy.alternates.request import read_address, retrieval_of
from proxy.codestream.reach import ResolutionTarget, Stop
from proxy.errors import NotAcceptable, OriginBusy, OriginRefused, PlanCancelled, ProxyError
from proxy.fetch.retrieve import Retrieval, Retrieve
from proxy.fetch.series import ListedFrames, SeriesFrames
from proxy.fetch.source import FrameSource
from proxy.fetch.turns import Rank, Turn
from proxy.frame.key import FrameKey
from proxy.plan.plan import Fetch, Plan
from proxy.plan.profile import Profile
from proxy.plan.queue import REQUEST_TYPES, StageCount
from proxy.plan.stages import parts_of_frame
from proxy.telemetry.telemetry import Telemetry
from proxy.wire.media import wanted_envelope
from proxy.wire.request import split_url

IN_FLIGHT = 16
"""Fetches of one run at once; the gate lets fewer through."""
BUSY_TRIES = 5
"""Times that a fetch is asked again where the origin is busy."""
LONGEST_PAUSE = 60.0
"""Seconds that an origin can make a run wait at a time."""
KEPT_EVENTS = 1000
"""Of a run; who comes late gets the last ones."""


class State(StrEnum):
    """How far a run is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    SPENT = "spent"
    """Its budget was spent before its plan was done."""
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(slots=True)
class StageTimes:
    """When a stage began and ended, in seconds from the start of the run."""

    first_done: float | None = None
    """Its first image was done."""
    last_done: float | None = None
    """Its last image was done or skipped."""


@dataclass(slots=True)
class Run:
    """One plan over the frames of a series, for one credential."""

    id: str
    """Names it in the API; can't be guessed."""
    number: int
    """Of two runs the one with the lower number goes first."""
    profile_name: str
    """For people and metrics."""
    profile: Profile
    """What it carries out."""
    frames: SeriesFrames | ListedFrames
    """The whole series, or what was named of it."""
    images: range
    """The places of the series that it is about."""
    caller: Caller
    """For whom it fetches; never shown."""
    retrieve: Retrieve
    """The path of each frame."""
    alternates: Alternates
    """Those that stages may name by their path."""
    telemetry: Telemetry
    """What is counted."""
    on_fetched: Callable[[FrameKey, int, bool], None]
    """Hears of bytes that were fetched ahead, and whether a viewer came for them already."""
    state: State = State.QUEUED
    """How far it is."""
    fetched: int = 0
    """Bytes that it brought from the origin."""
    error: str = ""
    """Why it failed."""
    plan: Plan = field(init=False)
    """What comes next."""
    times: dict[str, StageTimes] = field(default_factory=dict)
    """By stage."""
    events: deque[tuple[int, str, dict[str, Any]]] = field(default_factory=lambda: deque(maxlen=KEPT_EVENTS))
    """Number, name and fields of what happened."""
    _began: float = 0.0
    _paused_until: float = 0.0
    _happened: asyncio.Event = field(default_factory=asyncio.Event)
    _told: int = 0
    _is_learning: bool = False

    def __post_init__(self) -> None:
        self.plan = Plan(self.profile, len(self.images), self.frames.transfer_syntax or None)
        self._is_learning = isinstance(parts_of_frame(self.profile)[0].stop, ResolutionTarget)
        self.times = {stage.id: StageTimes() for stage in self.profile.stages}

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in (State.DONE, State.SPENT, State.FAILED, State.CANCELLED)

    async def carry_out(self) -> None:
        """Until all is fetched, the budget is spent, or it is cancelled. Raises nothing of its own."""
        self.state, self._began = State.RUNNING, perf_counter()
        running: set[asyncio.Task[None]] = set()
        try:
            while self.fetched < self.profile.prefetch.budget:
                while len(running) < self._at_once and (fetch := self.plan.next()) is not None:
                    running.add(asyncio.create_task(self._carry_out(fetch)))
                if not running:
                    break
                _, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            has_failed = self.error and not self.fetched
            self.end(State.FAILED if has_failed else State.DONE if self.plan.is_done else State.SPENT)
        finally:
            # Whatever runs still, for the budget is spent or it was cancelled, ends with it.
            for task in running:
                task.cancel()
            self.end(State.CANCELLED)

    @property
    def _at_once(self) -> int:
        """One, where its resolutions end at bytes that the first frame teaches the others; else all."""
        return IN_FLIGHT if self._told or not self._is_learning else 1

    def end(self, state: State) -> None:
        """Ends it so, unless it has ended."""
        if self.is_over:
            return
        self.state = state
        self._record("end", {"state": state.value, "bytes": self.fetched})

    async def _carry_out(self, fetch: Fetch) -> None:
        began = perf_counter()
        stop, is_whole, is_ok = 0, False, True
        try:
            stop, is_whole = await self._fetch(fetch)
        except PlanCancelled:
            is_ok = False
        except ProxyError as error:
            is_ok, self.error = False, type(error).__name__
        told = {
            "stageId": fetch.stage,
            "image": fetch.image + self.images.start,
            "ok": is_ok,
            "whole": is_whole,
            "bytes": stop,
        }
        self._record("frame", told | {"ms": round((perf_counter() - began) * 1000, 1)})
        self._note(fetch.stage, self.plan.ended(fetch, is_whole, is_ok))

    async def _fetch(self, fetch: Fetch) -> tuple[int, bool]:
        """Brings one part: up to which byte, and whether the frame is whole with it."""
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
            except OriginRefused as error:
                if not self.alternates.is_made_instead(wanted, error):
                    raise
                wanted, refused = self._request(fetch, is_made=True), error.status
            else:
                self.alternates.learn(wanted, refused)
                return fetched
        raise AssertionError("unreachable")

    async def _fetch_once(self, wanted: Retrieval) -> tuple[int, bool]:
        opened = self.retrieve.open(wanted)
        is_cancelled = False
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
        """What a viewer would ask for in this stage. Raises `NotAcceptable`, `BadResource`."""
        resource = self.frames.resource(self.images[fetch.image])
        url = f"{resource.path_at(fetch.frames_path or '/frames/')}?{fetch.url_arguments or ''}"
        path, ours, query = split_url(url)
        address = read_address(path, query, self.alternates)
        if address is None or wanted_envelope(ours.get("accept"), address.media) is None:
            raise NotAcceptable("urlArguments: a media type that viewers get from the origin itself")
        stop = fetch.part.stop
        return retrieval_of(
            address,
            self.caller,
            self.alternates,
            first=stop,
            stop=stop,
            is_completed=stop is None,
            validators=self.profile.validators,
            planned=Rank(
                Turn.PLAN_FIRST, self.number, REQUEST_TYPES.index(fetch.request_type), fetch.priority
            ),
            is_made=is_made,
        )

    def _note(self, stage: str, over: tuple[StageCount, ...]) -> None:
        now = perf_counter() - self._began
        times = self.times[stage]
        times.first_done = now if times.first_done is None else times.first_done
        for count in over:
            self.times[count.stage].last_done = now
            self._record("stage", self.stage_event(count))

    def stage_event(self, count: StageCount) -> dict[str, Any]:
        """A stage as a viewer's own stage event tells it; durations in milliseconds, None where unknown."""
        times = self.times[count.stage]
        first, last = times.first_done, times.last_done
        return {
            "stageId": count.stage,
            "numberOfFailures": count.failures,
            "numberOfImages": count.images,
            "stageDurationInMS": None if first is None or last is None else round((last - first) * 1000, 1),
            "startDurationInMS": None if last is None else round(last * 1000, 1),
        }

    def _record(self, name: str, fields: dict[str, Any]) -> None:
        self._told += 1
        self.events.append((self._told, name, fields))
        happened, self._happened = self._happened, asyncio.Event()
        happened.set()

    async def next_event(self) -> None:
        """Returns at the next event."""
        await self._happened.wait()


async def _bytes_of(source: FrameSource, stop: Stop | None, total: int) -> int:
    if isinstance(stop, ResolutionTarget):
        return (await source.told(stop)).stop
    return total if stop is None else min(stop, total)
