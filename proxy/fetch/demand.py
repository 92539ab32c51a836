"""The demand for a frame that is being fetched: who wants it, how much of it, and how urgently.

A demand belongs to one fill. Viewers and plans change it. Its followers are the seats of the fill's fetches,
and the frame that is fetched so that something can be made of it.
"""

from typing import Protocol

from proxy.fetch.turns import Rank, Turn


class Follower(Protocol):
    """Something whose place depends on the demand."""

    def move(self) -> None:
        """The demand is another one now."""


class Ranked(Protocol):
    """Something that is fetched, as the gate sees it."""

    followers: set[Follower]
    """They are told to `move` when the rank may be another one."""

    def rank(self, is_first: bool) -> Rank:
        """The rank of a fetch now; `is_first` until its first bytes are in."""


class Demand:
    """The viewers and plans that want one frame."""

    def __init__(self, planned: Rank | None = None) -> None:
        self.planned = planned
        """Rank of the plan that wants the frame, as long as no viewer has asked for it."""
        self.plans = 0
        """Plans that want it now."""
        self.readers = 0
        """Viewers that read past its first bytes now."""
        self.stop: int | None = 0
        """Bytes that are wanted, from 0; None is all."""
        self.is_short = False
        """True if the rest behind the first bytes is less than a window, once the length is known."""
        self.followers: set[Follower] = set()
        """They are told to `move` when the rank may be another one."""
        self._came = 0
        self._is_seen_early = False
        """True if a viewer wants only a first picture, or it was there before any viewer read on."""

    def want(self, stop: int | None) -> None:
        """Somebody needs the bytes before `stop`; None is all bytes."""
        self.stop = None if stop is None or self.stop is None else max(self.stop, stop)

    def bytes_of(self, total: int) -> int:
        """Bytes that are wanted of a frame of so many."""
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

    def view(self, number: int, *, is_first_enough: bool, is_early: bool, has_first: bool) -> bool:
        """A viewer wants the frame, so no longer only a plan does. True if the viewer counts as a reader.

        `number` tells which of two viewers came first. A viewer for which the first bytes are enough is no
        reader. `is_early` says that the viewer wants a first picture, `has_first` that its bytes are in.
        """
        self.planned = None
        self._is_seen_early |= is_early
        if not is_first_enough:
            if not self.readers:
                # The rest may have waited for long, because nobody had asked for it.
                self._came = number
                self._is_seen_early |= has_first
            self.readers += 1
        self._move()
        return not is_first_enough

    def leave(self) -> None:
        """A viewer that counts as a reader reads no more."""
        self.readers -= 1
        self._move()

    def _move(self) -> None:
        for follower in tuple(self.followers):
            follower.move()
