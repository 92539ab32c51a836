"""A tier in a directory. Its calls that block run in threads: a few that read, and one that writes.

    index   record and first bytes of each frame, or all bytes of a small one
    file    the rest of a whole frame, in sealed pieces of one size

A frame of another version replaces the entry. Each read is checked against its seal, and an entry that does
not open is dropped.
"""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from threading import Lock
from time import time
from typing import TypeVar

from proxy.cache.lie import Lie
from proxy.cache.record import Clocks, Record
from proxy.cache.sealed import Checked, Encrypted, Name, Names, Seal
from proxy.cache.shelf import Entry, Shelf
from proxy.cache.tier import SMALL, Budget, Wrong, is_same
from proxy.frame.frame import PIECE, Frame, cut, pieces_of
from proxy.frame.identity import Identity
from proxy.frame.key import FrameKey
from proxy.frame.kinds import KINDS, kind_of
from proxy.frame.scope import FrameScope
from proxy.telemetry.metrics import PARTS
from proxy.telemetry.telemetry import Telemetry

READERS = 4
"""Threads that read."""
AHEAD = 2
"""Pieces of a frame that are read at once."""
FIRST = -1
"""The number of the first piece, which is in the index."""
ENDED_WITHIN = 2.0
"""Seconds that the end of the service waits for calls that are under way."""
NUMBER = 8
"""Bytes of the number in front of a record: that of the last drop before it was written."""
BUDGET = Budget(first=0.05, piece=0.25)

Found = TypeVar("Found")


class Disk:
    """A tier in a directory."""

    name = "disk"
    budget = BUDGET
    writers = 1  # the one thread

    def __init__(
        self,
        path: Path,
        most: int,
        first_share: float,
        ttl: float,
        names: Names,
        record_key: bytes,
        content_key: bytes | None,
        telemetry: Telemetry,
        clocks: Clocks | None = None,
    ) -> None:
        """It keeps about `most` bytes, for `ttl` seconds. Without `content_key` pixels are not encrypted."""
        self._shelf = Shelf(path, most, first_share)
        self._ttl = ttl
        self._names = names
        self._records: Seal = Encrypted(record_key)
        self._contents: Seal = Checked() if content_key is None else Encrypted(content_key)
        self._clocks = clocks or Clocks()
        told = telemetry.metrics.tier_bytes
        self._bytes = {kind: [told.labels(self.name, kind, part) for part in PARTS] for kind in KINDS}
        self._reading = ThreadPoolExecutor(READERS, "disk-read")
        self._writing = ThreadPoolExecutor(1, "disk-write")
        self._used: dict[Name, float] = {}

    async def first(self, key: FrameKey) -> Frame | None:
        """The first bytes of a frame, or the whole frame if it is small."""
        return await self._read(key, self._first)

    def _first(self, name: Name) -> Frame | None:
        found = self._shelf.first(name)
        if found is None:
            return None
        entry, content = found
        record = self._record(name, entry)
        if record is None:
            return None
        lie = Lie.of(name, record)
        content = self._contents.open(lie.about("first"), content)
        self._used[name] = time()
        pieces, has_rest = pieces_of([content], record.first), bool(entry.rest)
        return Frame(record.identity, pieces, len(content), is_rest_near=has_rest)

    def _record(self, name: Name, entry: Entry) -> Record | None:
        """The record of an entry; None if its time is over, or if it was dropped. Raises `Wrong`."""
        about = b"\n".join((name.exact, entry.version.encode(), b"record"))
        content = self._records.open(about, entry.record)
        if int.from_bytes(content[:NUMBER]) < self._shelf.fence(name):
            return None
        record = Record.from_bytes(content[NUMBER:], self._clocks)
        is_over = record.since(self._clocks) + self._ttl <= self._clocks.wall()
        return None if is_over else record

    async def rest(self, key: FrameKey, version: Identity, start: int) -> AsyncIterator[bytes]:
        """The bytes of a frame from `start` to its end. The next pieces are read while one is used."""
        opened = await self._read(key, partial(self._open, version))
        if opened is None:
            return
        begin = partial(asyncio.get_running_loop().run_in_executor, self._reading)
        reads = opened.reads(start)
        ahead = deque(map(begin, islice(reads, AHEAD)))
        try:
            while ahead and (piece := await ahead.popleft()):
                ahead.extend(map(begin, islice(reads, 1)))
                yield piece
        except Wrong:
            self._drop(opened.lie.name)
            raise
        finally:
            for each in ahead:
                if not each.cancel():
                    each.exception()  # nobody else looks at it
            with suppress(RuntimeError):  # the tier is closed
                self._reading.submit(opened.close)

    def _open(self, version: Identity, name: Name) -> "_Opened | None":
        entry = self._shelf.entry(name)
        if entry is None or entry.version != version.digest or entry.held < version.claim.total:
            return None
        record = self._record(name, entry)
        if record is None or not is_same(record.identity, version):
            return None
        self._used[name] = time()
        return _Opened(self._shelf, self._contents, entry, Lie.of(name, record))

    async def put(self, key: FrameKey, frame: Frame) -> bool:
        """Keeps a frame; only its first piece, if it is not whole."""
        await self._write(self._put, key, frame)
        return True

    def _put(self, key: FrameKey, frame: Frame) -> None:
        name, record = self._names.of(key), Record.of(frame)
        fence, entry = self._shelf.fence(name), self._shelf.entry(name)
        lie, known = Lie.of(name, record), self._known(name, entry)
        held = frame.size if frame.is_whole else record.first
        expires = record.since(self._clocks) + self._ttl
        if entry and known and entry.version == lie.version and held <= entry.held:
            record = replace(record, first=entry.begin)
            if known.is_like(record):  # as after a frame was brought from here
                return
            self._shelf.renew(name, self._sealed(lie, record, fence), expires)
        else:
            is_small = frame.is_whole and frame.size <= SMALL
            content = b"".join(frame.pieces) if is_small else frame.pieces[0]
            sealed = self._contents.close(lie.about("first"), content)
            new = Entry(lie.version, self._sealed(lie, record, fence), record.first, len(content), "")
            kind = kind_of(key, frame.identity.claim)
            self._shelf.put(name, new, sealed, expires, kind)
            if held > len(content):
                self._shelf.put_rest(name, lie.version, held, self._rest_of(lie, frame))
        self._set_in_order()

    def _known(self, name: Name, entry: Entry | None) -> Record | None:
        """The record of an entry; None if it can't be used."""
        try:
            return None if entry is None else self._record(name, entry)
        except Wrong:
            return None

    def _sealed(self, lie: Lie, record: Record, fence: int) -> bytes:
        content = fence.to_bytes(NUMBER) + record.to_bytes(self._clocks)
        return self._records.close(lie.about("record"), content)

    def _rest_of(self, lie: Lie, frame: Frame) -> Iterator[bytes]:
        for number in range(lie.pieces):
            content = b"".join(cut(frame.pieces, *lie.span(number)))
            yield self._contents.close(lie.about(str(number)), content)

    async def forget(self, named: FrameScope) -> None:
        """Drops all frames of a scope."""
        await self._write(self._forget, named)

    def _forget(self, named: FrameScope) -> None:
        self._shelf.forget(self._names.within(named), self._clocks.wall() + self._ttl)
        self._set_in_order()

    async def tend(self) -> bool:
        """Drops some frames whose time is over, and their files. True if there are more."""
        return await self._write(self._tend)

    def _tend(self) -> bool:
        is_left = self._shelf.tend()
        self._set_in_order()
        return is_left

    def _set_in_order(self) -> None:
        used, self._used = self._used, {}
        self._shelf.note_used(used)
        self._shelf.make_room()
        sizes = self._shelf.sizes()
        for kind, gauges in self._bytes.items():  # a damaged index may name other kinds
            for gauge, size in zip(gauges, sizes.get(kind, (0, 0)), strict=True):
                gauge.set(size)
        self._shelf.sweep()

    async def aclose(self) -> None:
        """Ends. Calls that hang in the directory are left behind."""
        with suppress(TimeoutError):
            async with asyncio.timeout(ENDED_WITHIN):
                await asyncio.to_thread(self._close)

    def _close(self) -> None:
        for pool in (self._reading, self._writing):
            pool.shutdown(cancel_futures=True)
        self._shelf.close()

    async def _read(self, key: FrameKey, read: Callable[[Name], Found]) -> Found:
        name = self._names.of(key)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._reading, read, name)
        except Wrong:
            self._drop(name)
            raise

    def _drop(self, name: Name) -> None:
        with suppress(RuntimeError):  # it is closed
            self._writing.submit(self._shelf.drop, name)

    async def _write(self, work: Callable[..., Found], *given: object) -> Found:
        return await asyncio.get_running_loop().run_in_executor(self._writing, work, *given)


