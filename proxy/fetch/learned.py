"""Where resolutions and frames of a series ended: how large the next first fetch there should be.

Slices of a series are alike, so they and their resolutions end at nearly the same byte. A guess is the
farthest of the last `LAST` ends and `MARGIN` of it more: one that falls short costs a round trip, one that
goes too far a few bytes that belong to the frame anyway.
"""

from collections import deque

from proxy.codestream.reach import ResolutionTarget
from proxy.frame.key import FrameKey
from proxy.frame.scope import FrameScope

LAST = 16
"""Frames that a guess rests on."""
MARGIN = 1 / 32
"""Part of the farthest end that is added to it."""
MOST_KEPT = 4096
"""Series and reaches that are remembered; the one that was learned of longest ago goes."""

Key = tuple[str, str, str, str, str, ResolutionTarget | None]


class Learned:
    """Ends by series and reach, where None is all of a frame."""

    def __init__(self) -> None:
        self._ends: dict[Key, deque[int]] = {}
        self._apart: dict[Key, None] = {}

    def note(self, key: FrameKey, reach: ResolutionTarget | None, stop: int) -> None:
        """A reach took so many bytes of a frame."""
        series = _series_of(key, reach)
        ends = self._ends.pop(series, None) or deque(maxlen=LAST)
        ends.append(stop)
        self._ends[series] = ends
        while len(self._ends) > MOST_KEPT:
            del self._ends[next(iter(self._ends))]

    def guess(self, key: FrameKey, reach: ResolutionTarget | None) -> int | None:
        """Bytes that a reach will hardly exceed; None where nothing is known of the series."""
        ends = self._ends.get(_series_of(key, reach))
        return int(max(ends) * (1 + MARGIN)) if ends else None

    def note_apart(self, key: FrameKey) -> None:
        """A frame could not be completed by another fetch: nothing would tell two versions apart."""
        self._apart[_series_of(key, None)] = None
        while len(self._apart) > MOST_KEPT:
            del self._apart[next(iter(self._apart))]

    def is_apart(self, key: FrameKey) -> bool:
        """True if the frames of a series are fetched whole, each by one request."""
        return bool(self._apart) and _series_of(key, None) in self._apart

    def forget(self, named: FrameScope) -> None:
        """Forgets what was learned of series, if all of a series is named."""
        if named.instance:
            return
        for key in [key for key in {**self._apart, **self._ends} if named.touches(*key[:3])]:
            self._ends.pop(key, None)
            self._apart.pop(key, None)


def _series_of(key: FrameKey, reach: ResolutionTarget | None) -> Key:
    return key.origin, key.resource.study, key.resource.series, key.frames_path, key.query, reach
