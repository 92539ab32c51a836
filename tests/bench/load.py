"""Many viewers, origins that limit each connection, jumps, and the cost of a gate at which many wait."""

import asyncio
import time
from contextlib import nullcontext
from dataclasses import replace
from statistics import median

import uvloop

from proxy.commands.processes import Children
from proxy.measure.link import run_link
from proxy.measure.network import Network as Shaped
from proxy.measure.server import Server
from proxy.service.interpreter import make_ready
from proxy.telemetry.telemetry import Telemetry
from tests.bench.cells import loaded
from tests.bench.gate import alone
from tests.bench.livez import probed, said
from tests.bench.shared import (
    FIRST,
    RIVALS,
    Front,
    NotInstalled,
    frame_path,
    print_row,
    proxy,
    proxy_and_admin,
    run_origin,
    run_paced_origin,
    start,
    versions,
)
from tests.simulation.clock import run as in_virtual_time
from tests.simulation.jumps import jumps
from tests.simulation.line import Network
from tests.simulation.load import Load, through

WAITING = (10, 100, 1_000, 10_000)
"""Frames that are asked for at once."""
ENOUGH, ROUNDS = 2_000, 3
"""Least number of frames in a measurement, and measurements of each number."""
LEAVES = FIRST + 16_384
"""Bytes of a frame, so its first fetch leaves a completion."""
EACH, TRIP = 2e6, 0.020
"""Bytes a second of each connection, and seconds of a round trip."""
SLICES, SLICE = 174, 131_072
VIEWERS, VOLUMES, FRAMES, WITHIN = 300, 30, 40, 20.0
"""Viewers that come within so many seconds, the volumes that they open, and the frames of each."""
WIDTHS = (46, 12, 12)
GATE_WIDTHS = (20, 12, 8, 12, 8)


def run() -> None:
    print(f"({versions()})\n")
    _gate()
    _limited()
    _jumps()
    _many()


def _gate() -> None:
    print("First fetches of 64 KiB of so many frames at once, each of which leaves a completion that waits.")
    print("Processor time for each frame, in microseconds: with the store, the fills and a simulated line,")
    print("and of the gate alone. What is not the gate grows with the memory that it touches.")
    print(f"Medians of {ROUNDS} rounds; × is relative to {WAITING[0]} at once in the same round.\n")
    make_ready()  # as the service does
    line = Network("fast", 1.25e9, 0.001)
    rounds = [[(_cost(count, line), alone(count)) for count in WAITING] for _ in range(ROUNDS)]
    print_row(("", "whole way", "×", "gate alone", "×"), GATE_WIDTHS)
    for at, count in enumerate(WAITING):
        cells = [f"{count:,} at once"]
        for part in (0, 1):
            cells.append(f"{median(each[at][part] for each in rounds) * 1e6:.0f}")
            cells.append(f"{median(each[at][part] / each[0][part] for each in rounds):.2f}")
        print_row(cells, GATE_WIDTHS)


def _cost(count: int, line: Network) -> float:
    """Seconds of the processor for each frame, with so many at once."""
    times = max(1, ENOUGH // count)
    began = time.process_time()
    in_virtual_time(through(Load(LEAVES, count, count, "ranged"), line, Telemetry(), times))
    return (time.process_time() - began) / (times * count)


def _limited() -> None:
    print(
        f"\nAn origin that sends {EACH / 1e6:g} MB a second over each connection, {TRIP * 1000:g} ms away."
        f" {SLICES} frames of\n{SLICE:,} bytes, cold; seconds until all are complete.\n"
    )
    whole = Load(SLICE, SLICES, 6, "whole")
    print_row(("", "6", "24"), WIDTHS)
    shaped = Shaped("far", 1e9, 1e9, TRIP)
    fronts: dict[str, Front] = {"directly": nullcontext, "progressive-proxy": proxy, **RIVALS}
    for way in ("whole", "ranged"):
        for name, front in fronts.items():
            cells = [f"{name}, {'whole frames' if way == 'whole' else '64 KiB, then rests'}"]
            for connections in (6, 24):
                load = replace(whole, way=way, connections=connections)
                try:
                    cells.append(f"{_loaded(front, load, shaped):.2f}")
                except NotInstalled as missing:
                    cells.append(str(missing))
            print_row(cells, WIDTHS)


def _loaded(front: Front, load: Load, shaped: Shaped) -> float:
    with Children() as children:
        origin = start(children, "origin", run_paced_origin, EACH)
        host, _, port = origin.removeprefix("http://").rpartition(":")
        link = start(children, "link", run_link, host, int(port), shaped)
        with front(link) as url:
            return uvloop.run(loaded(url, load)).final


def _jumps() -> None:
    print(
        "\nA jump to a random slice while a plan loads the volume over 4g: its time, divided by latency and"
    )
    print("bytes of the slice. In virtual time.\n")
    print_row(("slice, first bytes", "p50", "p95"), WIDTHS)
    line = Network("4g", 3.75e6, 0.010)
    for size, first in ((SLICE, SLICE // 4), (200_000, 50_000)):
        seen = jumps(line, Load(size, SLICES, 6, "whole"), first)
        middle, late = seen[len(seen) // 2], seen[int(len(seen) * 0.95)]
        print_row((f"{size:,}, {first:,}", f"{middle.ratio:.2f}", f"{late.ratio:.2f}"), WIDTHS)


def _many() -> None:
    print(
        f"\n{VIEWERS} viewers come within {WITHIN:g} s. Each asks for the first 64 KiB of the\n"
        f"{FRAMES} frames of one of {VOLUMES} volumes over six connections. Milliseconds until the first\n"
        "byte of a response.\n"
    )
    print_row(("", "p50", "p95"), WIDTHS)
    with Children() as children:
        origin = start(children, "origin", run_origin)
        _show("directly", origin)
        with proxy_and_admin(origin) as (url, admin):
            _show("progressive-proxy", url, admin)
        for name, front in RIVALS.items():
            try:
                with front(origin) as url:
                    _show(name, url)
            except NotInstalled as missing:
                print(f"{name:{WIDTHS[0]}}{missing}")


def _show(name: str, url: str, admin: str = "") -> None:
    with probed(admin) as alive:
        seen = uvloop.run(_viewed(url))
    print_row((name, *(f"{1000 * seen[int(len(seen) * share)]:.1f}" for share in (0.5, 0.95))), WIDTHS)
    if alive:
        print(f"  {said(alive)}")


async def _viewed(url: str) -> list[float]:
    """Seconds until the first byte of each response, in order."""
    seen: list[float] = []
    headers = {"Accept": "image/jphc", "Range": f"bytes=0-{FIRST - 1}"}

    async def view(number: int) -> None:
        await asyncio.sleep(number * WITHIN / VIEWERS)
        frames = iter(range(FRAMES))
        async with Server(url) as server:

            async def connection() -> None:
                for frame in frames:
                    began = time.perf_counter()
                    path = frame_path(f"2.{number % VOLUMES}", frame, SLICE)
                    async with server.ask(path, headers) as response:
                        chunks = response.aiter_raw()
                        await anext(chunks)
                        seen.append(time.perf_counter() - began)
                        async for _ in chunks:
                            pass

            await asyncio.gather(*(connection() for _ in range(6)))

    await asyncio.gather(*(view(number) for number in range(VIEWERS)))
    return sorted(seen)
