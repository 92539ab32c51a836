"""All plans: those started over the admin API, and those that a viewer's request triggers.

The `prefetch` section of a profile sets the trigger for a series: a viewer's first request for one of its
frames, or for its metadata. When two series are open, the more recent one is prefetched first, so a viewer
that switches to another series does not wait for the old one. If the profile has a window, the plan is
rebuilt when the viewer has moved on in the series.
"""

import logging
import secrets
from collections.abc import Awaitable, Callable, Iterator

from proxy.access.caller import Caller
from proxy.access.proofs import is_of_caller
from proxy.alternates.offered import Alternates
from proxy.cache.kept import Kept, Ledger
from proxy.errors import OriginRefused, ProxyError, ServiceFull, ShuttingDown, TooMany, UnknownName
from proxy.fetch.ahead import Ahead
from proxy.fetch.permits import Permits
from proxy.fetch.retrieve import Retrieve
from proxy.fetch.series import ListedFrames, SeriesFrames, SeriesLists
from proxy.fetch.tasks import Tasks
from proxy.frame.key import FrameKey, SeriesKey
from proxy.frame.scope import FrameScope
from proxy.plan.choice import CurrentChoice
from proxy.plan.profile import Prefetch
from proxy.prefetch.carrier import Carrier, Means
from proxy.prefetch.places import PlanPlaces
from proxy.prefetch.run import Run, State
from proxy.prefetch.window import has_moved, window_around
from proxy.telemetry.telemetry import Telemetry
from proxy.wire.resource import FrameResource

MOST_KEPT = 256
"""Most plans that the API can report on. The oldest one that has ended is dropped first."""
MOST_KEPT_FRAMES = 100_000  # of ended plans; each takes some 350 bytes
MOST_UNUSED = 65536
"""Most prefetched frames that are remembered as not yet requested by a viewer."""

_log = logging.getLogger(__name__)

_Place = tuple[SeriesKey, str]
"""A series, and the form in which its frames are read."""


