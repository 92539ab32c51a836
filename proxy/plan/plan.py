"""Applies a profile to a series and decides which fetch may start now. The caller fetches and reports back.

    waiting ──next──► in flight ──ended──► waiting in its next stage, or done

Each image goes through the stages that select it, one after another. Images do not wait for each other,
except at a stage with a `barrier`. A stage that ended, successfully or not, leads to the next. The remaining
stages are skipped once the frame is complete. The next image is chosen by queue (`requestType`), then by
`priority`. Images in their first stage come before the others, in stage order; the others follow in the order
in which their last fetch started.

Cornerstone3D orders the others by when their last fetch *ended*. The two orders differ only for fetches that
are in flight together. The order of starts needs no list, so memory does not grow with the series.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count as counter
from itertools import groupby

from proxy.plan.profile import Profile
from proxy.plan.queue import StageCount, StageQueue, Step, Todo
from proxy.plan.stages import WHOLE, FetchPart, Progress, images_of, is_open_ended, options_of


@dataclass(frozen=True, slots=True)
class Fetch:
    """One part of one image to fetch now."""

    stage: str
    """The id of the stage."""
    image: int
    """0-based, in series order."""
    retrieve_type: str
    """The key of the stage's retrieve options."""
    request_type: str
    """The queue of the stage."""
    priority: int
    """The priority of the stage within its queue."""
    part: FetchPart
    """The bytes to fetch."""
    frames_path: str | None
    """The path segment to use in place of `/frames/`; None keeps `/frames/`."""
    url_arguments: str | None
    """Arguments to add to the URL; None adds none."""


