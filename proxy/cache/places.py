"""The keys of a frame at a server that replicas share, and the names of its fences. Pure, but for HMACs."""

from dataclasses import dataclass
from itertools import pairwise

from proxy.cache.lie import Lie
from proxy.cache.sealed import Name, Names
from proxy.cache.tier import SMALL, piece_end
from proxy.frame.frame import PIECE, SMALL_PIECE
from proxy.frame.key import FrameKey
from proxy.frame.scope import FrameScope

AT_ONCE = PIECE // SMALL_PIECE
"""Most values in one round trip."""
LEVELS = ("origin", "study", "frame")
"""The levels that have fences."""


@dataclass(frozen=True, slots=True)
class Places:
    """The keys of a frame at the server. All but those of wide fences are in one slot of a cluster."""

    name: Name
    """The names of the frame."""
    fences: tuple[bytes, ...]
    """The keys of its fences, from wide to narrow."""
    lease: bytes
    """The key of its lease."""
    record: bytes
    """The key of its record."""
    first: bytes
    """The key of its first bytes, or of the whole frame if it is small."""

    def piece(self, mark: bytes, start: int) -> bytes:
        """The key of the piece of its rest that begins at `start`, with the mark of its lie."""
        return b"%s:%s:%d" % (self.record, mark, start)


class Keys:
    """Gives places."""

    def __init__(self, names: Names, prefix: bytes) -> None:
        self.prefix = prefix
        """The beginning of each key."""
        self._names = names

    def of(self, key: FrameKey) -> Places:
        """The places of a frame."""
        name = self._names.of(key)
        fences = tuple(self._fence(level) for level in levels_of(self._names, key))
        own = b"%s:%s" % (fences[-1].removesuffix(b":fence"), name.exact.hex().encode())
        return Places(name, fences, own + b":lease", own, own + b":first")

    def fence(self, named: FrameScope) -> bytes:
        """The narrowest fence around a scope. Other frames may be behind it too."""
        return self._fence(levels_around(self._names, named)[-1])

    def _fence(self, level: int) -> bytes:
        return b"%s:{%016x}:fence" % (self.prefix, level)


def levels_of(names: Names, key: FrameKey) -> tuple[int, ...]:
    """The names of the levels that have fences, of a frame; 64 bits each."""
    at = key.resource
    return levels_around(names, FrameScope(key.origin, at.study, at.series, at.instance, at.frame_number))


def levels_around(names: Names, named: FrameScope) -> tuple[int, ...]:
    """The names of the levels that have fences and contain a scope, from wide to narrow."""
    levels = names.within(named)
    return tuple(levels[level] & (2**64 - 1) for level in LEVELS if level in levels)


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a frame at the server."""

    place: bytes
    """Its key."""
    about: bytes
    """The facts that its seal is bound to."""
    start: int
    """The first byte of the frame that it has."""
    stop: int
    """The end of its bytes, exclusive."""

    @property
    def size(self) -> int:
        """Bytes of the frame that it has."""
        return self.stop - self.start


def values_of(at: Places, lie: Lie, size: int) -> list[Value]:
    """The values of the first `size` bytes of a frame, in order; only those that are complete by then."""
    is_small = lie.total <= SMALL
    ends = [lie.total if is_small and size == lie.total else lie.begin]
    while not is_small and ends[-1] < size:
        ends.append(min(piece_end(ends[-1]), lie.total))
    values, mark = [Value(at.first, lie.about("first"), 0, ends[0])], lie.mark
    for start, stop in pairwise(ends):
        values.append(Value(at.piece(mark, start), lie.about(f"{start}-{stop}"), start, stop))
    return [each for each in values if each.stop <= size]


def at_once(values: list[Value]) -> list[Value]:
    """The values that go in one round trip: one, or several that are not longer than a large piece."""
    return [each for each in values[:AT_ONCE] if each.stop <= max(values[0].stop, values[0].start + PIECE)]