class _Opened:
    """The bytes of one frame, for reading in several threads. Its file stays open while one of them reads."""

    def __init__(self, shelf: Shelf, seal: Seal, entry: Entry, lie: Lie) -> None:
        self.lie = lie
        self._shelf = shelf
        self._seal = seal
        self._lock = Lock()
        self._is_closed, self._readers = False, 0
        self._file = os.open(shelf.path_of(entry.rest), os.O_RDONLY | os.O_CLOEXEC) if entry.rest else None

    def reads(self, start: int) -> Iterator[Callable[[], bytes]]:
        """Yields a call for each piece from `start` on. The calls may be made in any order.

        A call returns no bytes if they are gone, or after `close`. It raises `Wrong` or `OSError`.
        """
        lie = self.lie
        if start < lie.begin or self._file is None:
            yield partial(self._read, FIRST, start)
            start = lie.begin
        if self._file is not None:
            for number in range((start - lie.begin) // PIECE, lie.pieces):
                yield partial(self._read, number, max(0, start - lie.span(number)[0]))

    def _read(self, number: int, start: int) -> bytes:
        with self._lock:
            if self._is_closed:
                return b""
            self._readers += 1
        try:
            return (self._first() if number == FIRST else self._piece(number))[start:]
        finally:
            with self._lock:
                self._readers -= 1
                self._close_if_done()

    def _first(self) -> bytes:
        found = self._shelf.first(self.lie.name)
        if found is None or found[0].version != self.lie.version:
            return b""
        return self._seal.open(self.lie.about("first"), found[1])

    def _piece(self, number: int) -> bytes:
        assert self._file is not None
        at, stop = self.lie.span(number)
        begin, size = number * (PIECE + self._seal.size), stop - at + self._seal.size - self._seal.apart
        sealed = os.pread(self._file, size, begin)
        end = os.pread(self._file, self._seal.apart, begin + size)
        return self._seal.open(self.lie.about(str(number)), sealed, end)

    def close(self) -> None:
        """Ends reading."""
        with self._lock:
            self._is_closed = True
            self._close_if_done()

    def _close_if_done(self) -> None:
        if self._is_closed and not self._readers and self._file is not None:
            os.close(self._file)
            self._file = None