class Plan:
    """The fetches of a series, in the order in which they may start."""

    def __init__(self, profile: Profile, count: int, transfer_syntax: str | None = None) -> None:
        """Plans `count` images. Raises `ConfigurationError` if a position selects no image."""
        self._profile = profile
        self._queues: list[StageQueue] = []
        for stage in profile.stages:
            options = options_of(profile, stage, transfer_syntax) or WHOLE
            self._queues.append(StageQueue(stage, options, images_of(stage, count), self._queues))
        numbers = sorted(range(len(self._queues)), key=lambda number: self._queues[number].rank)
        self._ranks = [list(same) for _, same in groupby(numbers, lambda number: self._queues[number].rank)]
        self._left = sum(queue.total for queue in self._queues)
        self._starts = counter()
        self._in_flight: dict[int, tuple[Fetch, Step, int]] = {}

    @property
    def is_done(self) -> bool:
        """True if all stages have ended for all of their images."""
        return self._left == 0

    @property
    def stages(self) -> tuple[StageCount, ...]:
        """The progress of each stage."""
        return tuple(queue.count for queue in self._queues)

    def next(self) -> Fetch | None:
        """Starts the next fetch; None if another fetch has to end first."""
        # If a profile sets the end of first fetches, all of them come before any completion.
        if self._profile.first is None:
            return self._next_of(self._both)
        return self.next_head() or self._next_of(self._follower)

    def next_head(self) -> Fetch | None:
        """Starts the first fetch of the next image; None if there is none now."""
        return self._next_of(self._head)

    def _next_of(self, first_of: Callable[[int], Step | None]) -> Fetch | None:
        for numbers in self._ranks:
            steps = [step for number in numbers if (step := first_of(number)) is not None]
            if steps:
                return self._start(min(steps, key=lambda step: step.place))
        return None

    def ended(self, fetch: Fetch, is_whole: bool, ok: bool) -> tuple[StageCount, ...]:
        """Records how a fetch ended, and returns the stages that are now complete for all of their images.

        `is_whole` is true if all bytes of the requested representation (a frame or an alternate) have
        arrived.
        """
        known, step, started = self._in_flight.get(fetch.image, (None, None, 0))
        if known != fetch or step is None:
            raise ValueError(f"stage {fetch.stage}, image {fetch.image}: this fetch is not in flight")
        del self._in_flight[fetch.image]
        queue = self._queues[step.number]
        progress = step.todo.progress
        if is_whole:
            progress = replace(progress, have=None)
        elif ok:
            progress = progress.add(fetch.part)
        queue.failures += not ok
        is_cut = ok and fetch.part.stop is not None and is_open_ended(queue.options)
        if is_cut and self._wait(started, step.image, step.number, step.todo.turn, progress):
            return ()
        return self._go_on(step, started, progress, is_over=is_whole and queue.options.is_full)

    def _both(self, number: int) -> Step | None:
        """Returns the next step of a stage, without starting it."""
        return self._head(number) or self._follower(number)

    def _head(self, number: int) -> Step | None:
        """Returns the next step of a stage for an image that begins with this stage."""
        image = None if self._is_barred(number) else self._queues[number].head
        if image is None:
            return None
        todo = self._todo(number, 0, Progress())
        assert todo is not None  # no byte of the image has been fetched yet
        return Step(number - len(self._queues), image, number, todo)

    def _follower(self, number: int) -> Step | None:
        """Returns the next step of a stage for an image that comes from an earlier stage."""
        follower = None if self._is_barred(number) else self._queues[number].followers.first
        if follower is None:
            return None
        place, image, todo = follower
        return Step(place, image, number, todo)

    def _is_barred(self, number: int) -> bool:
        is_barrier = self._queues[number].stage.barrier
        return is_barrier and not all(earlier.is_done for earlier in self._queues[:number])

    def _start(self, step: Step) -> Fetch:
        queue = self._queues[step.number]
        if step.place < 0:
            queue.take_head()
        else:
            queue.followers.take()
        stage, options = queue.stage, queue.options
        fetch = Fetch(
            stage.id,
            step.image,
            stage.retrieve_type,
            stage.request_type,
            stage.priority,
            step.todo.part,
            options.frames_path,
            options.url_arguments,
        )
        self._in_flight[step.image] = fetch, step, next(self._starts)
        return fetch

    def _todo(self, number: int, turn: int, progress: Progress) -> Todo | None:
        """Returns the work of a stage for an image; None if there is nothing left to fetch."""
        options = self._queues[number].options
        turned = progress.turn_to(options)
        part = turned.part(self._profile, options)
        return None if part is None else Todo(turn, turned, part)

    def _wait(self, place: int, image: int, number: int, turn: int, progress: Progress) -> bool:
        """Queues an image in a stage; False if there is nothing left to fetch."""
        todo = self._todo(number, turn, progress)
        if todo is not None:
            self._queues[number].followers.add(place, image, todo)
        return todo is not None

    def _go_on(
        self, step: Step, started: int, progress: Progress, *, is_over: bool
    ) -> tuple[StageCount, ...]:
        """Ends a step, skips stages without work, and queues the image in the next stage."""
        over = [step.number]
        for number, turn in self._after(step):
            if not is_over and self._wait(started, step.image, number, turn, progress):
                break
            over.append(number)
        self._left -= len(over)
        for number in over:
            self._queues[number].done += 1
        return tuple(self._queues[n].count for n in dict.fromkeys(over) if self._queues[n].is_done)

    def _after(self, step: Step) -> Iterator[tuple[int, int]]:
        """Yields the stages of an image after a step, and how often each has selected it before."""
        for number in range(step.number, len(self._queues)):
            begun = step.todo.turn + 1 if number == step.number else 0
            for turn in range(begun, self._queues[number].times(step.image)):
                yield number, turn


def ordered(profile: Profile, count: int, transfer_syntax: str | None = None) -> Iterator[Fetch]:
    """Yields the fetches one by one; each ends before the next starts, and is complete if open-ended.

    >>> from proxy.plan.profile import stock_profile
    >>> [(fetch.image, str(fetch.part)) for fetch in ordered(stock_profile("sequential"), 2)]
    [(0, 'bytes=0-65535'), (1, 'bytes=0-65535'), (0, 'bytes=65536-'), (1, 'bytes=65536-')]
    """
    plan = Plan(profile, count, transfer_syntax)
    while (fetch := plan.next()) is not None:
        yield fetch
        plan.ended(fetch, is_whole=fetch.part.stop is None, ok=True)
