"""The images of one stage that have not been fetched yet, in order.

Heads are images that no earlier stage selects. They are not listed but found one by one. Followers are images
whose earlier stage has ended, ordered by when that stage started for them.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import lcm

from proxy.plan.line import Line
from proxy.plan.profile import RetrieveOptions, Stage
from proxy.plan.stages import FetchPart, Progress

REQUEST_TYPES = ("interaction", "thumbnail", "prefetch", "compute")
"""Queues in order of precedence."""


@dataclass(frozen=True, slots=True)
class StageCount:
    """The progress of one stage."""

    stage: str
    """The id of the stage."""
    images: int
    """Images that the stage selects, counted once for each selection."""
    failures: int
    """Failed fetches of the stage."""
    done: int
    """Images for which the stage has ended or was skipped."""

    @property
    def is_done(self) -> bool:
        """True if the stage has ended for all of its images."""
        return self.done == self.images


@dataclass(frozen=True, slots=True)
class Todo:
    """The work of a stage for an image. Most images of a stage have the same."""

    turn: int
    """0-based count of selections; a stage may select an image more than once."""
    progress: Progress
    """The bytes of the image that are already there."""
    part: FetchPart
    """The part to fetch."""


@dataclass(frozen=True, slots=True)
class Step:
    """One image in one stage, with work to do."""

    place: int
    """Position in the order. Followers count from 0 by when their last fetch started; heads are below 0."""
    image: int
    """0-based."""
    number: int
    """The stage's number, 0-based."""
    todo: Todo
    """The work to do."""


class StageQueue:
    """The queued images of one stage."""

    def __init__(
        self, stage: Stage, options: RetrieveOptions, images: Sequence[int], earlier: Iterable["StageQueue"]
    ) -> None:
        self.stage = stage
        self.options = options
        self.failures = 0
        self.done = 0
        self.total = len(images)
        # Every image is looked up here. Both types answer in constant time and list no image that is not
        # named.
        self._images = images if isinstance(images, range) else Counter(images)
        self._earlier = tuple(earlier)
        self._heads = self._begun_here(self._images)
        self._head: int | None = None
        self._has_begun = False
        self.followers: Line[Todo] = Line(self._next_image)

    @property
    def rank(self) -> tuple[int, int]:
        """The order of this queue among others; lower goes first."""
        return REQUEST_TYPES.index(self.stage.request_type), self.stage.priority

    @property
    def count(self) -> StageCount:
        """The progress of the stage."""
        return StageCount(self.stage.id, self.total, self.failures, self.done)

    @property
    def is_done(self) -> bool:
        """True if the stage has ended for all of its images."""
        return self.done == self.total

    def times(self, image: int) -> int:
        """Returns how often the stage selects an image."""
        images = self._images
        return images[image] if isinstance(images, Counter) else int(image in images)

    def _begun_here(self, images: Iterable[int]) -> Iterator[int]:
        """Those of the images that no earlier stage selects.

        Decimated stages repeat. If they take as many images of a range in a row as their steps need to
        repeat, they take all that follow, and a hundred thousand need not be looked at.
        """
        all_of = [queue._images for queue in self._earlier]  # noqa: SLF001  # of the same class
        decimated = [each for each in all_of if isinstance(each, range)]
        named = [each for each in all_of if not isinstance(each, range)]
        repeat, taken = lcm(*(each.step for each in decimated)), 0
        for image in images:
            taken = taken + 1 if any(image in each for each in decimated) else 0
            if taken > repeat and isinstance(images, range):
                return
            if not taken and not any(image in each for each in named):
                yield image

    def _next_image(self, image: int) -> int | None:
        """Returns the image that begins after `image` in its first stage; None after a position."""
        queue = next((queue for queue in self._earlier if queue.times(image)), self)
        images = queue._images  # noqa: SLF001  # of the same class
        if not isinstance(images, range):
            return None
        later = range(image + images.step, images.stop, images.step)
        return next(queue._begun_here(later), None)  # noqa: SLF001  # of the same class

    @property
    def head(self) -> int | None:
        """The next image that no earlier stage selects."""
        if not self._has_begun:
            self._has_begun = True
            self._head = next(self._heads, None)
        return self._head

    def take_head(self) -> int:
        """Removes the head and returns it."""
        head = self.head
        assert head is not None
        self._head = next(self._heads, None)
        return head
