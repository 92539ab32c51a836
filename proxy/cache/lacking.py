"""A negative cache: alternates that an origin does not have, so that the proxy does not request them again.

Entries are kept per partition and instance. An origin can refuse one caller and serve another, and it can
lack an alternate for one instance and have it for the next. An entry expires after a short time, or as soon
as the origin returns the alternate.
"""

from collections.abc import Callable
from dataclasses import replace
from time import monotonic

from cachetools import TTLCache

from proxy.frame.key import FrameKey

KEPT = 60.0
"""Seconds after which an entry expires."""
MOST_KEPT = 4096
"""Most entries. The least recently used one is dropped first."""


class Lacking:
    """Alternates that the origin lacks. The key of any frame of an instance stands for the instance."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._keys: TTLCache[FrameKey, None] = TTLCache(MOST_KEPT, KEPT, clock)

    def __contains__(self, key: FrameKey) -> bool:
        return _of_instance(key) in self._keys

    def note(self, key: FrameKey, *, is_there: bool) -> None:
        """Records that the origin returned the alternate, or said that it does not have it."""
        self._keys.pop(_of_instance(key), None)
        if not is_there:
            self._keys[_of_instance(key)] = None


def _of_instance(key: FrameKey) -> FrameKey:
    return replace(key, resource=replace(key.resource, frame_number=0))
