"""Sizes of the frames and resolutions of a series, from which the size of the next first fetch is guessed.

Slices of a series are alike, so they and their resolutions end at nearly the same byte. A guess is the
largest of the last `LAST` ends, plus `MARGIN` of it. A guess that is too small costs a round trip. One that
is too large costs a few bytes, which belong to the frame anyway.
"""

from collections import deque

from proxy.cache.kept import NAME, Kept, Ledger
from proxy.codestream.reach import ResolutionTarget
from proxy.frame.key import FrameKey
from proxy.frame.scope import FrameScope

LAST = 16
"""Number of recent frames on which a guess is based."""
MARGIN = 1 / 32
"""Fraction of the largest end that is added to it."""
MOST_KEPT = 4096
"""Series and targets that are remembered; the one noted longest ago is dropped first."""
DEQUE = 700
"""Bytes of the numbers of a series: a deque has room for 64."""

Key = tuple[str, str, str, str, str, str, ResolutionTarget | None]


class Learned:
    """Ends by series and target; the target None is the whole frame."""

    def __init__(self, ledger: Ledger | None = None) -> None:
        self._ends: Kept[Key, deque[int]] = Kept(ledger, MOST_KEPT, _size_of)
        self._apart: Kept[Key, bool] = Kept(ledger, MOST_KEPT, _size_of)

    def note(self, key: FrameKey, reach: ResolutionTarget | None, stop: int) -> None:
        """Notes that a target ended at byte `stop` of a frame; exclusive."""
        series = _series_of(key, reach)
        ends = self._ends.get(series) or deque(maxlen=LAST)
        ends.append(stop)
        self._ends.put(series, ends)

    def guess(self, key: FrameKey, reach: ResolutionTarget | None) -> int | None:
        """Bytes that a target will hardly exceed; None if nothing is known of the series."""
        ends = self._ends.get(_series_of(key, reach))
        return int(max(ends) * (1 + MARGIN)) if ends else None

    def note_apart(self, key: FrameKey) -> None:
        """Notes that a second fetch could not complete a frame, since versions can't be told apart."""
        self._apart.put(_series_of(key, None), True)

    def is_apart(self, key: FrameKey) -> bool:
        """True if frames of the series are fetched whole, each by one request."""
        return len(self._apart) > 0 and _series_of(key, None) in self._apart

    def forget(self, named: FrameScope) -> None:
        """Forgets the series in a scope, unless the scope is only an instance."""
        if named.instance:
            return
        for table in (self._ends, self._apart):
            for key in table:
                if named.touches(*key[:3]):
                    table.pop(key)


def _series_of(key: FrameKey, reach: ResolutionTarget | None) -> Key:
    at = key.resource
    return key.origin, at.study, at.series, key.frames_path, key.query, key.form, reach


def _size_of(key: Key, _value: object) -> int:
    """Bytes of an entry, with a deque of so many numbers."""
    return NAME + DEQUE + len(key[4])
