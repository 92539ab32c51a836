"""Frames that an origin does not have, remembered for a few seconds, so that not each viewer asks for them.

An origin may say "not found" to a caller that may not see a frame. So the proxy remembers it for each caller,
by an HMAC of the credentials. If a request through the proxy changes the origin, the proxy forgets the frames
that the request names, and does not remember responses that were on their way.
"""

import hmac
import secrets
from collections.abc import Callable
from time import monotonic

from proxy.cache.kept import NAME, Kept, Ledger
from proxy.errors import OriginRefused
from proxy.frame.key import FrameKey
from proxy.frame.scope import FrameScope
from proxy.frame.supply import OriginRequest

KEPT = 3.0
"""Seconds for which a frame counts as missing."""
MOST_KEPT = 4096
"""Maximum number of frames that are remembered; the oldest are dropped first."""
GONE = frozenset({404, 410})
"""Statuses with which an origin says that it does not have a frame."""


class Missing:
    """The frames that one origin lacks, as far as each caller was told."""

    def __init__(self, clock: Callable[[], float] = monotonic, ledger: Ledger | None = None) -> None:
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._told: Kept[tuple[FrameKey, bytes], tuple[float, int]] = Kept(ledger, MOST_KEPT, _size_of)
        self.kept = KEPT
        """Seconds for which a frame counts as missing."""
        self.changes = 0
        """Number of changes that made the proxy forget. A request notes it before it is sent."""

    def __len__(self) -> int:
        return len(self._told)

    def check(self, asked: OriginRequest) -> None:
        """Raises `OriginRefused` if this caller was told a moment ago that the frame is missing."""
        if not self._told:
            return
        until, status = self._told.get(self._key(asked)) or (0.0, 0)
        if status and self._clock() < until:
            raise OriginRefused(status, is_repeated=True)

    def note(self, asked: OriginRequest, status: int, changes: int) -> None:
        """The origin refused a frame. `changes` is the number from before the request."""
        if status not in GONE or changes != self.changes:
            return
        self._told.put(self._key(asked), (self._clock() + self.kept, status))

    def forget(self, named: FrameScope) -> None:
        """The frames in a scope may exist now."""
        self.changes += 1
        for key in self._told:
            if named.has(key[0]):
                self._told.pop(key)

    def _key(self, asked: OriginRequest) -> tuple[FrameKey, bytes]:
        proof = repr(tuple(asked.credentials)).encode("utf-8", "surrogateescape")
        return asked.key, hmac.digest(self._secret, proof, "sha256")


def _size_of(key: tuple[FrameKey, bytes], _value: object) -> int:
    return NAME + len(key[0].query)
