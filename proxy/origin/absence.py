"""Decides if a 404 says that an origin has no such frame, or if it may refuse only the form of the request.

Trees of files answer 404 to a form in which they have no file, although they have the frame in another form.
Most other origins answer 406 to that. So a 404 is certain if the form has worked for another frame of the
series, or if the origin refuses forms by 406. It is not certain if the origin has refused a form by 404.

This can be wrong for the first frame of a series that is stored in another form than the others. If somebody
asks for that frame once more, the proxy tries the other forms once.
"""

from collections.abc import Callable, Iterable

MOST_FRAMES = 4096
"""Frames of which a 404 is remembered; the oldest are dropped first."""
PLAIN = frozenset({406, 415})
"""Statuses that refuse the form of a request and nothing else."""


class Absence:
    """The refusals of one origin, and what a 404 means after them."""

    def __init__(self, kept: float, clock: Callable[[], float]) -> None:
        """`kept` is the time in seconds after which everything is forgotten."""
        self._kept = kept
        self._clock = clock
        self._refused: dict[int, float] = {}
        self._absent: dict[str, tuple[float, int]] = {}

    def note(self, statuses: Iterable[int]) -> None:
        """The origin refused forms by these statuses, and gave the same frame in another form."""
        self._refused |= dict.fromkeys(statuses, self._clock())

    def is_certain(self, path: str, *, has_worked: bool, is_first: bool) -> bool:
        """True if a 404 for the frame at a path means that there is none.

        `has_worked` is True if the form gave other frames of the series, `is_first` if no form gave any.
        """
        is_plain = not is_first and any(map(self._is_recent, PLAIN))
        return not self._is_recent(404) and (has_worked or is_plain) and self._count(path) != 2

    def _is_recent(self, status: int) -> bool:
        return self._clock() - self._refused.get(status, -self._kept) < self._kept

    def _count(self, path: str) -> int:
        """Counts the requests for a frame that there seems not to be."""
        now = self._clock()
        since, times = self._absent.pop(path, (now, 0))
        if now - since >= self._kept:
            since, times = now, 0
        self._absent[path] = since, times + 1
        if len(self._absent) > MOST_FRAMES:
            del self._absent[next(iter(self._absent))]
        return times + 1
