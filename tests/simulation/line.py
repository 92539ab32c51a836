"""A line in virtual time: one shared direction, connections that take turns packet by packet, and an origin.

A connection has no more than `BUFFER` bytes on the line or unread behind it, as with real sockets. The first
request on a connection costs one round trip more. An origin may limit the rate of each connection.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from proxy.fetch.demand import Demand
from proxy.frame.identity import Claim
from proxy.frame.supply import Answer, OriginRequest
from proxy.wire.ranges import Span

BUFFER = 256 * 1024
"""Bytes of one connection that may be on their way or lie unread."""
LABEL = "image/jphc;transfer-syntax=1.2.840.10008.1.2.4.202"


@dataclass(frozen=True, slots=True)
class Network:
    """What the line to the origin is like."""

    name: str
    """For a table."""
    rate: float
    """Bytes a second of all connections together."""
    latency: float
    """Seconds of a round trip."""
    each: float | None = None
    """Bytes a second of one connection at most; None is no limit."""

    @property
    def packet(self) -> int:
        """Bytes that leave at once: half a millisecond's worth, as whole KiB between 2 and 32."""
        return min(32, max(2, int(min(self.rate, self.each or self.rate) * 0.0005) // 1024)) * 1024


@dataclass
class Connection:
    """One connection of the pool, kept open."""

    is_open: bool = False
    left: int = 0
    """Bytes that the origin has still to send."""
    unread: int = 0
    """Bytes on the line, or delivered and not read."""
    free_at: float = 0.0
    """When the origin may send on this one again, under its limit."""
    arrived: "asyncio.Queue[int]" = field(default_factory=asyncio.Queue)
    """Sizes of packets that were delivered."""


class Line:
    """The direction from the origin."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._turns: deque[Connection] = deque()
        self._has_some = asyncio.Event()
        self._pool: list[Connection] = []
        self.sent = 0
        self.requests = 0

    def warm(self, connections: int) -> None:
        """So many connections are open already."""
        self._pool += [Connection(is_open=True) for _ in range(connections)]

    async def run(self) -> None:
        """Sends what there is, until cancelled."""
        loop, free = asyncio.get_running_loop(), 0.0
        while await self._has_some.wait():
            connection = self._next(loop.time())
            if connection is None:
                self._has_some.clear()
                continue
            size = min(self.network.packet, connection.left)
            connection.left -= size
            connection.unread += size
            self.sent += size
            if self.network.each:
                connection.free_at = max(loop.time(), connection.free_at) + size / self.network.each
            free = max(loop.time(), free) + size / self.network.rate
            loop.call_at(free + self.network.latency / 2, connection.arrived.put_nowait, size)
            await asyncio.sleep(free - loop.time())

    def _next(self, now: float) -> Connection | None:
        for _ in range(len(self._turns)):
            connection = self._turns.popleft()
            if not connection.left:
                continue
            self._turns.append(connection)
            if connection.free_at > now:
                asyncio.get_running_loop().call_at(connection.free_at, self._has_some.set)
            elif connection.unread < BUFFER:
                return connection
        return None

    @asynccontextmanager
    async def ask(self, size: int) -> AsyncIterator[Connection]:
        """Asks for so many bytes, and gives a connection as soon as the answer's headers are there."""
        connection = self._pool.pop() if self._pool else Connection()
        self.requests += 1
        await asyncio.sleep((0.5 if connection.is_open else 1.5) * self.network.latency)
        connection.is_open, connection.left, connection.unread = True, size, 0
        connection.arrived = asyncio.Queue()
        self._turns.append(connection)
        self._has_some.set()
        await asyncio.sleep(self.network.latency / 2)  # headers take no room on the line
        is_whole = False
        try:
            yield connection
            is_whole = not connection.left and not connection.unread
        finally:
            connection.left = 0
            if is_whole:
                self._pool.append(connection)

    async def read(self, connection: Connection, size: int) -> AsyncIterator[int]:
        """Sizes of chunks, as they are read."""
        while size:
            chunk = await connection.arrived.get()
            while not connection.arrived.empty():  # a read takes all that is there
                chunk += connection.arrived.get_nowait()
            connection.unread -= chunk
            self._has_some.set()
            size -= chunk
            yield chunk


class LineOrigin:
    """An origin whose frames have so many bytes, behind a line."""

    keeps_labels = False
    has_validators = True

    def __init__(self, line: Line, size: int) -> None:
        self._line = line
        self._size = size

    def may_ask_again(self) -> bool:
        """Nothing ever fails here."""
        return False

    @asynccontextmanager
    async def fetch(
        self, asked: OriginRequest, span: Span, held: Claim | None, stage: str, demand: Demand
    ) -> AsyncIterator[Answer]:
        """A span of a frame."""
        stop = min(span.stop or self._size, self._size)
        async with self._line.ask(stop - span.start) as connection:
            chunks = self._chunks(connection, stop - span.start)
            yield Answer(Claim(LABEL, self._size, '"1"'), span.start, stop, chunks)

    async def _chunks(self, connection: Connection, size: int) -> AsyncIterator[bytes]:
        async for chunk in self._line.read(connection, size):
            yield bytes(chunk)
