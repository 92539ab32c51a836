"""The keys of a frame at a server that replicas share, and the names of its fences. Pure, but for HMACs."""

from dataclasses import dataclass

from proxy.cache.lie import Lie
from proxy.cache.sealed import Name, Names
from proxy.cache.tier import SMALL
from proxy.frame.key import FrameKey
from proxy.frame.scope import FrameScope

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

    def piece(self, mark: bytes, number: int) -> bytes:
        """The key of a piece of its rest, with the mark of its lie."""
        return b"%s:%s:%d" % (self.record, mark, number)


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


def values_of(at: Places, lie: Lie, *, is_whole: bool) -> list[Value]:
    """The values of a frame, in order; only of its first piece if it is not whole."""
    is_small = lie.total <= SMALL
    end = lie.total if is_small and is_whole else lie.begin
    values = [Value(at.first, lie.about("first"), 0, end)]
    if is_whole and not is_small:
        spans = ((number, lie.span(number)) for number in range(lie.pieces))
        values += [Value(at.piece(lie.mark, number), lie.about(str(number)), *span) for number, span in spans]
    return values
