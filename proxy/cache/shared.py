"""A tier that replicas share: Valkey, or Redis.

    first     the first bytes of a frame, or all bytes of a small one
    record    identity, lease and fences; written once the first bytes are there
    piece     a piece of the rest, less than 1 MiB; written as soon as it has come

A value can be missing at any time, because it has not come yet, or because the server has evicted it. Then
it is a miss, or the rest ends there and the fill goes on at the origin. So if a replica dies, another one
goes on after the last piece that was written.

Each value is encrypted under the key of `proxy.cache.sealed`, and bound to its frame, its version and its
place. So neither the network nor the server sees pixels, and none can forge them.

If nothing is there, one replica fetches and the others wait for a moment (`proxy.cache.fences`).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from time import monotonic

from proxy.cache.fenced import Records, Tokens, all_of, opened
from proxy.cache.fences import Fences
from proxy.cache.patience import Patience, looks
from proxy.cache.places import Keys, Places, Value, at_once, values_of
from proxy.cache.record import VERSION, Clocks, Record
from proxy.cache.sealed import Encrypted, Names, derived
from proxy.cache.server import Server
from proxy.cache.tier import Listener, Wrong, is_same
from proxy.cache.told import Channel, Forget, Refused
from proxy.cache.writer import Writer
from proxy.frame.frame import Frame, pieces_of
from proxy.frame.identity import Identity
from proxy.frame.key import FrameKey
from proxy.frame.scope import FrameScope

RENEWED_EVERY = 0.25
"""Seconds between two renewals of a lease."""
_log = logging.getLogger(__name__)


class Shared:
    """A tier at a server that replicas share."""

    name = "shared"
    writers = 1

    def __init__(
        self,
        server: Server,
        names: Names,
        key: bytes,
        ttl: float,
        patience: Patience,
        clocks: Clocks | None = None,
    ) -> None:
        """The server keeps a frame for `ttl` seconds. Replicas with the same `key` share what they have."""
        self.budget = patience.budget
        self.patience = patience
        """How long calls may take."""
        self._server = server
        self._seal = Encrypted(derived(key, b"shared"))
        self._records = Records(self._seal, ttl, clocks or Clocks())
        prefix = b"pp%d:%s" % (VERSION, derived(key, b"deployment")[:6].hex().encode())
        self._keys = Keys(names, prefix)
        self.fences = Fences(server, ttl, monotonic)
        """Its fences and leases."""
        self._writer = Writer(server, self._seal, self._records, self.fences)
        self.channel = Channel(server, self._seal, prefix)
        """The channel to other replicas."""

    async def first(self, key: FrameKey) -> Frame | None:
        """The first bytes of a frame, or the whole frame if it is small."""
        began, at = _now(), self._keys.of(key)
        read = self._server.read(*at.fences, at.record, at.first)
        *fences, record, first = await self._server.within(self.patience.first, read)
        known = all_of(fences)
        frame = await self._first(at, known, record, first)
        if frame is None:
            return await self._brought(key, at, began)
        self.fences.known.note(key, at.fences, known)
        return frame

    async def _brought(self, key: FrameKey, at: Places, began: float) -> Frame | None:
        """The first bytes that another replica fetches. None if this one should, or if they take too long.

        Time counts from the begin of the look-up. The server has `first` for all answers that a viewer waits
        for, and more only once it has said that another replica fetches.
        """
        waited, pauses = 0.0, looks()
        while True:
            left = began + waited + self.patience.first - _now()
            taken = await self._server.within(max(0.0, left), self.fences.take(key, at))
            frame = await self._first(at, taken.fences, *taken.found)
            if frame is not None and taken.is_mine:
                self._server.begin(self.fences.release(at))
            waited = self.patience.wait
            more = began + waited - _now()
            if frame is not None or taken.is_mine or not taken.fences or more <= 0:
                return frame
            await asyncio.sleep(min(next(pauses), more))

    async def _first(
        self, at: Places, fences: Tokens, sealed: bytes | None, first: bytes | None
    ) -> Frame | None:
        record = await self._record(at, fences, sealed)
        if record is None or first is None:
            return None
        content = await self._opened(at, self._records.lie(at.name, fences, record).about("first"), first)
        return Frame(record.identity, pieces_of([content], record.first), len(content))

    async def _record(self, at: Places, fences: Tokens, sealed: bytes | None) -> Record | None:
        """A record; None if it is missing, behind another fence, or if its time is over. Raises `Wrong`."""
        if sealed is None or not fences:
            return None
        try:
            return self._records.open(at.name, fences, sealed)
        except Wrong:
            self._drop(at)
            raise

    async def _opened(self, at: Places, about: bytes, sealed: bytes) -> bytes:
        try:
            return await opened(self._seal, about, sealed)
        except Wrong:
            self._drop(at)
            raise

    def _drop(self, at: Places) -> None:
        self._server.begin(self._server.do(("DEL", at.record)))

    async def rest(self, key: FrameKey, version: Identity, start: int) -> AsyncIterator[bytes]:
        """The bytes of a frame from `start` on, also those that another replica is fetching."""
        at = self._keys.of(key)
        *fences, sealed = await self._looked_up(*at.fences, at.record)
        known = all_of(fences)
        record = await self._record(at, known, sealed)
        if record is None or not is_same(record.identity, version):
            return
        lie = self._records.lie(at.name, known, record)
        values = [value for value in values_of(at, lie, lie.total) if value.stop > start]
        while values:
            found = await self._awaited(key, at, at_once(values))
            if not found:
                return
            for content in found:
                value = values.pop(0)
                yield content[start - value.start :]
                start = value.stop

    async def _looked_up(self, *keys: bytes) -> list[bytes | None]:
        return await self._server.within(self.patience.piece, self._server.read(*keys))

    async def _awaited(self, key: FrameKey, at: Places, values: list[Value]) -> list[bytes]:
        """The first of these values, as many as there are, also if another replica is fetching them.

        Empty if nobody does, or if the very first one takes too long.
        """
        until, pauses, is_mine = monotonic() + self.patience.rest, looks(), False
        while True:
            places = (value.place for value in values)
            lease, *sealed = await self._looked_up(at.lease, *places)  # who gives a lease back has written
            found = []
            for value, content in zip(values, sealed, strict=True):
                if content is None or len(content) < value.size + self._seal.size:
                    break
                found.append(await self._opened(at, value.about, content))
            if found:
                return found
            now = monotonic()
            if is_mine or (lease is not None and self.fences.is_mine(at, lease)) or now >= until:
                return []
            if lease is None:
                taken = await self._server.within(self.patience.piece, self.fences.take(key, at))
                is_mine = taken.is_mine  # somebody may have written it before that
            else:
                await asyncio.sleep(min(next(pauses), until - now))

    async def put(self, key: FrameKey, frame: Frame) -> bool:
        """Keeps a frame, as far as it has come. False if it may have been purged."""
        at = self._keys.of(key)
        is_kept = await self._writer.put(at, self.fences.known.of(key), frame)
        if frame.is_whole:
            await self.fences.release(at)
        return is_kept

    async def forget(self, named: FrameScope) -> None:
        """Puts all frames of a scope behind a new fence, and tells other replicas."""
        fence = self._keys.fence(named)
        token = await self.fences.change(fence)
        self.fences.known.moved(fence, token)
        await self.channel.tell(Forget(named, fence, token))

    async def hear(self, listener: Listener) -> None:
        """Hears what other replicas tell."""

        def on_told(told: Forget | Refused) -> None:
            if isinstance(told, Forget):
                listener.forget(told.named)
                self.fences.known.moved(told.fence, told.token)
            else:
                listener.revoke(told.caller, told.origin, told.study)

        await self.channel.hear(on_told, listener.doubt)

    async def revoke(self, caller: bytes, origin: str, study: str) -> None:
        """Tells other replicas that the origin has refused a caller."""
        await self.channel.tell(Refused(caller, origin, study))

    async def renew(self, is_coming: Callable[[FrameKey], bool]) -> None:
        """Renews the leases of frames that are coming."""
        while True:
            await asyncio.sleep(RENEWED_EVERY)
            try:
                await self.fences.renew(is_coming)
            except Exception as error:
                _log.debug("leases could not be renewed", extra={"error": repr(error)})

    async def tend(self) -> bool:
        """Opens a connection. The server drops frames whose time is over by itself."""
        await self._server.do(("PING",))
        return False

    async def aclose(self) -> None:
        """Ends."""
        await self._server.aclose()


def _now() -> float:
    return asyncio.get_running_loop().time()
