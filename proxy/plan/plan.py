"""A profile applied to a series: which fetch may start now. The caller fetches, and says how it ended.

    waiting ──next──► in flight ──ended──► waiting in its next stage, or done

Each image runs through the stages that select it, one after the other; images do not wait for each other,
but for a stage with a `barrier`. A stage that ended, well or not, leads on to the next; the rest are skipped
once the frame is whole. Of all that wait, the queue (`requestType`) decides, then `priority`; then images
in their first stage go, in the order of the stages, then those whose last fetch started first.

The viewer takes these last ones in the order in which fetches *ended*. Both are the same but for what
is in flight together, and the order of starting can be held without a list: memory does not grow with
the series.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count as counter
from itertools import groupby

from proxy.plan.profile import Profile
from proxy.plan.queue import StageCount, StageQueue, Step, Todo
from proxy.plan.stages import WHOLE, FetchPart, Progress, images_of, is_open_ended, options_of


@dataclass(frozen=True, slots=True)
class Fetch:
    """One part of one image, to be fetched now."""

    stage: str
    """The stage's id."""
    image: int
    """0-based, in the order of the series."""
    retrieve_type: str
    """The key of its options."""
    request_type: str
    """The queue that it came from."""
    priority: int
    """Its priority there."""
    part: FetchPart
    """Which bytes."""
    frames_path: str | None
    """What stands in the URL instead of `/frames/`; None is nothing else."""
    url_arguments: str | None
    """Arguments for the URL; None is none."""


class Plan:
    """The fetches of a series, as they come due."""

    def __init__(self, profile: Profile, count: int, transfer_syntax: str | None = None) -> None:
        """Of `count` images. Raises `ConfigurationError` for a position where there is no image."""
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
        """Whether all stages have ended for all their images."""
        return self._left == 0

    @property
    def stages(self) -> tuple[StageCount, ...]:
        """How far each stage is."""
        return tuple(queue.count for queue in self._queues)

    def next(self) -> Fetch | None:
        """The fetch that starts now; None where none may before another has ended."""
        # A profile that says how far first fetches go wants all of them before any completion.
        orders = (self._both,) if self._profile.first is None else (self._head, self._follower)
        for first_of in orders:
            for numbers in self._ranks:
                steps = [step for number in numbers if (step := first_of(number)) is not None]
                if steps:
                    return self._start(min(steps, key=lambda step: step.place))
        return None

    def ended(self, fetch: Fetch, is_whole: bool, ok: bool) -> tuple[StageCount, ...]:
        """Takes note of how a fetch ended; returns the stages that ended with it, for all their images.

        `is_whole`: all bytes of what was asked (of an alternate: all of the alternate's) are there.
        """
        known, step, started = self._in_flight.get(fetch.image, (None, None, 0))
        if known != fetch or step is None:
            raise ValueError(f"stage {fetch.stage}, image {fetch.image}: no such fetch is in flight")
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
        """What would start first of a stage, left where it waits."""
        return self._head(number) or self._follower(number)

    def _head(self, number: int) -> Step | None:
        """The same of images that it begins with."""
        image = None if self._is_barred(number) else self._queues[number].head
        if image is None:
            return None
        todo = self._todo(number, 0, Progress())
        assert todo is not None  # nothing is there of it yet
        return Step(number - len(self._queues), image, number, todo)

    def _follower(self, number: int) -> Step | None:
        """The same of images that come from earlier stages."""
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
        """What a stage has to do for an image; None where nothing is left to get."""
        options = self._queues[number].options
        turned = progress.turn_to(options)
        part = turned.part(self._profile, options)
        return None if part is None else Todo(turn, turned, part)

    def _wait(self, place: int, image: int, number: int, turn: int, progress: Progress) -> bool:
        """Lets an image wait in a stage; False where nothing is left to get."""
        todo = self._todo(number, turn, progress)
        if todo is not None:
            self._queues[number].followers.add(place, image, todo)
        return todo is not None

    def _go_on(
        self, step: Step, started: int, progress: Progress, *, is_over: bool
    ) -> tuple[StageCount, ...]:
        """Ends a step, skips those with nothing to do, and lets the image wait in the next."""
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
        """Stages of an image after a step, and which time each selects it."""
        for number in range(step.number, len(self._queues)):
            begun = step.todo.turn + 1 if number == step.number else 0
            for turn in range(begun, self._queues[number].times(step.image)):
                yield number, turn


def ordered(profile: Profile, count: int, transfer_syntax: str | None = None) -> Iterator[Fetch]:
    """The fetches one after the other, each ended before the next starts and whole if open-ended.

    >>> from proxy.plan.profile import stock_profile
    >>> [(fetch.image, str(fetch.part)) for fetch in ordered(stock_profile("sequential"), 2)]
    [(0, 'bytes=0-65535'), (1, 'bytes=0-65535'), (0, 'bytes=65536-'), (1, 'bytes=65536-')]
    """
    plan = Plan(profile, count, transfer_syntax)
    while (fetch := plan.next()) is not None:
        yield fetch
        plan.ended(fetch, is_whole=fetch.part.stop is None, ok=True)
