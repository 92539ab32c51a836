"""The readers of a fill, and how far it may go for them if room is short.

If there is room, a fill goes on to the end of what was ever wanted. If room is short, it goes on by
stretches, and only while a reader needs the next one soon.
"""

from collections.abc import Callable
from typing import Protocol

from proxy.cache.room import Room


class FillPosition(Protocol):
    """A reader, as its fill sees it."""

    at: int
    """The reader needs no byte before this offset any more."""
    until: float
    """The reader needs the bytes before this offset soon."""


class Pace:
    """How far one fill may go."""

    def __init__(self, room: Room) -> None:
        self.readers: set[FillPosition] = set()
        """The viewers, plans and makers that read."""
        self.is_by_stretches = False
        """True once room was short: from then on the fill asks for a stretch at a time."""
        self._was_read = False
        self._room = room

    def join(self, reader: FillPosition) -> None:
        """One more reader."""
        self._was_read = True
        self.readers.add(reader)

    @property
    def was_left(self) -> bool:
        """True if there were readers, and all have left."""
        return self._was_read and not self.readers

    @property
    def is_short(self) -> bool:
        """True if there is no room for another stretch."""
        return self._room.is_short

    @property
    def is_left(self) -> bool:
        """True if room is short and nobody reads."""
        return not self.readers and self._room.is_short

    @property
    def passed(self) -> int:
        """End of the bytes that every reader has passed, exclusive."""
        return min((reader.at for reader in self.readers), default=0)

    def has_to_wait(self, size: int) -> bool:
        """True if room is short, and no reader needs more than the first `size` bytes soon."""
        return self._room.is_short and all(reader.until <= size for reader in self.readers)

    def goes_on(self, size: int, wake: Callable[[], None]) -> bool:
        """True if the fill may go beyond `size` now. If not, `wake` is called when there is room."""
        if self.has_to_wait(size):
            self._room.wait(self, wake)
            return False
        self._room.leave(self)
        return True

    def end(self) -> None:
        """The fill needs no more room."""
        self._room.leave(self)
