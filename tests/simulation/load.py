"""A series that is loaded over a line, either directly or through the proxy's real gate, fills and store."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

from proxy.cache.memory import MemoryStore
from proxy.fetch.fills import Fills
from proxy.fetch.gate import Gate
from proxy.fetch.retrieve import Retrieval, Retrieve
from proxy.fetch.supplier import GatedSupplier, Suppliers
from proxy.frame.key import FrameKey
from proxy.frame.supply import OriginRequest
from proxy.telemetry.telemetry import Telemetry
from proxy.wire.resource import FrameResource
from tests.simulation.line import Line, LineOrigin, Network

FIRST = 65536
METADATA = 128 * 1024
"""Bytes of the metadata of a series."""
Way = Literal["whole", "ranged", "streamed"]
"""How a viewer loads each frame and when it counts as seen.

whole     one request, seen when it is complete
ranged    64 KiB of every frame, then the rest, seen after 64 KiB
streamed  one request, seen after 64 KiB
"""
Ask = Callable[["Watch", int, int, int], Awaitable[None]]
"""Requests `[start, stop)` of a frame and tells the `Watch` how the frame grows."""


@dataclass(frozen=True, slots=True)
class Load:
    """The frames that a viewer requests, and how."""

    size: int
    """Bytes of one frame."""
    frames: int
    """Number of frames in the series."""
    connections: int
    """Requests in progress at once."""
    way: Way

    def over(self, connections: int) -> "Load":
        """The same, over another number of connections."""
        return replace(self, connections=connections)

    @property
    def asked(self) -> list[tuple[int, int, int]]:
        """The frame number and the span of each request, in order."""
        if self.way != "ranged" or self.size <= FIRST:
            return [(frame, 0, self.size) for frame in range(self.frames)]
        spans = ((0, FIRST), (FIRST, self.size))
        return [(frame, start, stop) for (start, stop), frame in product(spans, range(self.frames))]


@dataclass(frozen=True, slots=True)
class Times:
    """Times of one load, in seconds from the first request."""

    first: float
    """Until the first frame was seen."""
    seen: float
    """Until every frame was seen."""
    final: float
    """Until every frame was complete."""


class Watch:
    """Records when frames are seen and complete."""

    def __init__(self, load: Load) -> None:
        self._seen_at = load.size if load.way == "whole" else min(FIRST, load.size)
        self._size = load.size
        self._seen: list[float] = []
        self._whole: list[float] = []
        self._began = asyncio.get_running_loop().time()

    def note(self, before: int, now: int) -> None:
        """Records that a frame has grown from `before` to `now` bytes."""
        at = asyncio.get_running_loop().time() - self._began
        if before < self._seen_at <= now:
            self._seen.append(at)
        if before < self._size <= now:
            self._whole.append(at)

    @property
    def times(self) -> Times:
        return Times(self._seen[0], self._seen[-1], self._whole[-1])


@contextmanager
def serving(line: Line) -> Iterator[None]:
    """Runs the line until the `with` ends."""
    running = asyncio.ensure_future(line.run())
    try:
        yield
    finally:
        running.cancel()


async def directly(load: Load, network: Network) -> Times:
    """Loads without a proxy, over open connections."""
    line = Line(network)
    line.warm(load.connections)

    async def ask(watch: Watch, frame: int, start: int, stop: int) -> None:
        at = start
        async with line.ask(stop - start) as connection:
            async for chunk in line.read(connection, stop - start):
                watch.note(at, at + chunk)
                at += chunk

    with serving(line):
        return await viewed(load, ask)


class Proxy:
    """The proxy's real gate, fills and store, in front of one line."""

    def __init__(self, network: Network, load: Load, telemetry: Telemetry) -> None:
        self.line = Line(network)
        self.line.warm(
            1 + load.connections
        )  # opened by the greeting to the origin, and by the viewer's request for metadata
        self.gate = Gate("pacs", 32, telemetry, clock=asyncio.get_running_loop().time)
        store = MemoryStore(1 << 30, 0.5, 3600, telemetry)
        self.fills = Fills(store, telemetry)
        suppliers = Suppliers({"pacs": GatedSupplier(LineOrigin(self.line, load.size), self.gate)})
        self.retrieve = Retrieve(suppliers, store, self.fills)

    def wanted(self, frame: int, stop: int | None) -> Retrieval:
        """The request of a viewer for a frame."""
        key = FrameKey("pacs", b"", FrameResource("1", "2", f"3.{frame}", 1))
        return Retrieval(OriginRequest(key, ()), FIRST, stop, is_completed=True)

    async def read_metadata(self, size: int) -> None:
        """Reads the metadata of the series, as a viewer does before it requests frames."""
        window, clock = self.gate.window, self.gate.clock
        async with self.line.ask(size) as connection:
            arrival = window.asked(clock(), was_idle=False)
            async for chunk in self.line.read(connection, size):
                size -= chunk
                window.came(arrival, chunk, clock(), is_full=False, is_all=not size)

    async def read(self, frame: int, start: int, stop: int, load: Load, watch: Watch) -> None:
        """Reads `[start, stop)` of a frame, as a viewer next to the proxy does."""
        opened = self.retrieve.open(self.wanted(frame, None if stop == load.size else stop))
        try:
            await opened.source.describe()
            at = start
            while at < stop:
                chunk = sum(map(len, await opened.source.take(at, stop)))
                watch.note(at, at + chunk)
                at += chunk
        finally:
            opened.leave()


async def through(load: Load, network: Network, telemetry: Telemetry, times: int = 1) -> Times:
    """Loads through a proxy with an empty cache, so many times with new frames. Returns the last times."""
    proxy = Proxy(network, load, telemetry)

    async def viewed_from(number: int) -> Times:
        async def ask(watch: Watch, frame: int, start: int, stop: int) -> None:
            await proxy.read(number + frame, start, stop, load, watch)

        return await viewed(load, ask)

    with serving(proxy.line):
        async with proxy.fills.tasks:
            await proxy.read_metadata(METADATA)
            for time in range(times - 1):
                await viewed_from(load.frames * (1 + time))
            return await viewed_from(0)


async def viewed(load: Load, ask: Ask) -> Times:
    """Sends all requests of a load over its connections. A frame's rest follows after its first bytes."""
    watch, asked = Watch(load), iter(load.asked)
    is_seen = [asyncio.Event() for _ in range(load.frames)]

    async def connection() -> None:
        for frame, start, stop in asked:
            if start:
                await is_seen[frame].wait()
            await ask(watch, frame, start, stop)
            is_seen[frame].set()

    async with asyncio.TaskGroup() as group:
        for _ in range(load.connections):
            group.create_task(connection())
    return watch.times
