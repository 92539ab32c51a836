"""The two parts of the store, first pieces and whole frames, counted by kind."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from heapq import heapify, heappop, heappush
from itertools import count

from proxy.frame.frame import Frame
from proxy.frame.key import FrameKey
from proxy.frame.kinds import KINDS
from proxy.telemetry.metrics import PARTS, Metrics

LEFT = 1024
"""Number of ends of entries that have left which may pile up, beside as many as there are entries."""


@dataclass(slots=True)
class Kept:
    """A frame, or only its first piece."""

    frame: Frame
    fresh_until: float
    """`Times.fresh_until`; a frame that is evicted in part keeps its times."""
    usable_until: float
    """`Times.usable_until`."""
    expires: float
    """`Times.expires`."""
    kind: str
    """The kind of the frame."""
    account: bytes
    """The account that the frame is charged to."""
    is_used: bool = False
    """True if somebody got it from the cache since it was charged."""


class Part:
    """One part, in the order of use. An entry that has expired is of no use, and counts until it is dropped.

    The frame, the kind and the end of an entry don't change while it is in.
    """

    def __init__(self, clock: Callable[[], float], size_of: Callable[[Kept], int]) -> None:
        self.size = 0
        """Bytes of all entries."""
        self.sizes = dict.fromkeys(KINDS, 0)
        """Bytes of the entries of each kind."""
        self._clock = clock
        self._size_of = size_of
        self._entries = OrderedDict[FrameKey, Kept]()
        self._ends: list[tuple[float, int, FrameKey]] = []  # a heap; entries that left stay in it for a while
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[FrameKey]:
        return iter(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def values(self) -> Iterable[Kept]:
        """All entries, the one that was used longest ago first."""
        return self._entries.values()

    def get(self, key: FrameKey) -> Kept | None:
        """Uses an entry; None if there is none."""
        kept = self._entries.get(key)
        if kept is None or self._clock() >= kept.expires:
            return None
        self._entries.move_to_end(key)
        return kept

    def put(self, key: FrameKey, kept: Kept) -> None:
        """Adds or replaces an entry."""
        self.pop(key)
        self._entries[key] = kept
        self._count(kept, self._size_of(kept))
        if len(self._ends) > 2 * len(self._entries) + LEFT:
            self._ends = [(each.expires, next(self._numbers), name) for name, each in self._entries.items()]
            heapify(self._ends)
        else:
            heappush(self._ends, (kept.expires, next(self._numbers), key))

    def pop(self, key: FrameKey) -> Kept | None:
        """Removes an entry, and returns it; None if there is none."""
        kept = self._entries.pop(key, None)
        if kept is not None:
            self._count(kept, -self._size_of(kept))
        return kept

    def pop_oldest(self) -> tuple[FrameKey, Kept]:
        """Removes the entry that was used longest ago, and returns it."""
        key, kept = self._entries.popitem(last=False)
        self._count(kept, -self._size_of(kept))
        return key, kept

    def drop_expired(self) -> list[tuple[FrameKey, Kept]]:
        """Drops the entries that have expired, and returns them."""
        dropped, now = [], self._clock()
        while self._ends and self._ends[0][0] <= now:
            _, _, key = heappop(self._ends)
            kept = self._entries.get(key)
            if kept is not None and kept.expires <= now:  # it may have been put again
                del self._entries[key]
                self._count(kept, -self._size_of(kept))
                dropped.append((key, kept))
        return dropped

    def _count(self, kept: Kept, size: int) -> None:
        self.size += size
        self.sizes[kept.kind] += size


def first_size(kept: Kept) -> int:
    """Bytes of the first piece."""
    return len(kept.frame.pieces[0])


def _rest_size(kept: Kept) -> int:
    return kept.frame.size - len(kept.frame.pieces[0])


def parts_of(clock: Callable[[], float], metrics: Metrics) -> tuple[Part, Part]:
    """The first pieces, and the whole frames."""
    firsts, rests = Part(clock, first_size), Part(clock, _rest_size)
    for name, part in zip(PARTS, (firsts, rests), strict=True):
        metrics.cache_bytes.labels(name).set_function(partial(getattr, part, "size"))
        for kind in KINDS:
            metrics.kept_bytes.labels(kind, name).set_function(partial(part.sizes.__getitem__, kind))
    return firsts, rests
