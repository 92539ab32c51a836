"""The part of a run that is about one series: its frames, and the order of their fetches."""

from dataclasses import dataclass, field
from typing import Any

from proxy.codestream.reach import ResolutionTarget
from proxy.fetch.series import ListedFrames, SeriesFrames
from proxy.plan.plan import Fetch, Plan
from proxy.plan.profile import Profile
from proxy.plan.queue import StageCount
from proxy.plan.stages import parts_of_frame

IN_FLIGHT = 16
"""Most fetches of one run at once. The gate lets fewer of them reach the origin."""
MOST_FAILURES = IN_FLIGHT
"""Failures in a row after which a series is given up: as many as a run has under way at once."""


@dataclass(slots=True)
class StageTimes:
    """Times of one stage, in seconds from the start of the run."""

    first_done: float | None = None
    """When the first image of the stage was done. None until then."""
    last_done: float | None = None
    """When the last image of the stage was done or skipped. None until then."""


@dataclass(slots=True, eq=False)
class Part:
    """One series of a run."""

    profile_name: str
    """Name of the profile, for metrics."""
    profile: Profile
    """The profile that is carried out."""
    frames: SeriesFrames | ListedFrames
    """The frames of the whole series, or those that the request listed."""
    images: range
    """0-based positions of the frames to fetch, within `frames`."""
    syntax: str | None
    """Transfer syntax in which viewers get the frames; None if it is unknown."""
    form: str = ""
    """Form of the frames, unless a stage names one in its `urlArguments`."""
    fetched: int = 0
    """Bytes that were fetched from the origin, which count against the profile's budget for a series."""
    failures: int = 0
    """Failures in a row."""
    in_flight: int = 0
    """Fetches that run."""
    plan: Plan = field(init=False)
    """The order of the fetches."""
    times: dict[str, StageTimes] = field(init=False)
    """Times of each stage, by its id."""
    _is_learning: bool = field(init=False)
    _has_heads: bool = field(init=False, default=True)

    def __post_init__(self) -> None:
        """Plans the fetches. Raises `ConfigurationError` if the profile does not fit the series."""
        self.plan = Plan(self.profile, len(self.images), self.syntax)
        self.times = {stage.id: StageTimes() for stage in self.profile.stages}
        self._is_learning = isinstance(parts_of_frame(self.profile)[0].stop, ResolutionTarget)

    @property
    def is_given_up(self) -> bool:
        """True if too many fetches in a row have failed."""
        return self.failures >= MOST_FAILURES

    @property
    def is_spent(self) -> bool:
        """True if the budget of the series is used up."""
        return self.fetched >= self.profile.prefetch.budget

    @property
    def has_room(self) -> bool:
        """True if another fetch may run at once.

        If the plan asks for a resolution, the first frame is fetched on its own, because it tells the proxy
        where that resolution ends in the others.
        """
        return not (self.is_spent or self.is_given_up or (self._is_learning and self.in_flight))

    def next(self) -> Fetch | None:
        """Starts the next fetch; None if there is none now."""
        return self._begun(self.plan.next())

    def next_head(self) -> Fetch | None:
        """Starts the first fetch of the next image; None if there is none now."""
        fetch = self._begun(self.plan.next_head()) if self._has_heads else None
        self._has_heads = fetch is not None or self.in_flight > 0
        return fetch

    def _begun(self, fetch: Fetch | None) -> Fetch | None:
        self.in_flight += fetch is not None
        return fetch

    def ended(self, *, is_ok: bool) -> None:
        """A fetch has ended, with its bytes or in vain."""
        self.in_flight -= 1
        self.failures = 0 if is_ok else self.failures + 1
        self._is_learning = False

    def note(self, stage: str, over: tuple[StageCount, ...], now: float) -> None:
        """Notes the times of a stage of which an image is done, and of stages that are `over`."""
        times = self.times[stage]
        times.first_done = now if times.first_done is None else times.first_done
        for count in over:
            self.times[count.stage].last_done = now

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
