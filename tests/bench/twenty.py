"""Twenty frames over one slow link: time to the last first range, and to the end of all frames."""

import asyncio
import time
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass
from itertools import product

import uvloop

from proxy.commands.processes import Children
from proxy.measure.link import run_link
from proxy.measure.network import Network
from proxy.measure.picture import MeasuredPicture
from proxy.measure.server import CONNECTIONS, Server
from proxy.wire.ranges import Span
from tests.bench.shared import (
    FIRST,
    RIVALS,
    Front,
    NotInstalled,
    frame_bytes,
    frame_path,
    print_row,
    proxy,
    run_origin,
    start,
    versions,
)

FRAMES, SIZE = 20, 1_000_000
NETWORK = Network("20ms", down=30e6, up=30e6, latency=0.020)
MANY = 8
"""Viewers at once, each with its own connections."""
AIM_FIRST, AIM_COMPLETE = 0.40, 5.5
"""Target times in seconds, from issue 3."""
RUNS = 10
"""Runs of the proxy with one viewer. The slowest is shown."""
WIDTHS = (32, 8, 6, 10, 6, 9, 6, 6)


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds from the first request, for the slowest viewer."""

    last_first: float
    """Until the last first range had arrived."""
    complete: float
    """Until all frames were complete."""


FLOOR = Times(NETWORK.limit(FRAMES * FIRST), NETWORK.limit(FRAMES * SIZE))


def run() -> None:
    print(
        f"{FRAMES} frames of {SIZE:,} bytes. One link of {NETWORK.down / 1e6:g} Mbit/s and"
        f" {NETWORK.latency * 1e3:g} ms before the origin.\n"
        f"A viewer has {CONNECTIONS} open connections. It requests bytes=0-{FIRST - 1} of every\n"
        f"frame, then bytes={FIRST}- of every frame. Each row is a new process with an empty\n"
        "cache. The bytes are compared. nginx has proxy_cache_lock on. Times are seconds of\n"
        "the slowest viewer. × is relative to the limit: bytes / rate + one latency, no headers."
    )
    print(f"({versions()})\n")
    print_row(("", "last", "", "all", "", "origin requests"), (*WIDTHS[:5], sum(WIDTHS[5:])))
    print_row(("", "first", "×", "complete", "×", "first", "rest", "whole"), WIDTHS)
    _print("limit", FLOOR, {"first": FRAMES, "rest": FRAMES})
    _print("target of issue 3", Times(AIM_FIRST, AIM_COMPLETE), {"first": FRAMES, "rest": FRAMES})
    with Children() as children:
        origin = start(children, "origin", run_origin)
        host, _, port = origin.removeprefix("http://").rpartition(":")
        link = start(children, "link", run_link, host, int(port), NETWORK)
        _row("directly over the link", 1, origin, link, nullcontext)
        _row(f"progressive-proxy, worst of {RUNS}", 1, origin, link, proxy, runs=RUNS)
        _row("progressive-proxy", MANY, origin, link, proxy)
        for (name, front), viewers in product(RIVALS.items(), (1, MANY)):
            _row(name, viewers, origin, link, front)


def _row(name: str, viewers: int, origin: str, link: str, front: Front, runs: int = 1) -> None:
    """Prints the run in which the last first bytes came latest."""
    name += f", {viewers} viewers" * (viewers > 1)
    try:
        seen = [_seen(viewers, origin, link, front) for _ in range(runs)]
    except NotInstalled as missing:
        print(f"{name:{WIDTHS[0]}}{missing}")
    else:
        _print(name, *max(seen, key=lambda run: run[0].last_first))


def _seen(viewers: int, origin: str, link: str, front: Front) -> tuple[Times, dict[str, int]]:
    study = f"1.{time.time_ns()}"
    with front(link) as url:
        return uvloop.run(_load(url, study, viewers)), uvloop.run(_asked(origin, study))


def _print(name: str, times: Times, asked: dict[str, int]) -> None:
    cells = [name]
    for took, floor in ((times.last_first, FLOOR.last_first), (times.complete, FLOOR.complete)):
        cells += [f"{took:.3f}", f"{took / floor:.2f}"]
    print_row([*cells, *(str(asked.get(stage, "–")) for stage in ("first", "rest", "whole"))], WIDTHS)


async def _asked(origin: str, study: str) -> dict[str, int]:
    async with Server(origin) as server:
        (counts,) = await server.get_json(f"asked/{study}")
    return counts


async def _load(url: str, study: str, viewers: int) -> Times:
    """Starts all viewers at the same time and waits for them."""
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(Server(url)) for _ in range(viewers)]
        # A viewer has just read metadata over its connections.
        touches = (server.get_json(f"studies/{study}/series") for server in servers * CONNECTIONS)
        await asyncio.gather(*touches)
        began = time.perf_counter()
        viewed = await asyncio.gather(*(_view(server, study) for server in servers))
    pictures = [picture for seen in viewed for picture in seen]
    for number, picture in enumerate(pictures):
        assert picture.codestream() == frame_bytes(number % FRAMES, SIZE), "not the bytes of the origin"
    return Times(
        max(picture.first_at or 0 for picture in pictures) - began,
        max(picture.whole_at or 0 for picture in pictures) - began,
    )


async def _view(server: Server, study: str) -> list[MeasuredPicture]:
    """Loads like the range way of `measure`. A connection continues once its response is complete."""
    pictures = [MeasuredPicture(is_progressive=True) for _ in range(FRAMES)]
    requests = iter(list(product((Span(0, FIRST), Span(FIRST, None)), range(FRAMES))))

    async def ask_in_turn() -> None:
        for span, number in requests:
            headers = {"Accept": "image/jphc", "Range": span.to_header()}
            async with server.ask(frame_path(study, number, SIZE), headers) as response:
                pictures[number].begin(response.status_code, response.headers, span)
                async for chunk in response.aiter_raw():
                    pictures[number].take(chunk, time.perf_counter())
                pictures[number].end(time.perf_counter())

    await asyncio.gather(*(ask_in_turn() for _ in range(CONNECTIONS)))
    return pictures
