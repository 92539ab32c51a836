"""A response for a resource while it arrives, read by any number of callers.

    asked ──► begun ──────────────► whole      its bytes are kept, and all of them are still here
                │                     │
                │ the origin still    └──► failed   the origin ended it; nothing of it is kept
                │ has what is held
                └──► unchanged

While it may be kept, the body comes as fast as the origin sends, and a slow reader delays nobody. It stops
being kept if it is longer than allowed, or if room is short (`proxy.cache.room`). From then on it *passes*:
bytes that all readers have are let go, and from then on nobody joins. The origin is read no further than
`AHEAD` of the slowest reader. Without readers it ends.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from hashlib import blake2b

from proxy.cache.representation import PIECE, Head, Representation
from proxy.cache.room import STRETCH, Room
from proxy.errors import ProxyError
from proxy.frame.key import ResourceKey

EXPANDS = 16
"""A body that the proxy compresses is kept if it was at most so many times as long as one may be."""
AHEAD = STRETCH
"""Bytes that a body that passes is read ahead of its slowest reader."""
_TIME = range(4, 8)
"""Offsets of the time in a gzip header (RFC 1952 2.3.1), which differs each time."""


class Unread(Exception):
    """Nobody reads the response, and it will not be kept."""


class Arrival:
    """One response while it arrives."""

    def __init__(
        self,
        key: ResourceKey,
        by: bytes,
        room: Room,
        most: int,
        held: Representation | None = None,
        is_crowded: Callable[[], bool] = lambda: False,
    ) -> None:
        """`by` is the caller that asks; a body of more than `most` bytes is not kept.

        `held` is what the origin may confirm instead of sending it again. A response that nobody reads ends
        if it `is_crowded`.
        """
        self.key = key
        self.by = by
        self.held = held
        self.head: Head | None = None
        self.unchanged: Representation | None = None
        """The version that was held, if the origin still has it."""
        self.error: ProxyError | None = None
        self.is_ended = False
        self.is_forgotten = False
        """True if a change may have made it old, so that it must not be kept, and nobody may join."""
        self._room = room
        self._most = most
        self._pieces: deque[bytes] = deque()
        self._let_go = 0
        self._size = self._cost = self._plain = 0
        self._is_kept = True
        self._is_crowded = is_crowded
        self._digest = blake2b(digest_size=16)
        self._readers: dict[ArrivalReader, None] = {}
        self._changed = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """True if another caller may join: all bytes so far are here, and they may be used for several."""
        return not (self.is_ended or self.is_forgotten or self._let_go) and self.is_shared

    @property
    def is_shared(self) -> bool:
        """True if the response may be used for several callers; one that is known to be too long may not."""
        return self.head is None or self.head.is_shared

    @property
    def is_kept(self) -> bool:
        """True if all bytes so far are to be kept."""
        return self._is_kept and not self.is_forgotten

    @property
    def is_empty(self) -> bool:
        """True if the body has no bytes so far."""
        return not self._plain

    def begin(self, head: Head) -> None:
        """The head is in."""
        if head.is_kept and (head.length or 0) > self._most:
            head = replace(head, is_kept=False, is_shared=False)
        self.head, self._is_kept = head, head.is_kept
        self._notify()

    def confirm(self, same: Representation) -> None:
        """The origin still has what was held."""
        self.unchanged = same
        self.end()

    async def extend(self, chunk: bytes, plain: bytes | None = None) -> None:
        """Takes a chunk of the body. Raises `Unread` if nobody needs it.

        If the proxy compressed the chunk, it was `plain` before. A compressor may keep all of it for later.
        """
        self._name(chunk if plain is None else plain)
        if not chunk:
            return
        self._pieces.append(chunk)
        self._size += len(chunk)
        self._cost += len(chunk) + PIECE
        is_long = self._cost > self._most or self._plain > EXPANDS * self._most
        if self._is_kept and (is_long or self._room.is_short):
            self._is_kept = False
        self._room.hold(self, self._cost)
        self._notify()
        if not self._readers and (not self._is_kept or self._is_crowded()):
            raise Unread
        while not self._is_kept:
            if not self._readers:
                raise Unread
            self._let_go_of_read()
            if self._cost <= AHEAD:
                return
            await self.changed()

    def end(self, error: ProxyError | None = None) -> None:
        """The response is over, for this reason if it is not whole."""
        self.error, self.is_ended = error, True
        self._notify()

    def release(self) -> None:
        """Its bytes count elsewhere from now on, or nowhere."""
        self._room.hold(self, 0)

    def representation(self) -> Representation | None:
        """All of it, if it is to be kept."""
        if self.unchanged is not None:
            return self.unchanged
        if self.head is None or not self.is_ended or self.error is not None or not self._is_kept:
            return None
        return Representation(self.head, tuple(self._pieces), self._digest.hexdigest())

    def reader(self) -> "ArrivalReader":
        """One more reader, from the first byte on."""
        reader = ArrivalReader(self)
        self._readers[reader] = None
        return reader

    def leave(self, reader: "ArrivalReader") -> None:
        """A reader needs no more."""
        self._readers.pop(reader, None)
        self._notify()

    def piece(self, number: int) -> bytes | None:
        """A piece of the body, counted from 0; None if it is not in yet."""
        at = number - self._let_go
        return self._pieces[at] if at < len(self._pieces) else None

    async def changed(self) -> None:
        """Waits for the next change."""
        await self._changed.wait()

    def moved(self) -> None:
        """A reader has taken a piece."""
        if not self._is_kept:
            self._notify()

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _let_go_of_read(self) -> None:
        slowest = min(reader.number for reader in self._readers)
        while self._let_go < slowest:
            self._cost -= len(self._pieces.popleft()) + PIECE
            self._let_go += 1
        self._room.hold(self, self._cost)

    def _name(self, chunk: bytes) -> None:
        self._plain += len(chunk)
        head = self.head
        is_of_origin = head is not None and head.coding == "gzip" and not head.is_coded_here
        if is_of_origin and self._size < _TIME.stop:
            chunk = chunk[: max(0, _TIME.start - self._size)] + chunk[max(0, _TIME.stop - self._size) :]
        self._digest.update(chunk)


class ArrivalReader:
    """One reader of a response that arrives."""

    def __init__(self, arrival: Arrival) -> None:
        self.number = 0
        """Number of pieces that it has taken."""
        self._arrival = arrival

    @property
    def is_passing(self) -> bool:
        """True if the origin is read only as far as the readers are, since the response will not be kept."""
        return not self._arrival.is_kept

    async def head(self) -> Head | Representation:
        """The head, or all of it if the origin still has what was held. Raises the error that ended it."""
        arrival = self._arrival
        while arrival.head is None and not arrival.is_ended:
            await arrival.changed()
        if arrival.unchanged is not None:
            return arrival.unchanged
        if arrival.head is None:
            assert arrival.error is not None
            raise arrival.error
        return arrival.head

    async def whole(self) -> Representation | None:
        """All of it, once it is in; None if it will not be kept. Raises the error that ended it."""
        arrival = self._arrival
        while arrival.is_kept and not arrival.is_ended:
            await arrival.changed()
        if arrival.error is not None:
            raise arrival.error
        return arrival.representation()

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises the error that ended it."""
        arrival = self._arrival
        while True:
            piece = arrival.piece(self.number)
            if piece is not None:
                yield piece
                self.number += 1
                arrival.moved()
            elif arrival.error is not None:
                raise arrival.error
            elif arrival.is_ended:
                return
            else:
                await arrival.changed()

    def leave(self) -> None:
        """It needs no more."""
        self._arrival.leave(self)
