"""A viewer that jumps to a random slice while a plan loads the volume; in virtual time."""

import asyncio
import os
import random
from dataclasses import dataclass, replace
from multiprocessing import get_context

from proxy.fetch.retrieve import Retrieval
from proxy.fetch.turns import Rank, Turn
from proxy.telemetry.telemetry import Telemetry
from tests.simulation.clock import run
from tests.simulation.line import Network
from tests.simulation.load import METADATA, Load, Proxy, serving

JUMPS = 100
PLANNED_AT_ONCE = 64
"""Frames of the plan that are asked for at once."""


@dataclass(frozen=True, slots=True)
class Jump:
    """One jump."""

    at: float
    """Seconds from the start of the plan."""
    frame: int
    took: float
    """Seconds until the whole slice was there."""
    limit: float
    """Latency, and the bytes of the slice divided by the rate of the line."""

    @property
    def ratio(self) -> float:
        return self.took / self.limit


def jumps(network: Network, load: Load, first: int) -> list[Jump]:
    """Jumps to slices that are not complete yet; each with a plan of its own, sorted by ratio.

    The plan fetches `first` bytes of each frame, then the rest of each.
    """
    chance = random.Random(1)
    lasts = load.size * load.frames / network.rate
    asked = [
        (network, load, first, chance.uniform(0.02, 0.95) * lasts, frame)
        for frame in chance.choices(range(load.frames), k=JUMPS)
    ]
    with get_context("spawn").Pool(os.cpu_count()) as pool:
        played = pool.starmap(_played, asked, chunksize=4)
    return sorted((jump for jump in played if jump is not None), key=lambda jump: jump.ratio)


def _played(network: Network, load: Load, first: int, at: float, frame: int) -> Jump | None:
    return run(_jump(network, load, first, at, frame))


async def _jump(network: Network, load: Load, first: int, at: float, frame: int) -> Jump | None:
    proxy, loop = Proxy(network, load, Telemetry()), asyncio.get_running_loop()
    with serving(proxy.line):
        async with proxy.fills.tasks:
            await proxy.read_metadata(METADATA)
            plan = asyncio.ensure_future(_plan(proxy, load, first))
            await asyncio.sleep(at)
            began, wanted = loop.time(), proxy.wanted(frame, None)
            await _read(proxy, wanted, load.size)
            took = loop.time() - began
            plan.cancel()
            await asyncio.wait([plan])
    return Jump(at, frame, took, network.latency + load.size / network.rate) if took else None


async def _plan(proxy: Proxy, load: Load, first: int) -> None:
    for stop in (first, load.size):
        turns = asyncio.Semaphore(PLANNED_AT_ONCE)

        async def fetch(frame: int, stop: int = stop, turns: asyncio.Semaphore = turns) -> None:
            rank = Rank(Turn.PLAN_FIRST, 1, 2)
            wanted = replace(proxy.wanted(frame, stop), first=first, planned=rank, is_completed=False)
            async with turns:
                await _read(proxy, wanted, stop)

        async with asyncio.TaskGroup() as group:
            for frame in range(load.frames):
                group.create_task(fetch(frame))


async def _read(proxy: Proxy, wanted: Retrieval, stop: int) -> None:
    opened, at = proxy.retrieve.open(wanted), 0
    try:
        await opened.source.describe()
        while at < stop:
            at += sum(map(len, await opened.source.take(at, stop)))
    finally:
        opened.leave()
