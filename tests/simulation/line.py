"""A line in virtual time: one shared downlink, connections that send packets in turn, and an origin.

As with real sockets, a connection holds at most `BUFFER` bytes that are on the line or unread. The first
request on a connection takes one more round trip. An origin may limit the rate of each connection.
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
"""Most bytes of one connection that can be on the line or unread."""
TICK = 1e-6
"""Seconds that count as none; the loop runs timers up to its clock's resolution early."""
LABEL = "image/jphc;transfer-syntax=1.2.840.10008.1.2.4.202"


@dataclass(frozen=True, slots=True)
class Network:
    """The properties of the line to the origin."""

    name: str
    """Name of the line in tables."""
    rate: float
    """Bytes per second of all connections together."""
    latency: float
    """Seconds of one round trip."""
    each: float | None = None
    """Most bytes per second of one connection. None for no limit."""

    @property
    def packet(self) -> int:
        """Bytes of one packet: as many as take half a millisecond, in whole KiB between 2 and 32."""
        return min(32, max(2, int(min(self.rate, self.each or self.rate) * 0.0005) // 1024)) * 1024


@dataclass
class Connection:
    """One persistent connection of the pool."""

    is_open: bool = False
    left: int = 0
    """Bytes that the origin has not sent yet."""
    unread: int = 0
    """Bytes that are on the line, or delivered and not read yet."""
    free_at: float = 0.0
    """Virtual time at which the origin's rate limit lets this connection send again."""
    arrived: "asyncio.Queue[int]" = field(default_factory=asyncio.Queue)
    """Sizes of the packets that were delivered."""


class Line:
    """The downlink from the origin."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._turns: deque[Connection] = deque()
        self._has_some = asyncio.Event()
        self._pool: list[Connection] = []
        self.sent = 0
        self.requests = 0

    def warm(self, connections: int) -> None:
        """Opens connections in advance."""
        self._pool += [Connection(is_open=True) for _ in range(connections)]

    async def run(self) -> None:
        """Sends the packets of all connections until it is cancelled."""
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
            if connection.free_at - now > TICK:
                asyncio.get_running_loop().call_at(connection.free_at, self._has_some.set)
            elif connection.unread < BUFFER:
                return connection
        return None

    @asynccontextmanager
    async def ask(self, size: int) -> AsyncIterator[Connection]:
        """Requests `size` bytes. Yields the connection as soon as the response's headers have arrived."""
        connection = self._pool.pop() if self._pool else Connection()
        self.requests += 1
        await asyncio.sleep((0.5 if connection.is_open else 1.5) * self.network.latency)
        connection.is_open, connection.left, connection.unread = True, size, 0
        connection.arrived = asyncio.Queue()
        self._turns.append(connection)
        self._has_some.set()
        await asyncio.sleep(self.network.latency / 2)  # headers use no bandwidth here
        is_whole = False
        try:
            yield connection
            is_whole = not connection.left and not connection.unread
        finally:
            connection.left = 0
            if is_whole:
                self._pool.append(connection)

    async def read(self, connection: Connection, size: int) -> AsyncIterator[int]:
        """Yields the sizes of chunks as they are read."""
        while size:
            chunk = await connection.arrived.get()
            while not connection.arrived.empty():  # one read takes everything that has arrived
                chunk += connection.arrived.get_nowait()
            connection.unread -= chunk
            self._has_some.set()
            size -= chunk
            yield chunk


class LineOrigin:
    """An origin behind a line, with frames of equal size."""

    keeps_labels = False
    has_validators = True
    has_ranges = True

    def __init__(self, line: Line, size: int) -> None:
        self._line = line
        self._size = size

    def may_ask_again(self) -> bool:
        """Always False, because no fetch fails here."""
        return False

    @asynccontextmanager
    async def fetch(
        self,
        asked: OriginRequest,
        span: Span,
        held: Claim | None,
        stage: str,
        demand: Demand,
        stale: Claim | None = None,
    ) -> AsyncIterator[Answer]:
        """Fetches a span of a frame."""
        stop = min(span.stop or self._size, self._size)
        async with self._line.ask(stop - span.start) as connection:
            chunks = self._chunks(connection, stop - span.start)
            yield Answer(Claim(LABEL, self._size, '"1"'), span.start, stop, chunks)

    async def _chunks(self, connection: Connection, size: int) -> AsyncIterator[bytes]:
        async for chunk in self._line.read(connection, size):
            yield bytes(chunk)
