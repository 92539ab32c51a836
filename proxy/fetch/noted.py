"""Notes what an origin's response says about its caller, and about what is held of a study."""

from collections.abc import Callable

from proxy.access.caller import ASKED
from proxy.cache.holding import Holding
from proxy.cache.representation import Head, Representation
from proxy.fetch.arrival import Arrival
from proxy.fetch.rights import Right, Rights
from proxy.frame.key import ResourceKey
from proxy.frame.scope import FrameScope
from proxy.origin.representing import confirmed

_GONE = frozenset({404, 410})
_REFUSED = frozenset({301, 302, 303, 307, 308, 401, 403})


class Noted:
    """The responses to requests for resources, as they are noted."""

    def __init__(self, holding: Holding, rights: Rights, on_gone: Callable[[FrameScope], None]) -> None:
        """`on_gone` is called with what the origin had, and has no longer."""
        self._holding = holding
        self._rights = rights
        self._on_gone = on_gone

    def note(self, key: ResourceKey, head: Head, right: Right, refusals: int) -> None:
        """Notes what a response says about the caller, and about what is held."""
        if head.is_kept:
            self._rights.allow(right, refusals)
        elif head.status in _REFUSED:
            self._rights.refuse(right)
            if right.name is None:
                self._holding.drop(key)
        elif head.status in _GONE and (right.name is None or right.has_yes):
            if self._holding.drop_gone(key) and key.partition in (b"", ASKED):  # it is so for all callers
                of = key.resource
                self._on_gone(FrameScope(key.origin, of.study, of.series, of.instance))
        elif head.status != 200:
            self._holding.failed(key)
        elif head.is_page:  # perhaps a page to log in
            self._rights.refuse(right)

    def fetched_by(self, key: ResourceKey) -> bytes:
        """The caller who fetched what is held; empty if nothing is."""
        held = self._holding.get(key)
        return b"" if held is None else held.by

    def confirm(
        self, arrival: Arrival, held: Representation, head: Head, right: Right, refusals: int
    ) -> None:
        """The origin has confirmed to this caller what is held."""
        lease, may_be_stale = confirmed(head, held.head)
        same = held.renewed(lease, may_be_stale=may_be_stale)
        was = self._holding.get(arrival.key)
        if was is None or right.covers(was.by):
            self._rights.allow(right, refusals)
        else:
            self._rights.compared(right, refusals, is_same=True)
        if was is not None and was.representation is held and not arrival.is_forgotten:
            self._holding.put(arrival.key, same, was.by, was.shown_to)
        arrival.confirm(same)

    def keep(self, key: ResourceKey, whole: Representation, right: Right, refusals: int) -> None:
        """Holds a response, for all callers of its partition or, if it differs from theirs, for one."""
        held = self._holding.get(key)
        if held is None or right.covers(held.by) or held.by == right.caller:
            self._holding.put(key, whole, right.caller, frozenset({right.caller}))
            return
        is_equal = held.representation.digest == whole.digest
        if is_equal:
            self._holding.show(key, held, right.caller)
        partition = self._rights.compared(right, refusals, is_same=is_equal)
        if partition != key.partition:
            own = ResourceKey(key.origin, partition, key.resource, key.target, key.accept, key.others)
            self._holding.put(own, whole, right.caller, frozenset({right.caller}))
        if not is_equal and self._holding.clock() >= held.fresh_until:
            self._holding.drop(key)  # it may be old, so that the next caller compares with a new one
