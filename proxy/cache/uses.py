"""Uses of frames without a look-up, which takes 4 µs.

A reader that got a frame makes a mark. As long as the mark counts, the cache would return the same frame, so
a use is only noted. Notes are carried out before the order of use matters: before a look-up or a change.
"""

from collections.abc import Callable
from typing import NamedTuple

from proxy.frame.key import FrameKey

MOST_NOTED = 256
"""Uses that are noted; then they are carried out."""


class Mark(NamedTuple):
    """A time at which the cache held a frame."""

    changes: int
    """Number of changes of the cache until then."""
    until: float
    """Time on the cache's clock until which the frame is fresh."""


NO_MARK = Mark(-1, 0.0)
"""A mark that never counts."""


class Uses:
    """The marks and uses of a cache."""

    def __init__(self, look_up: Callable[[FrameKey], object], clock: Callable[[], float]) -> None:
        """`look_up` makes a frame the one that was used last."""
        self.changes = 0
        """Number of changes of the cache."""
        self._look_up = look_up
        self._clock = clock
        self._noted: list[FrameKey] = []

    def note(self, key: FrameKey, mark: Mark) -> bool:
        """Notes a use of a frame, and returns True, if its mark still counts."""
        if mark.changes != self.changes or self._clock() >= mark.until:
            return False
        self._noted.append(key)
        if len(self._noted) >= MOST_NOTED:
            self.carry_out()
        return True

    def end_marks(self) -> None:
        """A frame is put, dropped or evicted: no mark counts any longer, and each use is in its place."""
        self.changes += 1
        self.carry_out()

    def carry_out(self) -> None:
        """Looks up each frame that was used, the one that was used last at the end."""
        if self._noted:
            noted, self._noted = dict.fromkeys(reversed(self._noted)), []
            for key in reversed(noted):
                self._look_up(key)
