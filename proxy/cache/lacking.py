"""A negative cache: alternates that an origin does not have, so that the proxy does not request them again.

Entries are kept per partition and instance. An origin can refuse one caller and serve another, and it can
lack an alternate for one instance and have it for the next. An entry expires after a short time, or as soon
as the origin returns the alternate.
"""

from collections.abc import Callable
from dataclasses import replace
from time import monotonic

from proxy.cache.kept import NAME, Kept, Ledger
from proxy.frame.key import FrameKey

KEPT = 60.0
"""Seconds after which an entry expires."""
MOST_KEPT = 4096
"""Most entries. The oldest one is dropped first."""


class Lacking:
    """Alternates that the origin lacks. The key of any frame of an instance stands for the instance."""

    def __init__(self, clock: Callable[[], float] = monotonic, ledger: Ledger | None = None) -> None:
        self._clock = clock
        self._until: Kept[FrameKey, float] = Kept(ledger, MOST_KEPT, _size_of)

    def __contains__(self, key: FrameKey) -> bool:
        return self._clock() < (self._until.get(_of_instance(key)) or 0.0)

    def note(self, key: FrameKey, *, is_there: bool) -> None:
        """Records that the origin returned the alternate, or said that it does not have it."""
        if is_there:
            self._until.pop(_of_instance(key))
        else:
            self._until.put(_of_instance(key), self._clock() + KEPT)


def _of_instance(key: FrameKey) -> FrameKey:
    return replace(key, resource=replace(key.resource, frame_number=0))


def _size_of(key: FrameKey, _until: float) -> int:
    return NAME + len(key.query)
