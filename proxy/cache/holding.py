"""The resources of studies that are held, with the times until which they may be used.

They are one of the tables that share a part of the cache's budget (`proxy.cache.kept`). The one that was used
least recently goes first.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from math import inf
from time import monotonic

from proxy.cache.kept import NAME, Kept, Ledger
from proxy.cache.representation import Representation
from proxy.frame.key import ResourceKey
from proxy.frame.scope import FrameScope
from proxy.wire.dicomweb import Kind, StudyResource

MOST_KEPT = 65536
"""Maximum number of resources that are held."""
NAMES_LEFT = 1024
"""Number of keys of evicted resources that are left in the index before it is built anew."""
MOST_FORMS = 64
"""Most forms of one resource that are held for a partition, so that nobody displaces all others by forms."""
MOST_SHOWN = 256
"""Most callers that are noted with one resource."""
CALLER = 100
"""Bytes of a caller that is noted."""
AGAIN = 3.0
"""Seconds after which the origin is asked again if it could not confirm a copy that is used meanwhile."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How long and up to which size resources are held."""

    study_ttl: float = 30.0
    """Seconds for which a resource of a study is used without a request."""
    study_stale: float = 300.0
    """Seconds after that for which it is used while the origin is asked."""
    search_ttl: float = 3.0
    """Seconds for which a search of the whole archive is used without a request."""
    study_bytes: int = 32 * 1024 * 1024
    """Bytes of the largest body that is held, unless it is of whole instances; 0 is none."""
    instances: int = 1024 * 1024
    """Bytes of the largest body of whole instances that is held; 0 is none."""

    def most(self, kind: Kind) -> int:
        """Bytes of the largest body of a kind."""
        return self.instances if kind is Kind.INSTANCES else self.study_bytes

    def times(self, resource: StudyResource) -> tuple[float, float]:
        """Seconds for which a resource is fresh, and for which it may be used after that."""
        return (self.study_ttl, self.study_stale) if resource.study else (self.search_ttl, 0.0)


@dataclass(frozen=True, slots=True)
class Held:
    """One resource that is held; times are on the clock of its table."""

    representation: Representation
    """The response."""
    by: bytes
    """The caller that fetched it, by a digest; empty if callers are not told apart."""
    shown_to: frozenset[bytes]
    """Callers to whom the origin sent these very bytes."""
    fresh_until: float
    """Time until which it is used without a request."""
    stale_until: float
    """Time until which it is used while the origin is asked."""
    asked_from: float = -inf
    """Time from which the origin may be asked again."""
    beside: Representation | None = None
    """The same in another content coding; None if nobody needed that."""


