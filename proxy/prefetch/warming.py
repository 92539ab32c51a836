"""Fetches studies before anybody asks: those that a search finds, and earlier ones of the same patients.

    idle ──► running ──► done | spent | failed | cancelled ──► running …

Each study is one plan (`proxy.prefetch.studies`), behind all other plans. So a viewer goes before it at the
gate, and what is held already costs the origin nothing: if the proxy is killed, the next time goes on where
this one ended. A study that was fetched is left out until it has changed, or the caches have let it go.

If the origin is busy (429 or 503), the plan waits as long as the origin says. If the origin stays busy, or
fails for several studies in a row, it is left alone until the next time.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic
from urllib.parse import urlencode

from proxy.access.caller import Caller
from proxy.cache.kept import Kept, Ledger
from proxy.errors import OriginBusy, ProxyError, ShuttingDown, UnknownName
from proxy.fetch.ahead import JSON, Ahead
from proxy.fetch.reading import ResourceRequest
from proxy.fetch.tasks import Tasks
from proxy.plan.dates import absolute, next_time
from proxy.plan.study import StudyRow, in_order, priors_of, study_row
from proxy.prefetch.carrier import Carrier
from proxy.prefetch.plans import Plans
from proxy.prefetch.run import Budget, Run, State
from proxy.prefetch.studies import StudyPlans, Wish
from proxy.prefetch.warm import COUNTS, Pairs, Progress, Warm
from proxy.telemetry.warmed import Warmed
from proxy.wire.dicomweb import Kind, StudyResource

BEHIND = 1
"""Number of the plans here. All others have a lower one, and go first."""
LONGEST_PAUSE = 3600.0
"""Most seconds that a busy origin can make a plan wait before one retry."""
MOST_PRIORS = 100
"""Most studies of one patient that the origin is asked for."""
MOST_FAILED = 10
"""Studies in a row that fail before the rest is left for the next time."""
MOST_KEPT = 65536
"""Most studies that are remembered as fetched."""

BUSY = OriginBusy.__name__
_log = logging.getLogger(__name__)


class Warming:
    """Carries out what is to be warmed, at its times or on request."""

    def __init__(
        self,
        warms: Sequence[Warm],
        plans: Plans,
        studies: StudyPlans,
        ahead: Ahead,
        ledger: Ledger,
        kept_for: float,
        metrics: Warmed,
        clock: Callable[[], float] = monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC).astimezone(),
    ) -> None:
        """`kept_for` are the seconds for which the caches hold a frame."""
        self._warms = {warm.name: warm for warm in warms}
        self._plans = plans
        self._studies = studies
        self._ahead = ahead
        self._kept_for = kept_for
        self._metrics = metrics
        for name in self._warms:
            metrics.start_at_zero(name)
        self._clock = clock
        self._now = now
        self._fetched: Kept[tuple[str, str], tuple[float, int]] = Kept(ledger, MOST_KEPT)
        """By origin and study, until when what was fetched counts, and a hash of what the study was then."""
        self.progress = {name: Progress() for name in self._warms}
        """How far each has come."""
        self.next: dict[str, datetime] = {}
        """When each begins next, if that is known."""
        self.owns: Callable[[str], bool] = lambda _: True
        """True if a study is for this process; others have the rest of them."""
        self.is_held = False
        """True if nothing begins by itself yet."""
        self.tasks: Tasks[str] = Tasks()
        self._over: dict[str, asyncio.Event] = {}

    def start(self, names: Iterable[str] = ()) -> None:
        """Begins those with these names, or all of them, unless they run.

        Raises `UnknownName`, `ShuttingDown`.
        """
        chosen = tuple(names) or tuple(self._warms)
        for name in chosen:
            if name not in self._warms:
                raise UnknownName(f"warm has no such name, only {', '.join(self._warms) or 'none'}")
        for name in chosen:
            self._begin(self._warms[name])

    def cancel(self) -> None:
        """Cancels those that run. The caches keep the frames that they have."""
        for name in self._warms:
            self.tasks.cancel(name)

    def keep_time(self) -> None:
        """Begins each at its times from now on, unless it is held."""
        for warm in () if self.is_held else self._warms.values():
            if warm.every is not None or warm.cron is not None:
                self.tasks.start(f"times of {warm.name}", self._at_its_times(warm))

    async def _at_its_times(self, warm: Warm) -> None:
        begins = self._now()
        while not self.tasks.is_closing:
            if warm.cron is not None:
                begins = next_time(warm.cron, self._now())
            self.next[warm.name] = begins
            await asyncio.sleep(max(0.0, (begins - self._now()).total_seconds()))
            with suppress(ShuttingDown):
                await self._begin(warm).wait()
            begins = self._now() + timedelta(seconds=warm.every or 0.0)

    def _begin(self, warm: Warm) -> asyncio.Event:
        """Begins one, unless it runs. Returns what is set at its end. Raises `ShuttingDown`."""
        if self.progress[warm.name].is_running:
            return self._over[warm.name]
        progress, over = Progress(State.RUNNING, began=self._now()), asyncio.Event()

        def end() -> None:
            if progress.is_running:
                progress.state = State.CANCELLED
            progress.ended = self._now()
            self._metrics.end(warm.name, progress.state, progress.failed)
            over.set()
            counts = {name: getattr(progress, name) for name in COUNTS}
            _log.info("warmed", extra={"warm": warm.name, "state": str(progress.state)} | counts)

        self.tasks.start(warm.name, self._carry_out(warm, progress), end)
        self._metrics.running.labels(warm.name).set(1)
        self.progress[warm.name], self._over[warm.name] = progress, over
        return over

    async def _carry_out(self, warm: Warm, progress: Progress) -> None:
        try:
            progress.state = await self._warmed(warm, progress)
        except ShuttingDown:
            pass  # it is cancelled
        except ProxyError as error:
            progress.state, progress.error = State.FAILED, type(error).__name__
        except Exception:  # an uncaught exception would cancel the others
            _log.exception("studies could not be warmed because of a bug in the proxy")
            progress.state, progress.error = State.FAILED, "InternalFault"

    async def _warmed(self, warm: Warm, progress: Progress) -> State:
        caller, today = await warm.caller(), self._now().date()
        query = tuple((name, absolute(value, today)) for name, value in warm.search)
        found = (await self._search(caller, query, warm.studies))[: warm.studies]
        known = {row.uid for row in found}
        fault = await self._fetch_all(found, warm, caller, progress)
        since = absolute(f"today-{warm.prior_days}..today", today)
        for patient in dict.fromkeys(row.patient for row in found if row.patient) if warm.priors else ():
            if fault is not None:
                break
            theirs = await self._search(caller, (("PatientID", patient), ("StudyDate", since)), MOST_PRIORS)
            priors = priors_of(theirs, known, warm.priors)
            known |= {row.uid for row in priors}
            fault = await self._fetch_all(priors, warm, caller, progress)
        return fault or State.DONE

    async def _search(self, caller: Caller, query: Pairs, most: int) -> list[StudyRow]:
        given = {name for name, _ in query}
        limited = query if "limit" in given else (*query, ("limit", str(most)))
        asked = ResourceRequest(StudyResource(Kind.SEARCH), f"studies?{urlencode(limited)}", JSON)
        read = partial(self._ahead.rows, caller, asked, study_row, BEHIND)
        return await self._carrier(caller).patiently(read)

    def _carrier(self, caller: Caller) -> Carrier:
        carrier = self._plans.carrier(caller, BEHIND)
        carrier.longest_pause = LONGEST_PAUSE
        return carrier

    async def _fetch_all(
        self, rows: Iterable[StudyRow], warm: Warm, caller: Caller, progress: Progress
    ) -> State | None:
        """Fetches studies one after another. Returns why no more should be fetched; None if they may."""
        own = [row for row in rows if self.owns(row.uid)]
        progress.studies += len(own)
        in_a_row = 0
        for row in own:
            budget = progress.left_of(warm.budget)
            if budget is None:
                return State.SPENT
            state = await self._fetch(row, warm, caller, progress, budget)
            in_a_row = in_a_row + 1 if state is State.FAILED else 0
            if in_a_row >= MOST_FAILED or (state is State.FAILED and progress.error.endswith(BUSY)):
                return State.FAILED
        return None if progress.left_of(warm.budget) is not None else State.SPENT

    async def _fetch(
        self, row: StudyRow, warm: Warm, caller: Caller, progress: Progress, budget: Budget
    ) -> State:
        wish = Wish(row.uid, warm.profile, warm.depth, budget, frames=warm.form)
        studies = self._metrics.studies
        try:
            search = partial(self._studies.series, caller, wish, BEHIND)
            series = in_order(await self._carrier(caller).patiently(search))
            key, what = (warm.origin, row.uid), hash((row, *series, warm.depth, warm.profile, warm.form))
            until, before = self._fetched.get(key) or (0.0, 0)
            if before == what and self._clock() < until:
                progress.skipped += 1
                studies.labels(warm.name, "skipped").inc()
                return State.DONE
            run = self._studies.start(series, caller, wish, BEHIND)
            await self._followed(run, warm, progress)
        except ShuttingDown:
            raise
        except ProxyError as error:
            progress.error = type(error).__name__
            progress.failed += 1
            studies.labels(warm.name, "failed").inc()
            return State.FAILED
        is_done = run.state is State.DONE or any(part.is_spent for part in run.parts)
        if run.error:
            progress.error = run.error
            progress.failed += 1
            studies.labels(warm.name, "failed").inc()
        elif is_done:
            progress.done += 1
            studies.labels(warm.name, "done").inc()
            self._fetched.put(key, (self._clock() + self._kept_for, what))
        is_in_vain = run.error and (run.error.endswith(BUSY) or not any(part.fetched for part in run.parts))
        return State.FAILED if is_in_vain else run.state

    async def _followed(self, run: Run, warm: Warm, progress: Progress) -> None:
        """Waits for the end of a plan, and cancels it if nobody waits any more."""
        run.carrier.longest_pause, progress.run = LONGEST_PAUSE, run
        try:
            while not run.is_over:
                await run.events.next()
        finally:
            self._plans.cancel(run)  # no effect if it has ended
            progress.run = None
            progress.fetched += run.fetched
            progress.requests += run.carrier.requests
            self._metrics.bytes.labels(warm.name).inc(run.fetched)
            self._metrics.requests.labels(warm.name).inc(run.carrier.requests)