class Plans:
    """The table of runs. It lives as long as the app."""

    def __init__(
        self,
        retrieve: Retrieve,
        ahead: Ahead,
        lists: SeriesLists,
        chosen: CurrentChoice,
        alternates: Alternates,
        permits: Permits,
        places: PlanPlaces,
        telemetry: Telemetry,
        ledger: Ledger,
    ) -> None:
        self.chosen = chosen
        self.places = places
        self._means = Means(retrieve, ahead, alternates, permits, telemetry, self._remember)
        self._lists = lists
        self.permits = permits
        self._metrics = telemetry.metrics
        self._runs: dict[str, Run] = {}
        self._of_studies: dict[tuple[str, str], list[Run]] = {}
        """Runs that are under way, by origin and study."""
        self.tasks: Tasks[str] = Tasks()
        self._set_off: dict[_Place, Run | None] = {}
        self._unused: Kept[FrameKey, tuple[str, int]] = Kept(ledger, MOST_UNUSED)
        self._latest = 0
        self.most_kept_frames = MOST_KEPT_FRAMES

    def get(self, name: str, who: bytes) -> Run:
        """The plan that a caller made, by its id. Raises `UnknownName` if the caller made none of that id."""
        run = self._runs.get(name)
        if run is None or run.maker != who:
            raise UnknownName("no plan has that id")
        return run

    def __iter__(self) -> Iterator[Run]:
        """All plans that are kept, oldest first. The table may change meanwhile."""
        return iter(tuple(self._runs.values()))

    def end(self, name: str) -> Run:
        """Cancels a plan of any caller. Raises `UnknownName` if it does not run."""
        run = self._runs.get(name)
        if run is None or run.is_over:
            raise UnknownName("no plan that runs has that id")
        self.cancel(run)
        return run

    def check(self, caller: Caller) -> None:
        """Raises `TooMany` or `ServiceFull` if the caller can start no plan now."""
        self.places.check(caller.person)

    async def series(self, key: SeriesKey, caller: Caller) -> SeriesFrames:
        """The frames of a series, as the caller may read them. Raises `OriginError`."""
        may_share = self.permits.knows(caller, key.study)
        return await self._lists.get(key, caller.credentials, caller.identity, may_share=may_share)

    async def admit(self, frames: SeriesFrames | ListedFrames, caller: Caller) -> Caller:
        """The caller as it may read the first of these frames. Raises `OriginError`."""
        key = FrameKey(caller.origin, caller.partition, frames.resource(0))
        try:
            return await self.permits.admit(caller, key, is_asked_first=True)
        except OriginRefused as error:
            if is_of_caller(error.status):
                raise
        return caller  # each fetch asks for itself

    def start(
        self,
        frames: SeriesFrames | ListedFrames,
        caller: Caller,
        profile: str,
        images: range | None = None,
        number: int = 0,
        maker: bytes | None = None,
        let_in: Callable[[], Awaitable[object]] | None = None,
        form: str = "",
    ) -> Run:
        """Starts a plan. Only its `maker` may look at it; None is nobody. `let_in` asks if it still gets in.

        `images` are 0-based positions in the series, None for all of it. Runs with a lower `number` go first.
        Raises `UnknownName` if there is no such profile, `ConfigurationError` if it does not fit the series,
        `TooMany` or `ServiceFull` if a bound is reached, and `ShuttingDown`.
        """
        images = range(len(frames)) if images is None else images
        carrier = self.carrier(caller, number, let_in)
        part = carrier.part(profile, self.chosen.now.profile(profile), frames, images, form)
        study = frames.key.origin, frames.key.study
        return self.begin(Run(secrets.token_urlsafe(12), profile, carrier, study, [part], maker=maker))

    def carrier(
        self, caller: Caller, number: int = 0, let_in: Callable[[], Awaitable[object]] | None = None
    ) -> Carrier:
        """Fetches for a caller. See `start`."""
        return Carrier(self._means, number, caller, let_in)

    def begin(self, run: Run) -> Run:
        """Begins a run. Raises `TooMany`, `ServiceFull`, `ShuttingDown`."""
        person = run.carrier.caller.person
        self.places.take(person, run.size)
        try:
            self.tasks.start(run.id, self._carry_out(run), lambda: self._end(run))
        except ShuttingDown:
            self.places.give_back(person, run.size)
            raise
        self._runs[run.id] = run
        self._of_studies.setdefault(run.study, []).append(run)
        self._forget_old()
        return run

    async def _carry_out(self, run: Run) -> None:
        try:
            await run.carry_out()
        except Exception:
            _log.exception("a plan failed because of a bug in the proxy")
            run.end(State.FAILED)

    def _end(self, run: Run) -> None:
        run.end(State.CANCELLED)  # no effect if the run has already ended
        self.places.give_back(run.carrier.caller.person, run.size)
        self._of_studies[run.study].remove(run)
        if not self._of_studies[run.study]:
            del self._of_studies[run.study]
        if run.maker is None and run.unopened is not None:
            self._runs.pop(run.id, None)  # many studies may be warmed, and nobody looks at their plans
        self._metrics.plans.labels(run.profile_name, run.state.value).inc()

    def cancel(self, run: Run) -> None:
        """Cancels a plan, and its fetches that nothing else reads."""
        self.tasks.cancel(run.id)

    def viewed(self, key: FrameKey, caller: Caller, profile: str, *, is_missed: bool) -> None:
        """Records that a viewer requested a frame, and starts the plan of its series if the profile says so.

        `is_missed` says that the cache held nothing of the frame and no fetch of it was in progress.
        """
        self._count_used(key)
        self.put_first(key.origin, key.resource.study, key.resource.series)
        prefetch = self.chosen.now.profile(profile).prefetch
        place = key.series, key.form
        # Metadata sets off the plan for HTJ2K. Only a frame shows that another form is read.
        is_trigger = prefetch.trigger == "first-frame" or bool(key.form) or place in self._set_off
        if prefetch.trigger == "none" or key.query or not is_trigger:
            return
        run = self._set_off.get(place)
        is_evicted = is_missed and run is not None and run.is_over and run.carrier.number != -self._latest
        if is_evicted or (run is not None and run.is_refused):
            # The viewer is back from a newer series that evicted this one, or the maker may read no longer.
            del self._set_off[place]
        self.set_off(place, caller, profile, key.resource)

    def put_first(self, origin: str, study: str, series: str) -> None:
        """A viewer has opened a series, so plans of its study fetch it before the others."""
        for run in self._of_studies.get((origin, study), ()):
            run.put_first(series)

    def viewed_again(self, key: FrameKey, profile: str) -> bool:
        """Records a request for a frame that is held. Returns False instead if it may move a plan."""
        prefetch = self.chosen.now.profile(profile).prefetch
        if prefetch.trigger != "none" and not key.query and self._may_move(key, prefetch):
            return False
        self._count_used(key)
        return True

    def _may_move(self, key: FrameKey, prefetch: Prefetch) -> bool:
        """True if a request for a frame that is held may start the plan of its series, or move it."""
        place = key.series, key.form
        if place not in self._set_off:
            return prefetch.trigger == "first-frame" or bool(key.form)
        run = self._set_off[place]
        return prefetch.window is not None or (run is not None and run.is_refused)

    def metadata_read(self, key: SeriesKey, caller: Caller) -> None:
        """Records that a viewer read a series' metadata, and starts its plan if the profile says so."""
        choice = self.chosen.now
        facts = self._lists.facts(key, caller.credentials, caller.identity) if choice.needs_facts else None
        profile = choice.choose(None, key.origin, facts)
        if choice.profile(profile).prefetch.trigger == "metadata":
            self.set_off((key, ""), caller, profile, None)

    def set_off(self, key: _Place, caller: Caller, profile: str, last: FrameResource | None) -> None:
        """Starts the plan of a series, or moves its window around `last`. Errors are logged, never raised."""
        window = self.chosen.now.profile(profile).prefetch.window
        if self.tasks.is_closing or (key in self._set_off and (window is None or last is None)):
            return
        if key not in self._set_off:
            if self._lists.is_busy:
                return  # the next frame sets it off
            self.next_number()
            self._set_off[key] = None
            while len(self._set_off) > MOST_KEPT:
                self._set_off.pop(next(iter(self._set_off)))
        elif self._set_off[key] is None:
            return  # its list of frames is being fetched
        later = self._set_off_later(key, caller, profile, last, -self._latest)
        self.tasks.start(secrets.token_urlsafe(12), later)

    def next_number(self) -> int:
        """The number of a plan that a viewer's request sets off: the latest one goes first."""
        self._latest += 1
        return -self._latest

    async def _set_off_later(
        self, key: _Place, caller: Caller, profile: str, last: FrameResource | None, number: int
    ) -> None:
        series, form = key
        try:
            frames = await self.series(series, caller)
            images = window_around(frames, self.chosen.now.profile(profile).prefetch.window, last)
            before = self._set_off.get(key)
            if before is not None and not has_moved(before.parts[0].images, images):
                return
            run = self.start(frames, caller, profile, images, number, form=form)
            if before is not None:
                run.parts[0].fetched = before.parts[0].fetched  # one budget covers all runs of a series
                self.cancel(before)
            self._set_off[key] = run
        except (TooMany, ServiceFull):
            self._set_off.pop(key, None)  # it is counted; the next request for a frame tries again
        except ProxyError as error:
            self._set_off.pop(key, None)  # the next request for a frame tries again
            _log.warning(
                "cannot start the plan of a series",
                extra={"origin": series.origin, "why": type(error).__name__},
            )
        except Exception:  # an uncaught exception would cancel every other plan
            _log.exception("cannot start the plan of a series because of a bug in the proxy")

    def forget(self, named: FrameScope) -> None:
        """Lets requests trigger the plans of a scope's series again, after the series were stored anew."""
        for place in list(self._set_off):
            if named.touches(place[0].origin, place[0].study, place[0].series):
                del self._set_off[place]

    def _remember(self, profile: str, key: FrameKey, size: int, is_used: bool) -> None:
        if is_used:
            self._metrics.prefetched_used_bytes.labels(profile).inc(size)
            return
        _, before = self._unused.get(key) or (profile, 0)
        self._unused.put(key, (profile, before + size))

    def _count_used(self, key: FrameKey) -> None:
        profile, size = self._unused.pop(key) or ("", 0)
        if size:
            self._metrics.prefetched_used_bytes.labels(profile).inc(size)

    def _forget_old(self) -> None:
        over = {name: run.size for name, run in self._runs.items() if run.is_over}
        frames = sum(over.values())
        for name, images in over.items():
            if len(self._runs) <= MOST_KEPT and frames <= self.most_kept_frames:
                return
            del self._runs[name]
            frames -= images
