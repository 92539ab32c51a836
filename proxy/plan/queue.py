"""What of one stage has not been fetched yet: its images in the order in which they arrived.

Heads are images that no earlier stage selects. All of them arrived when the plan was made, so they are not
listed: they are found one by one when they are asked for. Followers are images whose earlier stage has
ended, in that order.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import filterfalse

from proxy.plan.profile import RetrieveOptions, Stage
from proxy.plan.stages import Progress
from proxy.wire.ranges import Span

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
class Step:
    """One image in one stage, with something to get."""

    arrival: int
    """Its place among all that arrived; heads are below 0."""
    image: int
    """0-based."""
    number: int
    """The stage's, 0-based."""
    turn: int
    """0-based: a stage may select an image more than once."""
    progress: Progress
    """What the image has before it."""
    span: Span
    """What is to be fetched."""


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
        heads: Iterator[int] = iter(self._images)
        for queue in earlier:
            heads = filterfalse(queue._images.__contains__, heads)  # noqa: SLF001  # of its own kind
        self._heads = heads
        self._head: int | None = None
        self._has_begun = False
        self._followers: deque[Step] = deque()

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

    def append(self, step: Step) -> None:
        """An image arrives whose earlier stage has ended."""
        self._followers.append(step)

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

    @property
    def follower(self) -> Step | None:
        """The image that has waited longest of those that arrived later."""
        return self._followers[0] if self._followers else None

    def take_follower(self) -> Step:
        """Takes it out."""
        return self._followers.popleft()
