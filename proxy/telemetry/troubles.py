"""Remembers for an hour what went wrong with one origin: each kind with its times.

Troubles are few, so each is noted as it comes. A kind keeps one number for each minute.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import time

HOUR = 3600.0
"""Seconds for which a trouble is remembered."""
MINUTE = 60
"""Seconds that are counted together."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One kind of trouble in the last hour."""

    times: int
    """How often it came, to the minute."""
    last: float
    """Unix time at which it came last."""


@dataclass(slots=True)
class _Kind:
    last: float = 0.0
    minutes: deque[list[int]] = field(default_factory=deque)
    """Number of each minute and how often the trouble came in it, oldest first."""

    def drop_before(self, oldest: float) -> None:
        while self.minutes and (self.minutes[0][0] + 1) * MINUTE <= oldest:
            self.minutes.popleft()


class Troubles:
    """The troubles of one origin, by kind. The kinds are few and known."""

    def __init__(self, clock: Callable[[], float] = time) -> None:
        self._clock = clock
        self._kinds: dict[str, _Kind] = {}

    def note(self, kind: str) -> None:
        """A trouble of this kind came now."""
        now, known = self._clock(), self._kinds.setdefault(kind, _Kind())
        known.drop_before(now - HOUR)
        known.last, minute = now, int(now) // MINUTE
        if known.minutes and known.minutes[-1][0] >= minute:  # the clock may have been set back
            known.minutes[-1][1] += 1
        else:
            known.minutes.append([minute, 1])

    def lately(self) -> dict[str, Trouble]:
        """The troubles of the last hour."""
        found, oldest = {}, self._clock() - HOUR
        for kind, known in self._kinds.items():
            known.drop_before(oldest)
            if known.minutes:
                found[kind] = Trouble(sum(number for _, number in known.minutes), known.last)
        return found
