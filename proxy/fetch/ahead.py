"""Reads resources of studies for which nobody waits: metadata, searches and thumbnails, before a viewer asks.

They take a seat at the origin's gate in the turn of plans, so fetches for viewers go first, and a part of the
seats stays free for viewers. Requests of viewers for such resources do not go through the gate. While one of
them waits for the origin, nothing is read ahead there, for at most `LONGEST_WAIT`.

A viewer that wants the same resource does not wait for a seat. If the request has gone out already, the
viewer joins it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

from proxy.access.caller import Caller
from proxy.errors import OriginMismatch
from proxy.fetch.account import FetchSize
from proxy.fetch.demand import Follower
from proxy.fetch.gate import Gate
from proxy.fetch.reading import Reading, ResourceRequest
from proxy.fetch.resources import Resources
from proxy.fetch.turns import Rank, Turn
from proxy.origin.answer import check_status
from proxy.origin.client import Origin
from proxy.wire.json_in_windows import read_in_windows

Row = TypeVar("Row")

LONGEST_WAIT = 10.0
"""Most seconds for which one request waits for those of viewers."""
EXPECTED = 65536
"""Bytes that a resource is expected to have, until it is in."""
JSON = "application/dicom+json"
"""The media type of metadata and searches."""


@dataclass(eq=False)
class AheadDemand:
    """A resource for which nobody waits, as the gate sees it."""

    persons: dict[bytes, None]
    """The caller with whose credentials it is read."""
    number: int
    """Number of the run that reads it."""
    followers: set[Follower] = field(default_factory=set)
    """The seat."""

    def rank(self, is_first: bool) -> Rank:
        """The turn of plans."""
        del is_first
        return Rank(Turn.PLAN_FIRST, self.number)


class Ahead:
    """Reads resources in the turn of plans."""

    def __init__(
        self, origins: Mapping[str, Origin], resources: Resources, gates: Mapping[str, Gate]
    ) -> None:
        """`gates` are those of the origins, by name."""
        self._origins = origins
        self._resources = resources
        self._gates = gates
        self.longest_wait = LONGEST_WAIT
        """Most seconds for which one request waits for those of viewers."""

    def is_kept(self, asked: ResourceRequest) -> bool:
        """True if resources of this kind are kept, so that it makes sense to read one ahead."""
        return bool(self._resources.holding.terms.most(asked.resource.kind))

    @property
    def usable_for(self) -> float:
        """Seconds for which a resource of a study may be used after it was read."""
        terms = self._resources.holding.terms
        return terms.study_ttl + terms.study_stale

    async def read(self, caller: Caller, asked: ResourceRequest, number: int = 0) -> int:
        """Reads a resource, so that it is held. Returns the bytes that came from the origin.

        `number` is that of the run: the lower goes first. Raises `OriginError`.
        """
        size = 0
        async with self._opened(caller, asked, number) as reading:
            async for piece in reading.pieces():
                size += len(piece)
            return size if reading.is_asker else 0

    async def rows(
        self,
        caller: Caller,
        asked: ResourceRequest,
        read: Callable[[Any], Row | None],
        number: int = 0,
    ) -> list[Row]:
        """The rows of a search, as `read` makes them of each; rows of which it makes None are left out.

        Raises `OriginError`.
        """
        async with AsyncExitStack() as stack:
            reading = await stack.enter_async_context(self._opened(caller, asked, number))
            plain = self._origins[caller.origin].plain
            body = plain.as_metadata(reading.pieces(), reading.head.coding)
            chunks = [chunk async for chunk in body]
        if not any(chunks):  # 204: no match (PS3.18 8.3.4.4)
            return []
        try:
            found = await asyncio.to_thread(partial(read_in_windows, chunks, read, _nothing))
        except ValueError as error:
            raise OriginMismatch(f"the response to a search is not JSON: {error}", "search") from error
        if not isinstance(found, list):
            raise OriginMismatch("the response to a search is not a list", "search")
        return [row for row in found if row is not None]

    @asynccontextmanager
    async def _opened(self, caller: Caller, asked: ResourceRequest, number: int) -> AsyncIterator[Reading]:
        held = self._resources.at_once(caller, asked, may_be_stale=False)
        if held is not None:
            yield held
            return
        await self._until_no_viewer_waits(caller.origin)
        demand = AheadDemand({caller.person: None}, number)
        seat = self._gates[caller.origin].seat(demand, lambda: FetchSize(0, EXPECTED), is_first=False)
        async with seat, self._resources.read(caller, asked, may_be_stale=False, is_ahead=True) as reading:
            if reading.head.status != HTTPStatus.NO_CONTENT:
                check_status(reading.head.status, dict(reading.head.headers))
            yield reading

    async def _until_no_viewer_waits(self, origin: str) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self.longest_wait):
                await self._resources.pending.until_none(origin)


def _nothing(_: object) -> None:
    """Keeps nothing of a long list within a row."""
