"""The two parts of the store, first pieces and whole frames. Imports cachetools."""

from collections.abc import Callable
from dataclasses import dataclass

from cachetools import Cache, TLRUCache

from proxy.frame.frame import Frame
from proxy.frame.key import FrameKey


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
    account: bytes = b""
    """The account that the frame is charged to."""
    is_used: bool = False
    """True if somebody got it from the cache since it was charged."""


Part = TLRUCache[FrameKey, Kept]


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


def parts_of(budget: int, clock: Callable[[], float]) -> tuple[Part, Part]:
    """The first pieces, and the whole frames. Either may take the whole budget."""
    return TLRUCache(budget, _expires, clock, first_size), TLRUCache(budget, _expires, clock, _rest_size)
