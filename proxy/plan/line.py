"""A queue of images that stores equal neighbours as one run, so a thousand equal images cost as much as one.

An image's place is the number of its last fetch, counted by start. Fetches start in series order, and only
those in flight end out of order. So images with the same work left are adjacent, and gaps close as late
fetches end.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Run(Generic[T]):
    """Images at adjacent places with the same work left; each is the successor of the one before."""

    place: int
    image: int
    last: int
    count: int
    what: T


class Line(Generic[T]):
    """Images by place, lowest first, each with the work it waits for."""

    def __init__(self, next_image: Callable[[int], int | None]) -> None:
        """`next_image` returns the image that a stage begins with after another; None if that is unknown."""
        self._next_image = next_image
        self._runs: deque[_Run[T]] = deque()

    @property
    def first(self) -> tuple[int, int, T] | None:
        """Place, image and work of the first image; None if the line is empty."""
        if not self._runs:
            return None
        run = self._runs[0]
        return run.place, run.image, run.what

    def take(self) -> None:
        """Removes the first image."""
        run = self._runs[0]
        if run.count == 1:
            self._runs.popleft()
            return
        following = self._next_image(run.image)
        assert following is not None  # otherwise the run would have ended here
        run.place, run.image, run.count = run.place + 1, following, run.count - 1

    def add(self, place: int, image: int, what: T) -> None:
        """Inserts an image at its place, which no other image has."""
        runs, run = self._runs, _Run(place, image, image, 1, what)
        at = len(runs)
        while at and runs[at - 1].place > place:  # few: they started later and ended earlier
            at -= 1
        if at < len(runs) and self._are_next(run, runs[at]):
            run.last, run.count = runs[at].last, run.count + runs[at].count
            del runs[at]
        if at and self._are_next(runs[at - 1], run):
            before = runs[at - 1]
            before.last, before.count = run.last, before.count + run.count
        else:
            runs.insert(at, run)

    def _are_next(self, run: _Run[T], other: _Run[T]) -> bool:
        return (
            run.place + run.count == other.place
            and run.what == other.what
            and self._next_image(run.last) == other.image
        )
