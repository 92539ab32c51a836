"""The two parts of the store, first pieces and whole frames, counted by kind. Imports cachetools."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from cachetools import Cache, TLRUCache

from proxy.frame.frame import Frame
from proxy.frame.key import FrameKey
from proxy.frame.kinds import KINDS
from proxy.telemetry.metrics import PARTS, Metrics


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


class Part(TLRUCache[FrameKey, Kept]):
    """One part. Each way in and out of it goes through a method here, so that `sizes` is right."""

    def __init__(self, most: int, clock: Callable[[], float], size_of: Callable[[Kept], int]) -> None:
        super().__init__(most, _expires, clock, size_of)
        self.sizes = dict.fromkeys(KINDS, 0.0)
        """Bytes of each kind."""

    def __setitem__(self, key: FrameKey, kept: Kept) -> None:
        """Adds an entry; another one of the key has been removed before."""
        super().__setitem__(key, kept)
        if Cache.__contains__(self, key):
            self.sizes[kept.kind] += self.getsizeof(kept)

    def __delitem__(self, key: FrameKey) -> None:
        kept = Cache.__getitem__(self, key)
        self.sizes[kept.kind] -= self.getsizeof(kept)
        super().__delitem__(key)

    def drop(self, key: FrameKey) -> Kept | None:
        """Removes an entry, expired or not, and returns it; None if there is none."""
        if not Cache.__contains__(self, key):
            return None
        kept: Kept = Cache.__getitem__(self, key)
        with suppress(KeyError):  # it has expired
            del self[key]
        return kept

    def expire(self, time: float | None = None) -> list[tuple[FrameKey, Kept]]:
        """Drops the entries that have expired, and returns them."""
        expired = list(super().expire(time))
        for _, kept in expired:
            self.sizes[kept.kind] -= self.getsizeof(kept)
        return expired


def first_size(kept: Kept) -> int:
    """Bytes of the first piece."""
    return len(kept.frame.pieces[0])


def _rest_size(kept: Kept) -> int:
    return kept.frame.size - len(kept.frame.pieces[0])


def bytes_in(part: Part) -> int:
    """Bytes that a part holds. Its own `currsize` looks for expired entries each time, as `len` does."""
    return int(Cache.currsize.__get__(part))


def _expires(_key: FrameKey, kept: Kept, _now: float) -> float:
    return kept.expires


def entries_in(part: Part) -> int:
    """Number of entries of a part, expired or not."""
    return Cache.__len__(part)


def parts_of(budget: int, clock: Callable[[], float], metrics: Metrics) -> tuple[Part, Part]:
    """The first pieces, and the whole frames. Either may take the whole budget."""
    firsts, rests = Part(budget, clock, first_size), Part(budget, clock, _rest_size)
    for name, part in zip(PARTS, (firsts, rests), strict=True):
        metrics.cache_bytes.labels(name).set_function(partial(bytes_in, part))
        for kind in KINDS:
            metrics.kept_bytes.labels(kind, name).set_function(partial(part.sizes.__getitem__, kind))
    return firsts, rests
