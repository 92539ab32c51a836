"""Writes frames to a server that replicas share: what the server lacks of them, and more as it arrives.

First bytes go first, then the record, then the pieces of the rest. So others can take each of them at once. A
frame that is still being fetched is put again and again; each time only its new pieces are written.
"""

import asyncio
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any

from cachetools import LRUCache

from proxy.cache.fenced import Records, Tokens, all_of
from proxy.cache.fences import Fences
from proxy.cache.places import Places, Value, at_once, values_of
from proxy.cache.record import Record
from proxy.cache.sealed import Seal
from proxy.cache.server import Command, Server
from proxy.cache.tier import Wrong
from proxy.frame.frame import Frame, cut

MOST_GROWING = 4096
"""Most frames of which it is known how far they are written. For another one, the server is asked."""


@dataclass(frozen=True, slots=True)
class _Begun:
    """A frame that is still being fetched, as far as this replica has written it."""

    record: Record
    fences: Tokens
    written: int
    """Number of its values."""


class Writer:
    """Writes frames."""

    def __init__(self, server: Server, seal: Seal, records: Records, fences: Fences) -> None:
        self._server = server
        self._fences = fences
        self._seal = seal
        self._records = records
        self._growing: LRUCache[bytes, _Begun] = LRUCache(MOST_GROWING)

    async def put(self, at: Places, fences: Tokens, frame: Frame) -> bool:
        """Writes what the server lacks of a frame. False if it may have been purged."""
        record = Record.of(frame)
        if not fences or self._records.left(record) <= 0:
            return False
        if await self._grow(at, fences, record, frame):
            return True
        *now, sealed = await self._server.read(*at.fences, at.record)
        if all_of(now) != fences:
            return False  # purged since it was fetched
        known = self._known(at, fences, sealed)
        if known is not None and known.identity.digest == record.identity.digest:
            record = replace(record, first=known.first)
        else:
            known = None
        await self._write(at, record, known, fences, frame)
        return True

    def _known(self, at: Places, fences: Tokens, sealed: bytes | None) -> Record | None:
        try:
            return None if sealed is None else self._records.open(at.name, fences, sealed)
        except Wrong:
            return None

    async def _grow(self, at: Places, fences: Tokens, record: Record, frame: Frame) -> bool:
        """Goes on to write a frame that is still being fetched, in one round trip. False if it can't.

        It looks for no purge: behind another fence, nobody reads what it writes.
        """
        begun = self._growing.get(at.record)
        if frame.is_whole or begun is None:
            return False
        record = replace(record, first=begun.record.first)
        if begun.fences != fences or not begun.record.is_like(record):
            return False
        values = values_of(at, self._records.lie(at.name, fences, record), frame.size)
        await self._set(values[begun.written :], frame, self._records.left(record))
        self._growing[at.record] = replace(begun, written=max(begun.written, len(values)))
        return True

    async def _write(
        self, at: Places, record: Record, known: Record | None, fences: Tokens, frame: Frame
    ) -> None:
        """Writes values that the server lacks, and the record after the first bytes."""
        lie, left = self._records.lie(at.name, fences, record), self._records.left(record)
        values = values_of(at, lie, frame.size)
        sizes = [0] * len(values)
        if known is not None:
            sizes = await self._done(*(("STRLEN", value.place) for value in values))
        full = [size >= value.size + self._seal.size for value, size in zip(values, sizes, strict=True)]
        lacking = [value for value, is_there in zip(values, full, strict=True) if not is_there]
        told: list[Command] = []
        if known is None or not known.is_like(record):
            sealed = self._records.close(at.name, fences, record)
            told = [("SET", at.record, sealed, "EX", left), *self._fences.kept(at)]
            told += (("EXPIRE", value.place, left) for value in compress(values, full))
        first = [value for value in lacking if value.start == 0]
        await self._set(first, frame, left, *told)
        await self._set(lacking[len(first) :], frame, left)
        self._growing.pop(at.record, None)
        if not frame.is_whole:
            self._growing[at.record] = _Begun(record, fences, len(values))

    async def _set(self, values: list[Value], frame: Frame, left: int, *more: Command) -> None:
        """Writes values of a frame for `left` seconds, and then does more."""
        while values or more:
            some = at_once(values)
            sealed = await asyncio.to_thread(self._sealed, some, frame) if some else []
            written = (("SET", each.place, one, "EX", left) for each, one in zip(some, sealed, strict=True))
            await self._done(*written, *more)
            values, more = values[len(some) :], ()

    def _sealed(self, values: list[Value], frame: Frame) -> list[bytes]:
        contents = (b"".join(cut(frame.pieces, each.start, each.stop)) for each in values)
        return [self._seal.close(each.about, content) for each, content in zip(values, contents, strict=True)]

    async def _done(self, *commands: Command) -> list[Any]:
        answers = await self._server.do(*commands)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers
