"""Plays some cells of the grid over real sockets, to check that they agree with virtual time."""

import asyncio
import time

import uvloop

from proxy.commands.processes import Children
from proxy.measure.link import run_link
from proxy.measure.network import Network as Shaped
from proxy.measure.server import Server
from proxy.wire.ranges import Span
from tests.bench.shared import frame_path, print_row, proxy, run_origin, start
from tests.simulation.grid import NETWORKS, Cell
from tests.simulation.line import Network
from tests.simulation.load import Load, Times, Watch, viewed

FOUR_G, FAR, _ = NETWORKS
CELLS = (
    (FOUR_G, Load(16_384, 200, 24, "whole")),
    (FOUR_G, Load(131_072, 64, 6, "whole")),
    (FOUR_G, Load(173_000, 64, 6, "whole")),
    (FOUR_G, Load(234_000, 64, 6, "whole")),
    (FOUR_G, Load(234_000, 64, 24, "whole")),
    (FOUR_G, Load(234_000, 64, 6, "ranged")),
    (FOUR_G, Load(1_000_000, 12, 6, "streamed")),
    (FAR, Load(65_536, 128, 24, "whole")),
    (FAR, Load(234_000, 68, 1, "whole")),
    (FAR, Load(234_000, 68, 6, "whole")),
    (FAR, Load(472_000, 34, 24, "whole")),
    (FAR, Load(4_000_000, 4, 6, "streamed")),
)
"""Cells with a line slower than the machine. Over 1 Gbit/s they would measure the processor, not the gate."""
WIDTHS = (38, 8, 8, 8, 8, 8)


def run() -> None:
    print(
        f"{len(CELLS)} loads over real sockets, through a cold proxy and directly. Seconds until the\n"
        "first picture, and until all are complete. Of rule: 1.00 is 5 % and 10 ms more than directly.\n"
    )
    print_row(("", "first", "direct", "final", "direct", "of rule"), WIDTHS)
    for network, load in CELLS:
        cell = _measured(network, load)
        show(cell)


def show(cell: Cell) -> None:
    load, pairs = cell.load, ((cell.proxy.first, cell.direct.first), (cell.proxy.final, cell.direct.final))
    name = f"{cell.network.name}: {load.frames} × {load.size:,}, {load.way}, {load.connections}"
    seconds = [f"{each:.3f}" for pair in pairs for each in pair]
    print_row((name[: WIDTHS[0] - 1], *seconds, f"{1 + cell.excess:.2f}"), WIDTHS)


def _measured(network: Network, load: Load) -> Cell:
    shaped = Shaped(network.name, network.rate * 8, network.rate * 8, network.latency)
    with Children() as children:
        origin = start(children, "origin", run_origin)
        host, _, port = origin.removeprefix("http://").rpartition(":")
        link = start(children, "link", run_link, host, int(port), shaped)
        direct = uvloop.run(loaded(link, load))
        with proxy(link) as url:
            return Cell(network, load, direct, uvloop.run(loaded(url, load)))


async def loaded(url: str, load: Load) -> Times:
    """Loads a series over real sockets."""
    study = f"1.{time.time_ns()}"
    async with Server(url, connections=load.connections) as server:
        # A viewer has just read metadata over its connections.
        touches = (server.get_json(f"studies/{study}/series") for _ in range(load.connections))
        await asyncio.gather(*touches)

        async def ask(watch: Watch, frame: int, start: int, stop: int) -> None:
            headers, at = {"Accept": "image/jphc"}, start
            if load.way == "ranged":
                span = Span(start, None if start else stop)
                headers["Range"] = span.to_header()
            async with server.ask(frame_path(study, frame, load.size), headers) as response:
                async for chunk in response.aiter_raw():
                    watch.note(at, at + len(chunk))
                    at += len(chunk)
            assert at == stop, f"{at} of {stop} bytes"

        return await viewed(load, ask)