class Holding:
    """The table."""

    def __init__(self, terms: Terms, ledger: Ledger | None, clock: Callable[[], float] = monotonic) -> None:
        self.terms = terms
        self.clock = clock
        self._held: Kept[ResourceKey, Held] = Kept(
            ledger, MOST_KEPT, _size_of, lambda key: key.resource.kind.value
        )
        self._by_study: dict[tuple[str, str], dict[ResourceKey, None]] = {}
        """Keys that were put, by origin and study; some may have been dropped since."""
        self._named = 0
        """Number of keys in it."""
        self._alike: Kept[ResourceKey, ResourceKey] = Kept(ledger, MOST_KEPT, _size_of_two)

    @property
    def sizes(self) -> Mapping[str, int]:
        """Bytes that are held of each kind, with what they cost beside their own."""
        return self._held.sizes

    def get(self, key: ResourceKey) -> Held | None:
        """The resource that is held under a key."""
        return self._held.get(key)

    def alike(self, key: ResourceKey) -> ResourceKey:
        """The key of the same resource that came with other headers, if it is held and this is not."""
        other = None if key in self._held else self._alike.get(key)
        return other if other is not None and other in self._held else key

    def use(self, key: ResourceKey, held: Held) -> None:
        """Notes that it is used now."""
        self._held.put(key, held)

    def put(
        self, key: ResourceKey, representation: Representation, by: bytes, shown_to: frozenset[bytes]
    ) -> None:
        """Holds a response as long as the terms and its lease say."""
        ttl, stale = self.terms.times(key.resource)
        now, head = self.clock(), representation.head
        fresh_until = head.lease.until(ttl, now, is_shared=not key.partition)
        stale_until = fresh_until + stale if head.may_be_stale else fresh_until
        was = self._held.get(key)
        is_same = was is not None and was.representation.pieces is representation.pieces
        beside = was.beside if was is not None and is_same else None
        self._held.put(key, Held(representation, by, shown_to, fresh_until, stale_until, beside=beside))
        self._name(key)
        self._bound_forms(key)
        if key.others:
            self._alike.put(replace(key, others=()), key)

    def put_beside(self, key: ResourceKey, known: Representation, beside: Representation) -> None:
        """Holds the same in another content coding, as long as it holds the `known` one."""
        held = self._held.get(key)
        if held is not None and held.representation.pieces is known.pieces:
            self._held.put(key, replace(held, beside=beside))

    def show(self, key: ResourceKey, held: Held, caller: bytes) -> None:
        """The origin sent the same bytes to one more caller."""
        if len(held.shown_to) < MOST_SHOWN:
            self._held.put(key, replace(held, shown_to=held.shown_to | {caller}))

    def failed(self, key: ResourceKey) -> None:
        """The origin could not confirm what is held."""
        held = self._held.get(key)
        if held is not None:
            self._held.put(key, replace(held, asked_from=self.clock() + AGAIN))

    def drop(self, key: ResourceKey) -> None:
        """Drops what is held under a key."""
        self._held.pop(key)

    def drop_gone(self, key: ResourceKey) -> bool:
        """Drops what the origin does not have. Returns True if it is all of a study, series or instance.

        It is that if metadata or instances were there. Otherwise the origin may only lack such lists.
        """
        was_there = key in self._held
        is_all = key.resource.kind in (Kind.METADATA, Kind.INSTANCES)
        if is_all:
            self._drop_within(key)
        self.drop(key)
        return was_there and is_all

    def _drop_within(self, key: ResourceKey) -> None:
        for each in tuple(self._by_study.get((key.origin, key.resource.study), ())):
            if each.partition == key.partition and each.resource.is_within(key.resource):
                self._held.pop(each)

    def drop_all(self) -> None:
        """Drops everything."""
        self._drop(self._held)

    def forget(self, named: FrameScope) -> None:
        """Drops what a change in this scope may change."""
        if not named.study:
            self._drop(key for key in self._held if key.origin == named.origin)
            return
        near = [self._by_study.get((named.origin, study), {}) for study in (named.study, "")]
        self._drop([key for keys in near for key in keys if is_touched(key, named)])

    def _name(self, key: ResourceKey) -> None:
        named = self._by_study.setdefault((key.origin, key.resource.study), {})
        self._named += key not in named
        named[key] = None
        if self._named > 2 * len(self._held) + NAMES_LEFT:  # keys of what was evicted pile up in it
            self._by_study, self._named = {}, 0
            for each in self._held:
                self._by_study.setdefault((each.origin, each.resource.study), {})[each] = None
                self._named += 1

    def _bound_forms(self, key: ResourceKey) -> None:
        """Drops the oldest form of a resource if it has too many, such as one for each of many arguments."""
        same = key.partition, key.resource
        near = self._by_study[key.origin, key.resource.study]
        forms = [each for each in near if (each.partition, each.resource) == same and each in self._held]
        self._drop(forms[:-MOST_FORMS])

    def _drop(self, keys: Iterable[ResourceKey]) -> None:
        for key in keys:
            self._held.pop(key)


def is_touched(key: ResourceKey, named: FrameScope) -> bool:
    """True if a change in a scope may change a resource."""
    return key.origin == named.origin and key.resource.touches(named.study, named.series, named.instance)


def _size_of(key: ResourceKey, held: Held) -> int:
    beside = held.beside.held if held.beside is not None else 0
    return NAME + key.size + held.representation.held + beside + CALLER * len(held.shown_to)


def _size_of_two(key: ResourceKey, other: ResourceKey) -> int:
    return 2 * NAME + key.size + other.size
