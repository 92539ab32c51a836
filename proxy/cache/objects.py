"""A tier in an object store, which replicas and sites share: a bucket with the S3 API.

    head    record and first bytes of a frame, or all bytes of a small one
    rest    the rest of a version of a frame, in sealed pieces of one size
    fence   a token of an origin, a study or a frame that was purged

The rest is written before the head that names it. All of it is encrypted under the key of
`proxy.cache.sealed`, and bound to its frame, its version and its place.

A fence (`proxy.cache.fenced`) that is missing is an empty one, since an object store does not evict: no
fence is written before something is purged. It has to stay as long as a frame that was written before it, for
`ttl` seconds.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, nullcontext, suppress
from dataclasses import dataclass, replace
from secrets import token_bytes

from proxy.cache.bucket import Bucket, BucketError
from proxy.cache.calls import Calls
from proxy.cache.fenced import Known, Records, Tokens, opened
from proxy.cache.lie import Lie
from proxy.cache.paths import At, Paths
from proxy.cache.record import Clocks, Record
from proxy.cache.sealed import Encrypted, Names, derived
from proxy.cache.tier import SMALL, Budget, Wrong, is_same
from proxy.frame.frame import PIECE, Frame, cut, pieces_of
from proxy.frame.identity import Identity
from proxy.frame.key import FrameKey
from proxy.frame.scope import FrameScope

PIECE_WITHIN = 2.0
"""Seconds for a piece of almost 1 MiB, since twenty frames can share a line of 100 Mbit/s."""
LIMIT = 5.0
"""Seconds that a look-up may take at most, also in the background."""
CALLS = 64
"""Look-ups at once."""
WRITERS = 4
"""Frames that are written at once."""
MOST_AT_ONCE = 8 * 1024 * 1024
"""Bytes of a rest from which on it is written while no other one of that size is, since it is in memory."""
TOKEN = 8
"""Bytes of a token."""
EMPTY = bytes(TOKEN)
"""The token of a fence that nobody has written."""
MOST_RECORD = 16 * 1024
"""Bytes of a head that are read for its record."""
MOST_HEAD = 64 * 1024 * 1024
"""Most bytes of a head; a frame with longer first bytes is not kept."""
MOST_PURGED = 1024
"""Most purged studies whose objects wait to be deleted. The bucket's own rules delete the others."""


@dataclass(frozen=True, slots=True)
class _Head:
    record: Record
    first: bytes
    """The first bytes, sealed; only their beginning if the head was read for its record."""


