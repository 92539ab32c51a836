"""One budget for the bytes of all frames in memory, in the cache or not.

    kept      bytes in the cache, which evicts frames that nobody reads to make room for the other two
    filling   bytes of fills that are not in the cache
    lent      bytes of frames that are still read, but not in the cache any more

Bytes that the cache, a fill and its readers share exist once, and count once, as kept.

If the cache has nothing left to evict for fills, room is *short*. A fill that no reader waits for then waits,
and is woken when there is room again.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from proxy.frame.frame import Frame

STRETCH = 256 * 1024
"""Bytes that a fill fetches at a time if room is short."""


@dataclass(slots=True)
class _Borrowed:
    frame: Frame
    """The frame, as far as it is read."""
    borrowers: int
    """Readers and fills that have it now."""
    kept: int
    """Bytes of it that the cache has too."""

    @property
    def lent(self) -> int:
        return max(0, self.frame.size - self.kept)


class Room:
    """Counts the bytes outside the cache, and those in it that are read."""

    def __init__(self, budget: int, fixed: Callable[[], int], evict: Callable[[], None]) -> None:
        """`fixed` returns bytes that fills do not displace; `evict` brings all within the budget."""
        self.filling = 0
        """Bytes of fills that are not in the cache."""
        self.lent = 0
        """Bytes of frames that are read, but not in the cache."""
        self.in_use = 0
        """Bytes of frames that are read, in the cache or not."""
        self._budget = budget
        self._fixed = fixed
        self._evict = evict
        self._fills: dict[Hashable, int] = {}
        self._borrowed: dict[int, _Borrowed] = {}
        self._waiting: dict[Hashable, Callable[[], None]] = {}

    @property
    def is_short(self) -> bool:
        """True if another stretch would not fit, even if the cache evicted all that it may."""
        return self.filling + self.in_use + self._fixed() + STRETCH > self._budget

    @property
    def waiting(self) -> int:
        """Number of fills that wait."""
        return len(self._waiting)

    def left_beside(self, frame: Frame) -> int:
        """Bytes that are left if the cache keeps this frame and those that are read."""
        borrowed = self._borrowed.get(_name(frame))
        return self._budget - self.filling - self.in_use + (borrowed.frame.size if borrowed else 0)

    def is_borrowed(self, frame: Frame) -> bool:
        """True if the frame is read, so that evicting it would free nothing."""
        return _name(frame) in self._borrowed

    def hold(self, fill: Hashable, size: int) -> None:
        """A fill has `size` bytes that are not in the cache."""
        grown = size - self._fills.pop(fill, 0)
        if size:
            self._fills[fill] = size
        self.filling += grown
        if grown > 0:
            self._evict()
        elif grown < 0:
            self.wake()

    def borrow(self, frame: Frame) -> None:
        """Somebody reads a frame, all of which the cache has now."""
        borrowed = self._borrowed.setdefault(_name(frame), _Borrowed(frame, 0, frame.size))
        if not borrowed.borrowers:
            self.in_use += frame.size
        borrowed.borrowers += 1
        self._change(borrowed, max(borrowed.frame, frame, key=lambda each: each.size), frame.size)

    def give_back(self, frame: Frame) -> None:
        """Somebody who borrowed a frame has read it."""
        borrowed = self._borrowed[_name(frame)]
        borrowed.borrowers -= 1
        if not borrowed.borrowers:
            del self._borrowed[_name(frame)]
            self.in_use -= borrowed.frame.size
            self.lent -= borrowed.lent
            self.wake()

    def keep(self, frame: Frame, size: int) -> None:
        """The cache has the first `size` bytes of a frame from now on."""
        borrowed = self._borrowed.get(_name(frame))
        if borrowed is not None:
            self._change(borrowed, borrowed.frame, size)

    def wait(self, fill: Hashable, wake: Callable[[], None]) -> None:
        """Calls `wake` once, when there may be room for a fill."""
        self._waiting[fill] = wake

    def leave(self, fill: Hashable) -> None:
        """A fill does not wait any more; so the next one may go on, if there is room."""
        self._waiting.pop(fill, None)
        self.wake()

    def wake(self) -> None:
        """Wakes the fill that has waited longest, if there is room. It wakes the next one when it goes on."""
        if self._waiting and not self.is_short:
            self._waiting.pop(next(iter(self._waiting)))()

    def _change(self, borrowed: _Borrowed, frame: Frame, kept: int) -> None:
        lent, size = borrowed.lent, borrowed.frame.size
        borrowed.frame, borrowed.kept = frame, kept
        self.lent += borrowed.lent - lent
        self.in_use += frame.size - size


def _name(frame: Frame) -> int:
    """The first piece stands for the frame, because the prefix and the whole share it."""
    return id(frame.pieces[0])
