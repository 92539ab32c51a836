"""What an origin was found not to have, so that it need not be asked for it again at once.

By caller and instance: what one caller is refused another may have, and an origin that has nothing of one
instance may have it of the next. It is forgotten after a short time, and with the next answer that brings it.
"""

from collections.abc import Callable
from dataclasses import replace
from time import monotonic

from cachetools import TTLCache

from proxy.frame.key import FrameKey

KEPT = 60.0
"""Seconds for which it is remembered."""
MOST_KEPT = 4096
"""Instances for which it is remembered; the one used least recently goes."""


class Lacking:
    """Alternates or pictures of instances, by the key of any frame of theirs."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._keys: TTLCache[FrameKey, None] = TTLCache(MOST_KEPT, KEPT, clock)

    def __contains__(self, key: FrameKey) -> bool:
        return _of_instance(key) in self._keys

    def note(self, key: FrameKey, *, is_there: bool) -> None:
        """The origin gave it, or said that it has no such thing."""
        self._keys.pop(_of_instance(key), None)
        if not is_there:
            self._keys[_of_instance(key)] = None


def _of_instance(key: FrameKey) -> FrameKey:
    return replace(key, resource=replace(key.resource, frame_number=0))
