"""All plans: those that were asked for, and those that a viewer's request sets off.

A profile's `prefetch` says what sets one off for a series: the first frame of it that a viewer asks for,
or its metadata. Of two such plans the later goes first, so a viewer who jumps to another series does not
wait for the rest of the old one. With a window the plan is made again when the viewer has moved on.
"""

import logging
import secrets

from proxy.access.caller import Caller
from proxy.alternates.offered import Alternates
from proxy.errors import ProxyError, UnknownName
from proxy.fetch.retrieve import Retrieve
from proxy.fetch.series import ListedFrames, SeriesFrames, SeriesLists
from proxy.fetch.tasks import Tasks
from proxy.frame.key import FrameKey, SeriesKey
from proxy.frame.scope import FrameScope
from proxy.plan.choice import CurrentChoice
from proxy.prefetch.run import Run, State
from proxy.telemetry.telemetry import Telemetry
from proxy.wire.resource import FrameResource

MOST_KEPT = 256
"""Plans that can be asked after; the oldest that is over goes first."""
MOST_UNUSED = 65536
"""Frames that were fetched for nobody yet and are remembered as that."""

_log = logging.getLogger(__name__)


class Plans:
    """The table of runs, within the life of the app."""

    def __init__(
        self,
        retrieve: Retrieve,
        lists: SeriesLists,
        chosen: CurrentChoice,
        alternates: Alternates,
        telemetry: Telemetry,
    ) -> None:
        self.chosen = chosen
        self._retrieve = retrieve
        self._lists = lists
        self._alternates = alternates
        self._telemetry = telemetry
        self._metrics = telemetry.metrics
        self._runs: dict[str, Run] = {}
        self.tasks: Tasks[str] = Tasks()
        self._set_off: dict[SeriesKey, Run | None] = {}
        self._unused: dict[FrameKey, tuple[str, int]] = {}
        self._latest = 0

    def get(self, name: str) -> Run:
        """A plan by its id. Raises `UnknownName`."""
        run = self._runs.get(name)
        if run is None:
            raise UnknownName("no plan of that id")
        return run

    async def series(self, key: SeriesKey, caller: Caller) -> SeriesFrames:
        """The frames of a series. Raises `OriginError`."""
        return await self._lists.get(key, caller.credentials)

    def start(
        self,
        frames: SeriesFrames | ListedFrames,
        caller: Caller,
        profile: str,
        images: range | None = None,
        number: int = 0,
    ) -> Run:
        """Begins a plan. Raises `UnknownName`, `ConfigurationError`, `ShuttingDown`."""
        run = Run(
            secrets.token_urlsafe(12),
            number,
            profile,
            self.chosen.now.profile(profile),
            frames,
            range(len(frames)) if images is None else images,
            caller,
            self._retrieve,
            self._alternates,
            self._telemetry,
            lambda key, size, is_used: self._remember(profile, key, size, is_used=is_used),
        )
        self.tasks.start(run.id, self._carry_out(run), lambda: self._end(run))
        self._runs[run.id] = run
        self._forget_old()
        return run

    async def _carry_out(self, run: Run) -> None:
        try:
            await run.carry_out()
        except Exception:
            _log.exception("a plan ended by a fault of ours")
            run.end(State.FAILED)

    def _end(self, run: Run) -> None:
        run.end(State.CANCELLED)  # unless it has ended by itself
        self._metrics.plans.labels(run.profile_name, run.state.value).inc()

    def cancel(self, run: Run) -> None:
        """Ends a plan; what nobody else reads of its fetches ends with it."""
        self.tasks.cancel(run.id)

    def viewed(self, key: FrameKey, caller: Caller, profile: str, *, is_missed: bool) -> None:
        """A viewer asks for a frame, and nothing of it was held or on its way if `is_missed`."""
        self._count_used(key)
        prefetch = self.chosen.now.profile(profile).prefetch
        series = key.series
        is_trigger = prefetch.trigger == "first-frame" or series in self._set_off
        if prefetch.trigger == "none" or key.query or not is_trigger:
            return
        run = self._set_off.get(series)
        if is_missed and run is not None and run.is_over and run.number != -self._latest:
            del self._set_off[series]  # back from another series, which has pushed this one out
        self.set_off(series, caller, profile, key.resource)

    def metadata_read(self, key: SeriesKey, caller: Caller) -> None:
        """A viewer has read a series' metadata."""
        choice = self.chosen.now
        facts = self._lists.facts(key, caller.credentials) if choice.needs_facts else None
        profile = choice.choose(None, key.origin, facts)
        if choice.profile(profile).prefetch.trigger == "metadata":
            self.set_off(key, caller, profile, None)

    def set_off(self, key: SeriesKey, caller: Caller, profile: str, last: FrameResource | None) -> None:
        """Begins the plan of a series, or moves its window; whatever goes wrong, no viewer hears of it."""
        window = self.chosen.now.profile(profile).prefetch.window
        if self.tasks.is_closing or (key in self._set_off and (window is None or last is None)):
            return
        if key not in self._set_off:
            self._latest += 1
            self._set_off[key] = None
            while len(self._set_off) > MOST_KEPT:
                self._set_off.pop(next(iter(self._set_off)))
        elif self._set_off[key] is None:
            return  # its list of frames is on its way
        later = self._set_off_later(key, caller, profile, last, -self._latest)
        self.tasks.start(secrets.token_urlsafe(12), later)

    async def _set_off_later(
        self, key: SeriesKey, caller: Caller, profile: str, last: FrameResource | None, number: int
    ) -> None:
        try:
            frames = await self._lists.get(key, caller.credentials)
            images = _window(frames, self.chosen.now.profile(profile).prefetch.window, last)
            before = self._set_off.get(key)
            if before is not None and not _has_moved(before.images, images):
                return
            run = self.start(frames, caller, profile, images, number)
            if before is not None:
                run.fetched = before.fetched  # the budget is the series'
                self.cancel(before)
            self._set_off[key] = run
        except ProxyError as error:
            self._set_off.pop(key, None)  # the next frame may try again
            _log.warning("no plan for a series", extra={"origin": key.origin, "why": type(error).__name__})
        except Exception:  # it would end every other plan
            _log.exception("no plan for a series by a fault of ours")

    def forget(self, named: FrameScope) -> None:
        """Lets series that were stored anew set off a plan once more."""
        for key in [key for key in self._set_off if named.touches(key.origin, key.study, key.series)]:
            del self._set_off[key]

    def _remember(self, profile: str, key: FrameKey, size: int, *, is_used: bool) -> None:
        if is_used:
            self._metrics.prefetched_used_bytes.labels(profile).inc(size)
            return
        self._unused[key] = profile, self._unused.pop(key, (profile, 0))[1] + size
        while len(self._unused) > MOST_UNUSED:
            self._unused.pop(next(iter(self._unused)))

    def _count_used(self, key: FrameKey) -> None:
        profile, size = self._unused.pop(key, ("", 0))
        if size:
            self._metrics.prefetched_used_bytes.labels(profile).inc(size)

    def _forget_old(self) -> None:
        for name in [name for name, run in self._runs.items() if run.is_over]:
            if len(self._runs) <= MOST_KEPT:
                return
            del self._runs[name]


def _window(frames: SeriesFrames, window: int | None, last: FrameResource | None) -> range:
    """The places around the last asked frame; all where there is no window."""
    if window is None:
        return range(len(frames))
    place = (frames.place_of(last) if last else None) or 0
    return range(max(0, place - window), min(len(frames), place + window + 1))


def _has_moved(before: range, now: range) -> bool:
    """By half a window at least: a plan is not made anew for each frame that somebody scrolls over."""
    return abs(now.start - before.start) + abs(now.stop - before.stop) > len(now) // 2
