"""What of one stage has not been fetched yet: its images in the order in which they go.

Heads are images that no earlier stage selects. They are not listed: they are found one by one when they
are asked for. Followers are images whose earlier stage has ended, in the order in which it had started
for them.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import filterfalse

from proxy.plan.line import Line
from proxy.plan.profile import RetrieveOptions, Stage
from proxy.plan.stages import FetchPart, Progress

REQUEST_TYPES = ("interaction", "thumbnail", "prefetch", "compute")
"""In the order in which they are served."""


@dataclass(frozen=True, slots=True)
class StageCount:
    """How far a stage is."""

    stage: str
    """Its id."""
    images: int
    """Images that it selects, each as often as it does."""
    failures: int
    """Fetches of it that failed."""
    done: int
    """Images for which it has ended, or was skipped."""

    @property
    def is_done(self) -> bool:
        """Whether it has ended for all its images."""
        return self.done == self.images


@dataclass(frozen=True, slots=True)
class Todo:
    """What a stage has to do for an image; the same for most of them."""

    turn: int
    """0-based: a stage may select an image more than once."""
    progress: Progress
    """What the image has before it."""
    part: FetchPart
    """What is to be fetched."""


@dataclass(frozen=True, slots=True)
class Step:
    """One image in one stage, with something to get."""

    place: int
    """Where it stands: followers by when their last fetch started, from 0; heads are below 0."""
    image: int
    """0-based."""
    number: int
    """The stage's, 0-based."""
    todo: Todo
    """What it is about."""


class StageQueue:
    """The images of one stage that wait."""

    def __init__(
        self, stage: Stage, options: RetrieveOptions, images: Sequence[int], earlier: Iterable["StageQueue"]
    ) -> None:
        self.stage = stage
        self.options = options
        self.failures = 0
        self.done = 0
        self.total = len(images)
        # Asked for each image, so both forms answer at once and hold no image that is not named.
        self._images = images if isinstance(images, range) else Counter(images)
        self._earlier = tuple(earlier)
        self._heads = self._begun_here(self._images)
        self._head: int | None = None
        self._has_begun = False
        self.followers: Line[Todo] = Line(self._next_image)

    @property
    def rank(self) -> tuple[int, int]:
        """Its place among queues: lower goes first."""
        return REQUEST_TYPES.index(self.stage.request_type), self.stage.priority

    @property
    def count(self) -> StageCount:
        """How far it is."""
        return StageCount(self.stage.id, self.total, self.failures, self.done)

    @property
    def is_done(self) -> bool:
        """Whether it has ended for all its images."""
        return self.done == self.total

    def times(self, image: int) -> int:
        """How often it selects an image."""
        images = self._images
        return images[image] if isinstance(images, Counter) else int(image in images)

    def _begun_here(self, images: Iterable[int]) -> Iterator[int]:
        for queue in self._earlier:
            images = filterfalse(queue._images.__contains__, images)  # noqa: SLF001  # of its own kind
        return iter(images)

    def _next_image(self, image: int) -> int | None:
        """Which image is begun after another, in the first stage that selects it; None after a position."""
        queue = next((queue for queue in self._earlier if queue.times(image)), self)
        images = queue._images  # noqa: SLF001  # of its own kind
        if not isinstance(images, range):
            return None
        later = range(image + images.step, images.stop, images.step)
        return next(queue._begun_here(later), None)  # noqa: SLF001  # the same

    @property
    def head(self) -> int | None:
        """The next image that no earlier stage selects."""
        if not self._has_begun:
            self._has_begun = True
            self._head = next(self._heads, None)
        return self._head

    def take_head(self) -> int:
        """Takes it out."""
        head = self.head
        assert head is not None
        self._head = next(self._heads, None)
        return head
