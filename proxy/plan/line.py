"""Images that wait in a line, held by the run: a thousand that are alike cost no more than one.

An image's place is when its last fetch started. Fetches start in the order of the series, and only those
in flight end out of turn; so images with the same still to get follow each other, and the holes close
as the late ones come in.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Run(Generic[T]):
    """Images at places next to each other, each the next one's predecessor, with the same to get."""

    place: int
    image: int
    last: int
    count: int
    what: T


class Line(Generic[T]):
    """Images by place, the lowest first, each with what it waits for."""

    def __init__(self, next_image: Callable[[int], int | None]) -> None:
        """`next_image` tells which image a stage begins with after another; None where it can't be said."""
        self._next_image = next_image
        self._runs: deque[_Run[T]] = deque()

    @property
    def first(self) -> tuple[int, int, T] | None:
        """Place, image and what it waits for; None where nobody waits."""
        if not self._runs:
            return None
        run = self._runs[0]
        return run.place, run.image, run.what

    def take(self) -> None:
        """Takes the first one out."""
        run = self._runs[0]
        if run.count == 1:
            self._runs.popleft()
            return
        following = self._next_image(run.image)
        assert following is not None  # else the run would have ended there
        run.place, run.image, run.count = run.place + 1, following, run.count - 1

    def add(self, place: int, image: int, what: T) -> None:
        """Puts an image where its place is; no two have the same."""
        runs, run = self._runs, _Run(place, image, image, 1, what)
        at = len(runs)
        while at and runs[at - 1].place > place:  # few: those that were started later and have ended before
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
