"""One run of a plan over a series or a study: a few fetches in flight, in the order of the profiles.

    queued ──► running ──► done | spent | failed | cancelled

A run over a series fetches exactly the parts in its profile's plan, in the plan's order. A run over a study
opens its series one after another: it reads the metadata, and chooses a profile for each. The first fetches
of all series come before the rest of any. The gate decides when each fetch starts.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from time import perf_counter
from typing import Any

from proxy.errors import CallerRefused, PlanCancelled, ProxyError
from proxy.fetch.order import DEFAULT_FIRST
from proxy.plan.plan import Fetch
from proxy.plan.study import Depth, SeriesRow
from proxy.prefetch.carrier import Carrier
from proxy.prefetch.events import Events
from proxy.prefetch.part import IN_FLIGHT, MOST_FAILURES, Part
from proxy.wire.problem import status_of

OPENED_AT_ONCE = 4
"""Most series of a study that are opened at once."""


class State(StrEnum):
    """The state of a run."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    SPENT = "spent"
    """The run used up a budget before its plan was done."""
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that a run may fetch from the origin; None is no limit."""

    bytes: int | None = None
    """Bytes."""
    requests: int | None = None
    """Fetches and resources."""


NO_LIMIT = Budget()
"""The budget of a run that has only those of its series."""


@dataclass(slots=True)
class Unopened:
    """The series of a study that a run has not opened yet, and how it opens them."""

    rows: deque[SeriesRow]
    """The series that nobody has begun to open, in order."""
    open: Callable[[Carrier, SeriesRow], Awaitable[Part | None]]
    """Opens a series; returns None if only its metadata is wanted. Raises `ProxyError`."""
    depth: Depth = "all"
    """How much is fetched of each series."""
    form: str = ""
    """Form of the frames, unless a stage names one."""
    order: list[str] = field(init=False)
    """SeriesInstanceUIDs of all series, in order."""
    pending: set[str] = field(init=False)
    """Those that are not open."""

    def __post_init__(self) -> None:
        self.order = [row.uid for row in self.rows]
        self.pending = set(self.order)

    @property
    def may_open(self) -> bool:
        """True if another series may be opened now."""
        return bool(self.rows) and len(self.pending) - len(self.rows) < OPENED_AT_ONCE

    def put_first(self, series: str) -> bool:
        """This series goes before the others. Returns False if nothing has changed."""
        if series not in self.order[1:]:
            return False
        self.order.sort(key=lambda uid: uid != series)
        self.rows = deque(sorted(self.rows, key=lambda row: row.uid != series))
        return True

    def place(self, part: Part) -> int:
        """The place of an open series in the order."""
        return self.order.index(part.frames.key.series)

    def ready(self, parts: list[Part]) -> list[Part]:
        """The open series that no series goes before that is yet to be opened."""
        if not self.pending:
            return parts
        first = next(place for place, uid in enumerate(self.order) if uid in self.pending)
        behind = {*self.order[first:]}
        return [part for part in parts if part.frames.key.series not in behind]


@dataclass(slots=True, eq=False)
class Run:
    """One run, on behalf of one caller."""

    id: str
    """Random identifier of the run in the API. It cannot be guessed."""
    profile_name: str
    """Name of the profile, for the API and for metrics; for a study that of the request, or the default."""
    carrier: Carrier
    """Fetches for the caller."""
    study: tuple[str, str]
    """Name of the origin, and StudyInstanceUID."""
    parts: list[Part]
    """The series that are open."""
    unopened: Unopened | None = None
    """The other series of the study; None if the run is about one series."""
    budget: Budget = NO_LIMIT
    """The most that the run may fetch, beside the budget of each series."""
    maker: bytes | None = None
    """Digest of the caller who may look at the run and cancel it. None if nobody may."""
    state: State = State.QUEUED
    """The current state."""
    error: str = ""
    """Class name of the last error, and that the run gave up, if it did. Empty if there was none."""
    is_refused: bool = False
    """True if the origin lets the caller read no longer, so that each further fetch would be in vain."""
    events: Events = field(default_factory=Events)
    """The events so far."""
    _began: float = 0.0
    _running: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def is_over(self) -> bool:
        """True once the run has reached a final state."""
        return self.state in (State.DONE, State.SPENT, State.FAILED, State.CANCELLED)

    @property
    def fetched(self) -> int:
        """Bytes that the run has fetched from the origin."""
        return self.carrier.fetched

    @property
    def size(self) -> int:
        """Number of frames of the series that are open."""
        return sum(len(part.images) for part in self.parts)

    @property
    def series(self) -> str:
        """SeriesInstanceUID if the run is about one series; empty if it is about a study."""
        return self.parts[0].frames.key.series if self.unopened is None else ""

    def put_first(self, series: str) -> None:
        """A viewer has opened a series of the study, so it goes before the others."""
        if self.unopened is not None and self.unopened.put_first(series):
            self.parts.sort(key=self.unopened.place)

    async def carry_out(self) -> None:
        """Fetches until the plan is done, the budget is spent, or the run is cancelled.

        A fetch that fails is recorded and does not raise.
        """
        self.state, self._began = State.RUNNING, perf_counter()
        running = self._running
        try:
            while not (self._is_spent or self._is_in_vain):
                while self._has_room and (work := self._next()) is not None:
                    running.add(asyncio.create_task(work))
                if not running:
                    break
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                running -= done
            self.end(self._final())
        finally:
            # If the budget is spent or the run is cancelled, the fetches still in flight end with the run.
            for task in running:
                task.cancel()
            running.clear()  # they hold the credentials
            self.end(State.CANCELLED)

    def end(self, state: State) -> None:
        """Ends the run in a final state, unless it has already ended. From then on it has no credentials."""
        if self.is_over:
            return
        self.state = state
        self.carrier.forget()
        self.events.record("end", {"state": state.value, "bytes": self.fetched})

    @property
    def _is_spent(self) -> bool:
        most = self.budget
        is_over = most.bytes is not None and self.fetched >= most.bytes
        is_over |= most.requests is not None and self.carrier.requests >= most.requests
        return is_over or (self.unopened is None and all(part.is_spent for part in self.parts))

    @property
    def _is_in_vain(self) -> bool:
        return self.is_refused or (self.unopened is None and self.parts[0].is_given_up)

    @property
    def _has_room(self) -> bool:
        """True if another fetch may run. Near the end of the budget few may, so it is hardly exceeded."""
        at_once, most, under_way = IN_FLIGHT, self.budget, len(self._running)
        if most.requests is not None:
            at_once = min(at_once, most.requests - self.carrier.requests)
        if most.bytes is not None:
            expected = max(DEFAULT_FIRST, self.carrier.longest)
            at_once = min(at_once, max(1, (most.bytes - self.fetched) // expected))
        return under_way < at_once

    def _final(self) -> State:
        """The state in which the run ends by itself."""
        given_up = any(part.is_given_up for part in self.parts)
        if given_up and not self.is_refused:
            self.error = f"gave up after {MOST_FAILURES} failures in a row, the last: {self.error}"
        if self._is_in_vain or (self.error and not self.fetched):
            return State.FAILED
        return State.DONE if self._is_done else State.SPENT

    @property
    def _is_done(self) -> bool:
        others = self.unopened
        if others is not None and others.pending:
            return False
        if others is not None and others.depth != "all":
            return not (self._running or self._is_spent or any(part.is_spent for part in self.parts))
        return all(part.plan.is_done or part.is_given_up for part in self.parts)

    def _next(self) -> Coroutine[Any, Any, None] | None:
        """The next thing to do; None if something else has to end first."""
        others = self.unopened
        if others is None:
            return self._first_of(self.parts, Part.next)
        if others.may_open:
            return self._open(others, others.rows.popleft())
        if others.depth not in ("first", "all"):
            return None
        head = self._first_of(others.ready(self.parts), Part.next_head)
        if head is not None or others.pending or others.depth == "first":
            return head
        return self._first_of(self.parts, Part.next)

    def _first_of(
        self, parts: Iterable[Part], next_of: Callable[[Part], Fetch | None]
    ) -> Coroutine[Any, Any, None] | None:
        for part in parts:
            if part.has_room and (fetch := next_of(part)) is not None:
                return self._carry_out(part, fetch)
        return None

    async def _open(self, others: Unopened, row: SeriesRow) -> None:
        try:
            part = await others.open(self.carrier, row)
            if part is not None:
                self.parts.append(part)
                self.parts.sort(key=others.place)
            told = {"ok": True, "images": 0 if part is None else len(part.images)}
        except ProxyError as error:
            self._failed(error)
            told = {"ok": False, "images": 0}
        finally:
            others.pending.discard(row.uid)
        self.events.record("series", {"series": row.uid} | told)

    def _failed(self, error: ProxyError) -> None:
        self.error = type(error).__name__
        is_known = bool(self.carrier.caller.identity) or isinstance(error, CallerRefused)
        self.is_refused |= is_known and status_of(error) in (401, 403)

    async def _carry_out(self, part: Part, fetch: Fetch) -> None:
        began = perf_counter()
        stop, is_whole, is_ok, is_failed = 0, False, True, False
        try:
            stop, is_whole = await self.carrier.fetch(part, fetch)
        except PlanCancelled:
            is_ok = False
        except ProxyError as error:
            is_ok, is_failed = False, True
            self._failed(error)
        part.ended(is_ok=not is_failed)
        told = self._of(part) | {
            "stageId": fetch.stage,
            "image": fetch.image + part.images.start,
            "ok": is_ok,
            "whole": is_whole,
            "bytes": stop,
        }
        self.events.record("frame", told | {"ms": round((perf_counter() - began) * 1000, 1)})
        over = part.plan.ended(fetch, is_whole, is_ok)
        part.note(fetch.stage, over, perf_counter() - self._began)
        for count in over:
            self.events.record("stage", self._of(part) | part.stage_event(count))

    def _of(self, part: Part) -> dict[str, Any]:
        """The series of an event, if the run has several."""
        return {} if self.unopened is None else {"series": part.frames.key.series}
