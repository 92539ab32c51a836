"""The worker that keeps a study: the live one whose number and study together give the highest hash.

If a worker dies, its studies spread over the others. All other studies stay where they are. Pure.
"""

from collections.abc import Collection
from hashlib import blake2b

MOST_KEPT = 4096
"""Most studies whose worker is remembered."""


class Owners:
    """The workers that are live, and the studies of each."""

    def __init__(self, live: Collection[int] = ()) -> None:
        self._live = tuple(live)
        self._known: dict[bytes, int | None] = {}

    @property
    def live(self) -> tuple[int, ...]:
        """Numbers of the live workers."""
        return self._live

    @live.setter
    def live(self, numbers: Collection[int]) -> None:
        self._live = tuple(numbers)
        self._known.clear()

    def of(self, study: bytes) -> int | None:
        """The number of the worker that keeps a study; None if no worker is live."""
        if study not in self._known:
            if len(self._known) >= MOST_KEPT:
                self._known.clear()
            self._known[study] = max(self._live, key=lambda number: _weight(number, study), default=None)
        return self._known[study]


def _weight(number: int, study: bytes) -> bytes:
    return blake2b(study, digest_size=8, key=b"%d" % number).digest()
