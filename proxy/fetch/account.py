"""Bytes that are still to come from one origin, by the turn of the fetch that brings them.

Seats enter the bytes that they expect, and the gate reads how many bytes go before a fetch. No other count
of these bytes exists.
"""

from typing import NamedTuple

from proxy.fetch.turns import Turn


class FetchSize(NamedTuple):
    """The expected bytes of a fetch."""

    first: int
    """First bytes of the frame among them."""
    rest: int
    """Bytes after the first bytes."""


NOTHING = FetchSize(0, 0)
"""The size of a fetch that has not gone out, or has ended."""


class Account:
    """Bytes to come on the fetches that have gone out."""

    def __init__(self) -> None:
        self._by_turn = [0] * len(Turn)

    def enter(self, turns: tuple[Turn, Turn], before: FetchSize, now: FetchSize) -> None:
        """Replaces the bytes that one fetch expects; `turns` are those of its first bytes and of its rest."""
        for turn, less, more in zip(turns, before, now, strict=True):
            self._by_turn[turn] += more - less

    def of(self, turn: Turn) -> int:
        """Bytes to come on fetches of this turn."""
        return self._by_turn[turn]

    def ahead_of(self, turn: Turn) -> int:
        """Bytes to come that a fetch of this turn has to wait for."""
        if turn is Turn.VIEWER_WHOLE:
            return self._by_turn[turn]
        return sum(self._by_turn[: Turn.PLAN_FIRST]) if turn < Turn.PLAN_FIRST else self.total

    @property
    def total(self) -> int:
        """Bytes to come on all fetches."""
        return sum(self._by_turn)
