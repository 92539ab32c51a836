"""Resources of studies beside their frames: metadata, searches, pictures, bulk data, whole instances.

    held, and fresh           the caller gets it, and nobody asks the origin
    held, and not much older  the caller gets it, and one request asks the origin if it is still the same
    held, and older           the caller waits until the origin has confirmed it, or sent another one
    arriving                  the caller joins
    none of these             a request is sent

`open` decides in one step, without waiting. So if several callers come at once, exactly one request is sent.
It belongs to the app: a caller that leaves stops nothing.

A caller without a right to what is held, or arrives (`proxy.fetch.rights`), sends a request of its own. So
does one whose right ends while it reads, before it gets another byte.
"""

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from http import HTTPStatus

from proxy.access.caller import Caller
from proxy.cache.holding import Holding, is_touched
from proxy.cache.representation import Representation
from proxy.cache.room import Room
from proxy.errors import InternalFault, OriginMismatch, OriginRefused, ProxyError, ShuttingDown
from proxy.fetch.arrival import Arrival, Unread
from proxy.fetch.compression import Compression, arrive
from proxy.fetch.noted import Noted
from proxy.fetch.pending import Pending
from proxy.fetch.permit import Permit
from proxy.fetch.reading import Reading, ResourceRequest
from proxy.fetch.rights import Right, Rights
from proxy.fetch.source import CacheOutcome
from proxy.fetch.tasks import Tasks
from proxy.frame.key import ResourceKey
from proxy.frame.scope import FrameScope
from proxy.frame.supply import Headers
from proxy.origin.client import Origin
from proxy.origin.freshness import is_same

_log = logging.getLogger(__name__)

MOST_UNREAD = 64
"""Responses that arrive, beyond which one that nobody reads ends."""


