"""A stale frame in place of an error, if the origin is away (RFC 5861 4, RFC 9111 4.2.4).

The origin is always tried first. If it gives no answer, the viewer gets the frame that the cache still holds,
and the response says so. An answer of the origin is never replaced: no refusal, no limit, and no answer that
can't be trusted, such as a page to log in.
"""

from proxy.access.caller import Caller
from proxy.cache.lifetimes import Stale
from proxy.errors import (
    OriginBusy,
    OriginError,
    OriginFailed,
    OriginHungUp,
    OriginTimeout,
    OriginUnreachable,
)
from proxy.fetch.permits import Permits
from proxy.fetch.retrieve import Reading, Retrieval, Retrieve


def is_away(error: OriginError) -> bool:
    """True if the origin gave no answer, or only a 5xx; 429 says that it is there.

    >>> is_away(OriginBusy(503, None)), is_away(OriginBusy(429, None))
    (True, False)
    """
    if isinstance(error, OriginBusy):
        return error.status >= 500
    if isinstance(error, OriginFailed):
        return error.is_outage
    return isinstance(error, OriginUnreachable | OriginTimeout | OriginHungUp)


class StandingIn:
    """Finds frames that stand in for the origin."""

    def __init__(self, retrieve: Retrieve, permits: Permits) -> None:
        self._retrieve = retrieve
        self._permits = permits

    async def find(
        self, caller: Caller, wanted: Retrieval, failed: Reading, error: OriginError
    ) -> Stale | None:
        """The frame to send instead of an error of a fetch; None if the viewer has to get the error.

        The origin is not asked whether the caller may read, so a yes of the origin has to count still. If the
        origin began to answer, it must have named the version that is held.
        """
        if not (is_away(error) and self._permits.may_read_stale(caller, wanted.key)):
            return None
        stale = await self._retrieve.stale(wanted)
        if stale is None or not self._permits.may_read_stale(caller, wanted.key):  # that may take a while
            return None
        said, held = failed.fill.claim if failed.fill else None, stale.frame.identity.claim
        is_same = said is None or (said.total, said.validator) == (held.total, held.validator)
        return stale if is_same else None
