"""Until when a frame is fresh, and what a stale one is still good for. Pure.

    made ──── lease, `cache.ttl` at most ────► stale ──── `cache.stale` at most ────► of no use
              used without a request                      used if the origin fails (RFC 5861 4)

If the origin can revalidate a frame, the cache may hold it longer than either. Such a frame costs a request
before each use.
"""

from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from proxy.frame.frame import Frame


class Times(NamedTuple):
    """The times of one frame, on the clock of the cache."""

    fresh_until: float
    """From then on, the origin has to be asked first."""
    usable_until: float
    """From then on, the frame is not used if the origin fails."""
    expires: float
    """From then on, the frame is not held."""


@dataclass(frozen=True, slots=True)
class Stale:
    """A stale frame that may be used, because the origin failed."""

    frame: Frame
    """The frame, whole or a prefix."""
    age: float
    """Seconds since the origin made or revalidated the response (RFC 9111 4.2.3)."""
    ended: float
    """Seconds since the end of the lease."""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """The limits of a cache, in seconds."""

    fresh: float
    """How long a frame is fresh at most, from when the response was made."""
    revalidated: float
    """How long a frame is held for revalidation, likewise."""
    stale: float = 0.0
    """How long a frame is used if the origin fails, from the end of its lease."""

    def times(self, frame: Frame, now: float, *, is_shared: bool, doubted: float = -inf) -> Times:
        """The times of a frame. It is held for all callers without a credential if `is_shared`.

        The origin may have another version by now if the frame was made before `doubted`. Such a frame is
        not used before a revalidation.
        """
        lease = frame.identity.claim.lease
        may_be_kept = lease.may_be_kept(is_shared=is_shared)
        fresh_until = usable_until = now
        if lease.after(0.0, now) >= doubted:
            fresh_until = usable_until = lease.until(self.fresh, now, is_shared=is_shared)
            if may_be_kept:
                usable_until += min(self.stale, lease.if_error)
        expires = max(fresh_until, usable_until)
        if may_be_kept and frame.can_be_revalidated:
            expires = max(expires, lease.after(self.revalidated, now))
        return Times(fresh_until, usable_until, expires)
