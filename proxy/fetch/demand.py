"""The viewers and plans that want a frame while it is fetched: how much of it, and how urgently.

A demand belongs to one fill. Viewers and plans change it. Its followers are the seats of the fill's fetches.
If the frame is made from another frame, the fetch of that other frame is a follower too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from proxy.fetch.turns import Rank, Turn


class Follower(Protocol):
    """A fetch whose rank depends on the demand."""

    def move(self) -> None:
        """The demand has changed."""


class Ranked(Protocol):
    """A demand as the gate sees it."""

    followers: set[Follower]
    """Told to `move` when the rank may have changed, or when another caller came."""
    persons: dict[bytes, None]
    """The callers who wanted the frame, in the order in which they came."""

    def rank(self, is_first: bool) -> Rank:
        """The rank of a fetch now; `is_first` until its first bytes are in."""


class Demand:
    """The viewers and plans that want one frame."""

    def __init__(self, person: bytes, planned: Rank | None = None) -> None:
        """`person` is the caller who wants the frame first."""
        self.persons: dict[bytes, None] = {person: None}
        """The callers who wanted the frame, in the order in which they came."""
        self.planned = planned
        """Rank of the plan that wants the frame, as long as no viewer has asked for it."""
        self.plans = 0
        """Number of plans that want the frame now."""
        self.readers = 0
        """Number of viewers that read past the first bytes now."""
        self.stop: int | None = 0
        """Bytes that are wanted, from 0; None is all."""
        self.is_short = False
        """True if the length is known, and fewer bytes than a window follow the first bytes."""
        self.followers: set[Follower] = set()
        """Told to `move` when the rank may have changed, or when another caller came."""
        self._sent: list[tuple[int, int | None]] = []
        """For each response that is being sent, the bytes from which it begins and up to which it goes."""
        self._came = 0
        self._is_seen_early = False
        """True if a viewer wants only a first picture, or if that was in before any viewer read on."""

    def want(self, stop: int | None) -> None:
        """Extends the demand to the bytes before `stop`; None is all bytes."""
        self.stop = None if stop is None or self.stop is None else max(self.stop, stop)

    def bytes_of(self, total: int) -> int:
        """Bytes that are wanted of a frame of `total` bytes."""
        return total if self.stop is None else min(self.stop, total)

    def rank(self, is_first: bool) -> Rank:
        """The rank of a fetch now; `is_first` until its first bytes are in."""
        if self.planned is not None:
            return self.planned if is_first else self.planned._replace(turn=Turn.PLAN_COMPLETION)
        if is_first and self._is_seen_early:
            return Rank(Turn.VIEWER_FIRST)
        if not self.readers:
            return Rank(Turn.LEFT_COMPLETION)
        is_whole = not self._is_seen_early and (is_first or self.is_short)
        return Rank(Turn.VIEWER_WHOLE if is_whole else Turn.VIEWER_COMPLETION, self._came)

    def join(self, person: bytes) -> None:
        """A caller waits for the frame."""
        if person not in self.persons:
            self.persons[person] = None
            self._move()

    def plan(self, person: bytes) -> None:
        """One more plan wants the frame."""
        self.plans += 1
        self.join(person)

    def view(
        self, person: bytes, number: int, *, is_first_enough: bool, is_early: bool, has_first: bool
    ) -> bool:
        """A viewer wants the frame, so it is no longer only planned. Returns True if the viewer is a reader.

        A viewer for which the first bytes are enough is not a reader. The lower `number` of two viewers came
        first. `is_early` is True if the viewer wants a first picture, `has_first` if the first bytes are in.
        """
        self.planned = None
        self.persons[person] = None
        self._is_seen_early |= is_early
        if not is_first_enough:
            if not self.readers:
                # The rest may have waited for long, because no viewer had asked for it.
                self._came = number
                self._is_seen_early |= has_first
            self.readers += 1
        self._move()
        return not is_first_enough

    @contextmanager
    def sending(self, start: int, stop: int | None) -> Iterator[None]:
        """A response is being sent, which begins with the byte at `start`; -1 if it has begun without any.

        `stop` is the end of the bytes that it needs; None is the end of the frame.
        """
        sent = start, stop
        self._sent.append(sent)
        try:
            yield
        finally:
            self._sent.remove(sent)

    def is_sent_beyond(self, size: int) -> bool:
        """True if a response has begun with some of the first `size` bytes, and needs more than these."""
        return any(start < size and (stop is None or stop > size) for start, stop in self._sent)

    def leave(self) -> None:
        """A reader has left."""
        self.readers -= 1
        self._move()

    def _move(self) -> None:
        for follower in tuple(self.followers):
            follower.move()