class Resources:
    """The resources that are held, and those that arrive."""

    def __init__(
        self,
        origins: Mapping[str, Origin],
        holding: Holding,
        rights: Rights,
        room: Room,
        *,
        codings: Sequence[str] = (),
    ) -> None:
        """Text that comes without a content coding is compressed in one of `codings`, the best one first."""
        self._origins = origins
        self.holding = holding
        self.rights = rights
        self._room = room
        self.compression = Compression(holding, codings)
        self._arriving: dict[tuple[ResourceKey, bytes], Arrival] = {}
        """Those that callers may join, by key, and by caller if it asks beside others."""
        self._running: set[Arrival] = set()
        self.on_gone: Callable[[FrameScope], None] = lambda _: None
        """Called with a study, series or instance that the origin had, and has no longer."""
        self._noted = Noted(holding, rights, lambda gone: self.on_gone(gone))
        self.pending = Pending()
        """Requests that went out because somebody waits for them."""
        self.tasks: Tasks[Arrival] = Tasks()

    def __len__(self) -> int:
        return len(self._running)

    def at_once(self, caller: Caller, asked: ResourceRequest, *, may_be_stale: bool = True) -> Reading | None:
        """Returns a held resource that may be used now, else None. If it is stale, asks the origin behind."""
        right = self.rights.of(caller, asked.resource)
        key = self._key(caller, asked, right)
        held, now = self.holding.get(key), self.holding.clock()
        if held is None or not right.covers(held.by):
            return None
        if now >= (held.stale_until if may_be_stale else held.fresh_until):
            return None
        self.holding.use(key, held)
        same = held.representation
        is_asked = (key, b"") in self._arriving
        if now >= held.fresh_until and now >= held.asked_from and not is_asked:
            with suppress(ShuttingDown):
                self._start(caller, key, right, same, self.compression.coding_for(asked), is_ahead=True)
        left, permit = held.fresh_until - now, self._permit(caller, asked, right)
        return Reading(CacheOutcome.HIT, same.head, same, left=left, key=key, permit=permit)

    @asynccontextmanager
    async def read(
        self, caller: Caller, asked: ResourceRequest, *, may_be_stale: bool = True, is_ahead: bool = False
    ) -> AsyncIterator[Reading]:
        """Opens a resource, if `is_ahead` for nobody who waits. Raises the error of the origin."""
        reading = self.at_once(caller, asked, may_be_stale=may_be_stale)
        if reading is not None:
            yield reading
            return
        outcome, arrival = self._open(caller, asked, is_ahead)
        while True:
            reader, right = arrival.reader(), self.rights.of(caller, asked.resource)
            joined = self._permit(caller, asked, right)
            try:
                begun = await reader.head()
                is_own = outcome is not CacheOutcome.COLLAPSED
                if is_own or (arrival.is_shared and (joined is None or joined.stands)):
                    held = begun if isinstance(begun, Representation) else None
                    head = begun.head if isinstance(begun, Representation) else begun
                    permit = self._permit(caller, asked, right) if is_own else joined
                    reads = None if held is not None else reader
                    yield Reading(outcome, head, held, reads, key=arrival.key, permit=permit)
                    return
            finally:
                reader.leave()
            right = self.rights.of(caller, asked.resource)
            key = self._key(caller, asked, right)
            outcome, coding = CacheOutcome.MISS, self.compression.coding_for(asked)
            arrival = self._start(caller, key, right, None, coding, is_beside=True)

    def _permit(self, caller: Caller, asked: ResourceRequest, right: Right) -> Permit | None:
        if right.name is None:
            return None
        return Permit(self.rights.proofs, right.name, partial(self._ask_again, caller, asked))

    async def _ask_again(self, caller: Caller, asked: ResourceRequest) -> None:
        """Asks the origin if a caller may still read a resource. Raises `OriginError`."""
        right = self.rights.of(caller, asked.resource)
        if right.has_yes:
            return
        key, coding = self._key(caller, asked, right), self.compression.coding_for(asked)
        known = self._known(key, right)
        reader = self._start(caller, key, right, known, coding, is_beside=True).reader()
        try:
            begun = await reader.head()
        finally:
            reader.leave()
        head = begun.head if isinstance(begun, Representation) else begun
        if head.status != HTTPStatus.OK or head.is_page:
            status = HTTPStatus.FORBIDDEN if head.is_page else head.status
            said = dict(head.headers)
            raise OriginRefused(status, said.get("www-authenticate"), location=said.get("location"))

    def _known(self, key: ResourceKey, right: Right) -> Representation | None:
        """The version that is held, if the origin may confirm it to this caller."""
        held = self.holding.get(key)
        # A 304 proves only that the caller may have what the origin showed to this very caller before.
        may_name = held is not None and (right.covers(held.by) or right.caller in held.shown_to)
        return held.representation if held is not None and may_name else None

    def _key(self, caller: Caller, asked: ResourceRequest, right: Right) -> ResourceKey:
        said = asked.resource, asked.target, asked.accept, asked.others
        key = ResourceKey(caller.origin, right.partition, *said)
        return self.holding.alike(key) if asked.is_any_form else key

    def _open(self, caller: Caller, asked: ResourceRequest, is_ahead: bool) -> tuple[CacheOutcome, Arrival]:
        right = self.rights.of(caller, asked.resource)
        key = self._key(caller, asked, right)
        for arrival in (self._arriving.get((key, right.caller)), self._arriving.get((key, b""))):
            if arrival is None or not arrival.is_open:
                continue
            if right.covers(arrival.by) or (right.caller and arrival.by == right.caller):
                return CacheOutcome.COLLAPSED, arrival
        held = self.holding.get(key)
        is_taken = (key, b"") in self._arriving or (held is not None and not right.covers(held.by))
        known = self._known(key, right)
        outcome = CacheOutcome.MISS if known is None else CacheOutcome.STALE
        coding, is_beside = self.compression.coding_for(asked), bool(is_taken and right.caller)
        return outcome, self._start(caller, key, right, known, coding, is_beside=is_beside, is_ahead=is_ahead)

    def _start(
        self,
        caller: Caller,
        key: ResourceKey,
        right: Right,
        held: Representation | None,
        coding: str,
        *,
        is_beside: bool = False,
        is_ahead: bool = False,
    ) -> Arrival:
        """Sends a request, if `is_beside` for this caller only, if `is_ahead` for nobody who waits.

        Text that comes without a coding is compressed in this one, if it is not empty. Raises `ShuttingDown`.
        """
        most = self.holding.terms.most(key.resource.kind)
        arrival = Arrival(key, right.caller, self._room, most, held, self._is_crowded)
        place = key, right.caller if is_beside else b""

        def over() -> None:
            if not is_ahead:
                self.pending.leave(key.origin)
            self._running.discard(arrival)
            if self._arriving.get(place) is arrival:
                del self._arriving[place]
            if not arrival.is_ended:  # the task was cancelled
                arrival.end(ShuttingDown("the service is ending"))
            arrival.release()

        self.tasks.start(arrival, self._fetch(arrival, caller, right, coding), over)
        self._arriving[place] = arrival
        self._running.add(arrival)
        if not is_ahead:
            self.pending.enter(key.origin)
        return arrival

    def _is_crowded(self) -> bool:
        return len(self._running) > MOST_UNREAD

    async def _fetch(self, arrival: Arrival, caller: Caller, right: Right, coding: str) -> None:
        try:
            await self._take(arrival, caller, right, coding)
        except Unread:
            self.holding.failed(arrival.key)
            arrival.end(ShuttingDown("nobody reads it"))
        except ProxyError as error:
            self.holding.failed(arrival.key)
            arrival.end(error)
        except Exception:
            _log.exception("a fault inside the proxy")
            arrival.end(InternalFault("a fault inside the proxy"))

    async def _take(self, arrival: Arrival, caller: Caller, right: Right, coding: str) -> None:
        """Takes the response as it comes. Raises `OriginError`, `Unread`."""
        key = arrival.key
        origin = self._origins[key.origin]
        condition = arrival.held.head.lease.condition if arrival.held is not None else None
        is_compact = key.resource.kind.is_text and not origin.publishing.changes_json
        headers = [
            *_headers(key, caller, is_compact=is_compact),
            *((condition,) if condition is not None else ()),
        ]
        is_personal = bool(key.partition)
        async with origin.plain.resource(key.target, headers, is_personal=is_personal) as (head, body):
            refusals = self.rights.refusals
            if head.status == 304 and arrival.held is not None and condition is not None:
                if not is_same(dict(head.headers) | ({"etag": head.etag} if head.etag else {}), condition):
                    self.holding.drop(key)
                    raise OriginMismatch("a 304 for another version", "validator")
                self._noted.confirm(arrival, arrival.held, head, right, refusals)
                return
            if head.status == 304:
                raise OriginMismatch("a 304 to a request without a condition", "validator")
            self._noted.note(key, head, right, refusals)
            await arrive(arrival, head, body, coding if is_compact else "")
        arrival.end()
        arrival.release()
        whole = arrival.representation()
        is_empty = key.resource.kind.is_text and arrival.is_empty
        if whole is not None and arrival.is_kept and not is_empty:
            self._noted.keep(key, whole, right, refusals)
        elif head.status == 200 and (head.is_page or is_empty):
            self.holding.failed(key)  # no version of the resource
        elif head.status == 200 and right.covers(self._noted.fetched_by(key)):
            self.holding.drop(key)  # it is old now

    def forget(self, named: FrameScope) -> None:
        """Drops what a change in this scope may change. Responses on their way are not kept either."""
        self.holding.forget(named)
        for arrival in self._running:
            if is_touched(arrival.key, named):
                arrival.is_forgotten = True
        if not named.frame_number:
            self.rights.forget(named)

    def doubt(self) -> None:
        """Drops everything, and asks the origin about each caller again: a change may not have been heard."""
        self.holding.drop_all()
        for arrival in self._running:
            arrival.is_forgotten = True
        self.rights.doubt()


def _headers(key: ResourceKey, caller: Caller, *, is_compact: bool) -> list[tuple[str, str]]:
    coding = "gzip" if is_compact else "identity"
    form: Headers = (("accept", key.accept), ("accept-encoding", coding), *key.others)
    return [*form, *caller.credentials, *caller.trace]
