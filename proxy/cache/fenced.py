"""Records behind fences, in a tier that replicas share: nothing that was purged comes back.

A fence is a random token that the tier keeps for each origin, each study and each frame. A replica reads the
fences of a frame before it asks the origin, and the frame's record has them. A purge changes a fence, so it
needs no scan, and a record with another fence is not used. This also holds for a replica that began to fetch
before the purge, was held up, and writes after it. The seals of its bytes are bound to the fences too. So a
record of now never counts for bytes of then, even if the origin names both by the same ETag.
"""

import asyncio
from collections.abc import Hashable, Sequence

from cachetools import LRUCache

from proxy.cache.lie import Lie
from proxy.cache.record import Clocks, Record
from proxy.cache.sealed import Name, Seal
from proxy.cache.tier import SMALL
from proxy.frame.key import FrameKey

MOST_KNOWN = 16384
"""Most frames whose fences are known. One whose fences are forgotten is not written until it is looked up."""

Tokens = tuple[bytes, ...]
"""The tokens of fences, from wide to narrow; empty if they are not known."""


class Known:
    """The fences that this replica has read, of each frame as they were before it was brought or fetched."""

    def __init__(self) -> None:
        self._known: LRUCache[FrameKey, tuple[tuple[Hashable, ...], Tokens]] = LRUCache(MOST_KNOWN)

    def note(self, key: FrameKey, places: tuple[Hashable, ...], tokens: Tokens) -> None:
        """The fences of a frame, which are at these places, were these."""
        self._known[key] = places, tokens

    def of(self, key: FrameKey) -> Tokens:
        """The fences that a frame is written with; empty if they are not known."""
        found = self._known.get(key)
        return () if found is None else found[1]

    def moved(self, fence: Hashable, token: bytes) -> None:
        """A fence was changed, and all that was to be forgotten has left this process."""
        for key, (places, tokens) in list(self._known.items()):
            if fence in places:
                pairs = zip(places, tokens, strict=True)
                self._known[key] = places, tuple(token if place == fence else old for place, old in pairs)


class Records:
    """Seals records with their fences."""

    def __init__(self, seal: Seal, ttl: float, clocks: Clocks) -> None:
        """A record counts for `ttl` seconds after the origin made the response."""
        self._seal = seal
        self._ttl = ttl
        self._clocks = clocks

    def close(self, name: Name, fences: Tokens, record: Record) -> bytes:
        """A record as it lies in the tier."""
        return self._seal.close(_about(name), b"".join(fences) + record.to_bytes(self._clocks))

    def open(self, name: Name, fences: Tokens, sealed: bytes) -> Record | None:
        """A record; None if it is behind another fence, or if its time is over. Raises `Wrong`."""
        content = self._seal.open(_about(name), sealed)
        size = sum(map(len, fences))
        if not fences or content[:size] != b"".join(fences):
            return None
        record = Record.from_bytes(content[size:], self._clocks)
        return record if self.left(record) > 0 else None

    @staticmethod
    def lie(name: Name, fences: Tokens, record: Record) -> Lie:
        """How the frame of a record lies behind fences."""
        return Lie.of(name, record, b"".join(fences))

    def left(self, record: Record) -> int:
        """Seconds for which a frame is kept yet."""
        return int(record.since(self._clocks) + self._ttl - self._clocks.wall())


async def opened(seal: Seal, about: bytes, sealed: bytes) -> bytes:
    """The bytes in a seal; many are opened off the loop. Raises `Wrong`."""
    if len(sealed) <= SMALL:
        return seal.open(about, sealed)
    return await asyncio.to_thread(seal.open, about, sealed)


def all_of(fences: Sequence[bytes | None]) -> Tokens:
    """The tokens of fences; none if one is missing."""
    tokens = tuple(fence for fence in fences if fence is not None)
    return tokens if len(tokens) == len(fences) else ()


def _about(name: Name) -> bytes:
    """The facts that the seal of a record is bound to."""
    return name.exact + b"\nrecord"