class Objects:
    """A tier in an object store."""

    name = "objects"
    writers = WRITERS

    def __init__(
        self, bucket: Bucket, names: Names, key: bytes, ttl: float, first: float, clocks: Clocks | None = None
    ) -> None:
        """It keeps a frame for `ttl` seconds. A viewer waits for first bytes for `first` seconds.

        Replicas with the same `key` share what they have.
        """
        self.budget = Budget(first, PIECE_WITHIN)
        self._bucket = bucket
        self._seal = Encrypted(derived(key, b"objects"))
        self._records = Records(self._seal, ttl, clocks or Clocks())
        self._paths = Paths(names, key)
        self._known = Known()
        self._calls = Calls(LIMIT)
        self._at_once = asyncio.Semaphore(CALLS)
        self._large = asyncio.Lock()
        self._purged: dict[str, str] = {}
        """Folders whose older objects are to be deleted, with their fences."""

    async def first(self, key: FrameKey) -> Frame | None:
        """The first bytes of a frame, or the whole frame if it is small."""
        at = self._paths.of(key)
        fences, head = await self._calls.within(self.budget.first, self._read(at, MOST_HEAD))
        self._known.note(key, at.fences, fences)
        try:
            found = self._head(at, fences, head)
            if found is None:
                return None
            content = await opened(
                self._seal, self._records.lie(at.name, fences, found.record).about("first"), found.first
            )
        except Wrong:
            await self._drop(at)
            raise
        return Frame(found.record.identity, pieces_of([content], found.record.first), len(content))

    async def _read(self, at: At, most: int) -> tuple[Tokens, bytes | None]:
        """The fences of a frame, and the beginning of its head. Raises `Wrong`."""
        async with self._at_once:
            fences = (self._bucket.read(fence, TOKEN + 1) for fence in at.fences)
            *tokens, head = await asyncio.gather(*fences, self._bucket.read(at.head, most))
        known = tuple(EMPTY if token is None else token for token in tokens)
        if any(len(token) != TOKEN for token in known):
            raise Wrong("no fence")
        return known, head

    def _head(self, at: At, fences: Tokens, head: bytes | None) -> "_Head | None":
        """A head, as far as it was read; None if it does not count. Raises `Wrong`."""
        if head is None:
            return None
        size = 4 + int.from_bytes(head[:4])
        record = self._records.open(at.name, fences, head[4:size])
        return None if record is None else _Head(record, head[size:])

    async def _drop(self, at: At) -> None:
        with suppress(BucketError, TimeoutError):  # it may not be allowed to
            await self._calls.within(self.budget.piece, self._bucket.drop(at.head))

    async def rest(self, key: FrameKey, version: Identity, start: int) -> AsyncIterator[bytes]:
        """The bytes of a frame from `start` on."""
        at = self._paths.of(key)
        fences, head = await self._calls.within(self.budget.first, self._read(at, MOST_RECORD))
        try:
            found = self._head(at, fences, head)
            if found is None or not is_same(found.record.identity, version):
                return
            lie = self._records.lie(at.name, fences, found.record)
            if start < lie.begin or lie.total <= SMALL:
                content = await self._first_of(at, lie)
                yield content[start:]
                start = max(start, len(content))
            async with aclosing(self._pieces(at, lie, start)) as pieces:
                async for piece in pieces:
                    yield piece
        except Wrong:
            await self._drop(at)
            raise

    async def _first_of(self, at: At, lie: Lie) -> bytes:
        """The first bytes of a frame whose head was read only for its record. Raises `Wrong`."""
        head = await self._bucket.read(at.head, MOST_HEAD) or b""
        return await opened(self._seal, lie.about("first"), head[4 + int.from_bytes(head[:4]) :])

    async def _pieces(self, at: At, lie: Lie, start: int) -> AsyncGenerator[bytes]:
        """The bytes of a frame from `start` on, if that is after its first bytes. Raises `Wrong`."""
        number = (start - lie.begin) // PIECE
        if lie.total <= SMALL or number >= lie.pieces:
            return
        begin, held = number * (PIECE + self._seal.size), bytearray()
        async with aclosing(self._bucket.stream(self._paths.rest(at, lie), begin, self._size(lie))) as chunks:
            async for chunk in chunks:
                held += chunk
                while number < lie.pieces and len(held) >= (size := self._size_of(lie, number)):
                    sealed = bytes(memoryview(held)[:size])
                    del held[:size]
                    content = await opened(self._seal, lie.about(str(number)), sealed)
                    yield content[max(0, start - lie.span(number)[0]) :]
                    number += 1
        if held:
            raise Wrong("a rest that ends too early")

    def _size_of(self, lie: Lie, number: int) -> int:
        """Bytes of a sealed piece."""
        start, stop = lie.span(number)
        return stop - start + self._seal.size

    def _size(self, lie: Lie) -> int:
        """Bytes of the object of a rest."""
        return lie.total - lie.begin + lie.pieces * self._seal.size

    async def put(self, key: FrameKey, frame: Frame) -> bool:
        """Keeps a frame; only its first piece, if it is not whole. False if it may have been purged."""
        at, fences, record = self._paths.of(key), self._known.of(key), Record.of(frame)
        if not fences or self._records.left(record) <= 0:
            return False
        now, head = await self._read(at, MOST_HEAD)
        if now != fences:
            return False  # purged since it was fetched
        held = self._held(at, fences, head, record)
        if held is not None:
            record = replace(record, first=held.record.first)
        lie = self._records.lie(at.name, fences, record)
        if frame.is_whole and lie.total > max(SMALL, lie.begin):
            await self._put_rest(at, lie, frame, is_new=held is None)
        first = await self._new_first(lie, record, frame, held)
        if first:
            sealed = self._records.close(at.name, fences, record)
            if 4 + len(sealed) <= MOST_RECORD and 4 + len(sealed) + len(first) <= MOST_HEAD:
                await self._bucket.write(at.head, len(sealed).to_bytes(4) + sealed + first)
        return True

    def _held(self, at: At, fences: Tokens, head: bytes | None, new: Record) -> "_Head | None":
        """The head that is there already, if it is of this version."""
        try:
            held = self._head(at, fences, head)
        except Wrong:
            return None
        return held if held is not None and held.record.identity.digest == new.identity.digest else None

    async def _put_rest(self, at: At, lie: Lie, frame: Frame, *, is_new: bool) -> None:
        path, size = self._paths.rest(at, lie), self._size(lie)
        if not is_new and await self._bucket.size(path) == size:
            return
        async with self._large if size > MOST_AT_ONCE else nullcontext():
            await self._bucket.write(path, await asyncio.to_thread(self._sealed_rest, lie, frame))

    def _sealed_rest(self, lie: Lie, frame: Frame) -> bytes:
        return b"".join(
            self._seal.close(lie.about(str(number)), b"".join(cut(frame.pieces, *lie.span(number))))
            for number in range(lie.pieces)
        )

    async def _new_first(self, lie: Lie, record: Record, frame: Frame, held: "_Head | None") -> bytes:
        """The sealed first bytes of a new head, at least those that are there. Empty if it needs none."""
        size = lie.total if frame.is_whole and lie.total <= SMALL else lie.begin
        if held is None or len(held.first) < size + self._seal.size:
            content = b"".join(cut(frame.pieces, 0, size))
            return await asyncio.to_thread(self._seal.close, lie.about("first"), content)
        return b"" if held.record.is_like(record) else held.first

    async def forget(self, named: FrameScope) -> None:
        """Puts all frames of a scope behind a new fence. `tend` deletes the old objects later."""
        fence, folder, token = self._paths.fence(named), self._paths.behind(named), token_bytes(TOKEN)
        await self._bucket.write(fence, token)
        self._known.moved(fence, token)
        if folder and len(self._purged) < MOST_PURGED:
            self._purged[fence] = folder

    async def tend(self) -> bool:
        """Looks into the bucket, and deletes what was purged, a scope at a time. True if more is left."""
        async with asyncio.timeout(LIMIT):
            await self._bucket.look()
        if not self._purged:
            return False
        fence, folder = self._purged.popitem()
        try:
            await self._bucket.drop_older(folder, than=fence)
        except BaseException:
            self._purged.setdefault(fence, folder)
            raise
        return bool(self._purged)

    async def aclose(self) -> None:
        """Ends."""
        await self._calls.aclose()
