"""Cost of the gate alone, with many fetches that wait at it: no store, no fill and no line."""

import asyncio
import time

from proxy.fetch.account import FetchSize
from proxy.fetch.demand import Demand
from proxy.fetch.gate import Gate
from proxy.telemetry.telemetry import Telemetry

FIRST, PIECES, REST = 65536, 4, 16384
"""First bytes of a frame, the pieces in which they come, and the bytes that its completion brings."""
SEATS = 16
ENOUGH = 5_000
"""Least number of frames in a measurement."""


def alone(count: int) -> float:
    """Returns seconds of the processor for each frame, if so many are asked for at once."""
    times = max(1, ENOUGH // count)
    gate = Gate("origin", SEATS, Telemetry())

    async def ask() -> None:
        for _ in range(times):
            async with asyncio.TaskGroup() as group:
                for _ in range(count):
                    group.create_task(_pass(gate))

    began = time.process_time()
    asyncio.run(ask())
    return (time.process_time() - began) / (times * count)


async def _pass(gate: Gate) -> None:
    """One viewer's first fetch, and the completion that it leaves."""
    demand = Demand(b"")
    reader = demand.view(b"", 1, is_first_enough=True, is_early=True, has_first=False)
    assert not reader
    async with gate.seat(demand, lambda: FetchSize(FIRST, 0), is_first=True) as seat:
        seat.begun()
        for _ in range(PIECES):
            await asyncio.sleep(0)
            seat.arrived(FIRST // PIECES)
        seat.end_first()
    async with gate.seat(demand, lambda: FetchSize(0, REST), is_first=False) as seat:
        seat.begun()
        await asyncio.sleep(0)
        seat.arrived(REST)
