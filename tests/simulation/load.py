"""A series loaded directly over a line, and through the proxy's own gate, fills and store."""

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
"""One request a frame, seen when it is whole; 64 KiB of each, then the rests; one, seen at 64 KiB."""
Ask = Callable[["Watch", int, int, int], Awaitable[None]]
"""Asks for `[start, stop)` of a frame, and tells the watch what comes."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked for."""

    size: int
    """Bytes of a frame."""
    frames: int
    """Frames of the series."""
    connections: int
    """Requests under way at once."""
    way: Way

    def over(self, connections: int) -> "Load":
        """The same, over another number of connections."""
        return replace(self, connections=connections)

    @property
    def asked(self) -> list[tuple[int, int, int]]:
        """Frames with the spans asked for, in order."""
        if self.way != "ranged" or self.size <= FIRST:
            return [(frame, 0, self.size) for frame in range(self.frames)]
        spans = ((0, FIRST), (FIRST, self.size))
        return [(frame, start, stop) for (start, stop), frame in product(spans, range(self.frames))]


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds from the first request."""

    first: float
    """Until the first frame was seen."""
    seen: float
    """Until every frame was seen."""
    final: float
    """Until every frame was whole."""


class Watch:
    """Notes when frames are seen and whole."""

    def __init__(self, load: Load) -> None:
        self._seen_at = load.size if load.way == "whole" else min(FIRST, load.size)
        self._size = load.size
        self._seen: list[float] = []
        self._whole: list[float] = []
        self._began = asyncio.get_running_loop().time()

    def note(self, before: int, now: int) -> None:
        """A frame has grown from so many bytes to so many."""
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
    """The line runs."""
    running = asyncio.ensure_future(line.run())
    try:
        yield
    finally:
        running.cancel()


async def directly(load: Load, network: Network) -> Times:
    """Without a proxy, over connections that are open."""
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
    """The proxy's gate, fills and store, in front of one line."""

    def __init__(self, network: Network, load: Load, telemetry: Telemetry) -> None:
        self.line = Line(network)
        self.line.warm(
            1 + load.connections
        )  # by which the origin was greeted, and the viewer's metadata came
        self.gate = Gate("pacs", 32, telemetry, clock=asyncio.get_running_loop().time)
        store = MemoryStore(1 << 30, 0.5, 3600, telemetry)
        self.fills = Fills(store, telemetry)
        suppliers = Suppliers({"pacs": GatedSupplier(LineOrigin(self.line, load.size), self.gate)})
        self.retrieve = Retrieve(suppliers, store, self.fills)

    def wanted(self, frame: int, stop: int | None) -> Retrieval:
        """A request of a viewer."""
        key = FrameKey("pacs", b"", FrameResource("1", "2", f"3.{frame}", 1))
        return Retrieval(OriginRequest(key, ()), FIRST, stop, is_completed=True)

    async def read_metadata(self, size: int) -> None:
        """A viewer reads the metadata of the series, as it does before the frames."""
        window, clock = self.gate.window, self.gate.clock
        async with self.line.ask(size) as connection:
            arrival = window.asked(clock(), was_idle=False)
            async for chunk in self.line.read(connection, size):
                size -= chunk
                window.came(arrival, chunk, clock(), is_full=False, is_all=not size)

    async def read(self, frame: int, start: int, stop: int, load: Load, watch: Watch) -> None:
        """A viewer near the proxy reads `[start, stop)` of a frame."""
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


async def through(load: Load, network: Network, telemetry: Telemetry) -> Times:
    """Through a proxy that holds nothing."""
    proxy = Proxy(network, load, telemetry)

    async def ask(watch: Watch, frame: int, start: int, stop: int) -> None:
        await proxy.read(frame, start, stop, load, watch)

    with serving(proxy.line):
        async with proxy.fills.tasks:
            await proxy.read_metadata(METADATA)
            return await viewed(load, ask)


async def viewed(load: Load, ask: Ask) -> Times:
    """Asks for all of a load on so many connections; a rest only when its first bytes are there."""
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
