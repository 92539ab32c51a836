"""A study that was seen before, and a viewer beside a warm-up, with 4g between the proxy and its origin."""

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from itertools import count
from statistics import median
from typing import Any

import httpx
import uvloop
from starlette.types import Receive, Scope, Send

from proxy.commands.processes import Children
from proxy.measure.link import run_link
from proxy.measure.network import PRESETS
from proxy.measure.server import Server
from proxy.measure.viewer import Loaded, Viewer, Way
from proxy.service.listeners import Listener
from proxy.wire.ranges import Span
from tests.bench.program import Program, program
from tests.bench.shared import FIRST, Counting, frame_path, print_row, run_origin, start

LINE = PRESETS["4g"]
SIZE, IMAGES, VIEWED = 131_072, 40, 174
"""Bytes of a frame, images of a series that is warmed, and of one that is viewed, which takes 6 s."""
STUDIES = 50
"""Studies that are warmed; more than a minute of the line."""
OPENED = 200
"""Times that a study is opened again."""
ROUNDS = 5
"""Series that are loaded without a warm-up, and as many beside one; before them one that does not count."""
AIM_OPENED, AIM_LONGER = 10.0, 1.05
"""Milliseconds, and times of what a viewer waits without a warm-up. From the issue about the whole study."""
WIDTHS = (40, 12, 12, 14)
UIDS = count(1000)


class Archive(Counting):
    """An origin that finds `STUDIES` studies of one series each."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers searches and metadata; the rest is as in any benchmark."""
        parts = scope["path"].strip("/").split("/")
        if parts[-1] in ("studies", "series", "metadata"):
            body = json.dumps([_row(each) for each in _found(parts)]).encode()
            headers = [(b"content-type", b"application/dicom+json"), (b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        await super().__call__(scope, receive, send)


def _found(parts: list[str]) -> Iterator[dict[str, Any]]:
    """The attributes of the rows that an archive has for a path."""
    match parts:
        case ["studies"]:
            yield from ({"0020000D": f"1.{number}", "00201208": IMAGES} for number in range(STUDIES))
        case ["studies", study, "series"]:
            yield {"0020000D": study, "0020000E": "1", "00080060": "CT", "00201209": IMAGES}
        case ["studies", _, "series", _, "metadata"]:
            yield from ({"00080018": f"1.{number}.{SIZE}", "00200013": number} for number in range(IMAGES))


def _row(said: dict[str, Any]) -> dict[str, Any]:
    return {tag: {"Value": [value]} for tag, value in said.items()}


def run_archive(listener: socket.socket) -> None:
    uvloop.run(Listener(Archive(), listener, 1).until_ended())


def run() -> None:
    print(
        f"{LINE.describe()}, between the proxy and its origin.\n"
        f"Viewers are on loopback. To open a study is a search for its series, metadata of 400 kB and\n"
        f"the first {FIRST} bytes of a frame, here {OPENED} times. Beside a warm-up of {STUDIES} studies,\n"
        f"a viewer loads series of {VIEWED} frames of {SIZE:,} bytes by ranges; medians of {ROUNDS} series.\n"
    )
    print_row(("", "p50, ms", "p99, ms", "from origin"), WIDTHS)
    with Children() as children:
        with program({"origins": [{"url": _behind(children, run_origin)}]}) as proxy:
            _again(proxy)
        warm = [{"name": "night", "search": {"Modality": "CT"}}]
        with program({"origins": [{"url": _behind(children, run_archive)}], "warm": warm}) as proxy:
            print_row(("", "first, ms", "all, ms", "warmed, MB"), WIDTHS)
            uvloop.run(_load(proxy.url))  # the proxy learns the line
            alone = _loaded("a viewer alone", proxy)
            httpx.post(f"{proxy.admin}/v1/warm", json={}, trust_env=False).raise_for_status()
            beside = _loaded("a viewer beside a warm-up", proxy)
            state = httpx.get(f"{proxy.admin}/v1/warm", trust_env=False).json()[0]["state"]
            assert state == "running", f"the warm-up is {state}, so it was not beside the viewer"
    for name, before, after in zip(("first", "all"), alone, beside, strict=True):
        kept = "kept" if after <= AIM_LONGER * before else "NOT KEPT"
        print(f"{name}: {after / before:.3f} times as long beside a warm-up ({AIM_LONGER} wanted, {kept})")


def _behind(children: Children, origin: Callable[[socket.socket], None]) -> str:
    """The URL of an origin behind the line."""
    host, _, port = start(children, "origin", origin).removeprefix("http://").rpartition(":")
    return start(children, "link", run_link, host, int(port), LINE)


def _again(proxy: Program) -> None:
    cold = uvloop.run(_open(proxy.url, 1))
    before = _bytes_of(proxy)
    times = sorted(uvloop.run(_open(proxy.url, OPENED)))
    brought = _bytes_of(proxy) - before
    p50, p99 = (1000 * times[int(share * len(times))] for share in (0.5, 0.99))
    print_row(("opened for the first time", f"{1000 * cold[0]:.0f}", "", ""), WIDTHS)
    print_row(("opened again", f"{p50:.1f}", f"{p99:.1f}", f"{brought:.0f} B"), WIDTHS)
    print(f"({AIM_OPENED:g} ms wanted, {'kept' if p50 <= AIM_OPENED else 'NOT KEPT'})\n")


async def _open(url: str, times: int) -> list[float]:
    """Seconds of each opening."""
    seen = []
    ways = [
        ("studies/7/series", {"Accept": "application/dicom+json"}),
        ("studies/7/series/1/metadata", {"Accept": "application/dicom+json"}),
        (frame_path("7", 0, SIZE), {"Accept": "image/jphc", "Range": Span(0, FIRST).to_header()}),
    ]
    async with Server(url) as server:
        for _ in range(times):
            began = time.perf_counter()
            for path, headers in ways:
                async with server.ask(path, headers) as response:
                    response.raise_for_status()
                    async for _chunk in response.aiter_raw():
                        pass
            seen.append(time.perf_counter() - began)
    return seen


def _loaded(name: str, proxy: Program) -> tuple[float, float]:
    """Seconds until all first bytes and until all bytes of a series were there; medians."""
    before = _bytes_of(proxy)
    loads = [uvloop.run(_load(proxy.url)) for _ in range(ROUNDS)]
    first, final = median(each.seen for each in loads), median(each.final for each in loads)
    others = (_bytes_of(proxy) - before - ROUNDS * VIEWED * SIZE) / 1e6
    print_row((name, f"{1000 * first:.0f}", f"{1000 * final:.0f}", f"{max(0.0, others):.1f}"), WIDTHS)
    return first, final


async def _load(url: str) -> Loaded:
    study = f"1.{next(UIDS)}"
    paths = tuple(frame_path(study, number, SIZE) for number in range(VIEWED))
    async with Server(url) as server:
        return await Viewer(server).load(paths, Way.RANGE)


def _bytes_of(proxy: Program) -> float:
    """Bytes that came from the origin."""
    text = httpx.get(f"{proxy.admin}/metrics", trust_env=False).text
    name = r"^progressive_proxy_origin_bytes_total\{.*\} (\S+)$"
    return sum(map(float, re.findall(name, text, re.MULTILINE)))
