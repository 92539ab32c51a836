"""How fast the proxy is without a slow line: each figure beside its rival or its limit, in one run.

Rivals take turns on the same cores, and new processes serve each row. Ratios are what counts; the figures
themselves are those of one machine.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from statistics import median

import httpx
import uvloop

from proxy.commands.processes import Children
from proxy.measure.link import run_link
from proxy.measure.network import Network
from tests.bench.asking import Arrived, ask_all, head_of
from tests.bench.hits import CASES, NGINX, PROTOCOL, VARNISH, measured, processes, processor_time, serve_bare
from tests.bench.program import program
from tests.bench.results import save
from tests.bench.shared import (
    FIRST,
    RIVALS,
    Front,
    NotInstalled,
    frame_path,
    print_row,
    proxy,
    run_origin,
    start,
    versions,
)

OURS, DIRECT = "progressive-proxy", "directly"
RESTS = f"bytes={FIRST}-"
FRAMES, SIZE = 174, 234_000
"""Frames of a cold volume, and bytes of each."""
FIRSTS = f"bytes=0-{FIRST - 1}"
SLICE, LINE = 131_072, Network("30 Mbit/s", 30e6, 30e6, 0.010)
"""Bytes of a frame of the volume that arrives over a slow line, and the line."""
AGAIN = 400
"""Requests for the same metadata."""
SETTLED = 0.3
"""Seconds without work of the processor after which nothing more is fetched."""
WIDTHS = (42, 12, 14, 9, 9)
UIDS = count(time.time_ns())


@dataclass(frozen=True, slots=True)
class Extent:
    """How long is measured."""

    hits: int
    """Rounds of hits."""
    cold: int
    """Rounds of cold volumes."""
    idle: int
    """Cold frames that are asked for one after the other."""


FULL, QUICK = Extent(5, 5, 400), Extent(1, 1, 100)


@dataclass(frozen=True, slots=True)
class Row:
    """One figure."""

    what: str
    against: str
    """The rival, or the limit in words."""
    ratio: float
    """The figure divided by the rival's, or by the limit."""
    goal: float
    is_least: bool
    """True if the ratio has to reach the goal, False if it must not exceed it."""
    figure: str
    """The figure itself, with its unit."""

    @property
    def is_met(self) -> bool:
        return self.ratio >= self.goal if self.is_least else self.ratio <= self.goal


def run() -> None:
    save("fast", "python -m tests.bench fast", [asdict(row) | {"met": row.is_met} for row in _shown(FULL)])


def quick() -> None:
    """The same in two minutes, printed only."""
    list(_shown(QUICK))


def _shown(extent: Extent) -> Iterator[Row]:
    print(f"Ratios of medians; the goal is the least (≥) or most (≤) of a ratio. ({versions()})\n")
    print_row(("", "ours", "against", "ratio", "goal"), WIDTHS)
    for part in (_hits, _cold, _added, _metadata, _wake_ups, _ready):
        for row in part(extent):
            mark = "≥" if row.is_least else "≤"
            print_row((row.what, row.figure, row.against, f"{row.ratio:.2f}", f"{mark} {row.goal:g}"), WIDTHS)
            yield row


def _served(stack: ExitStack, origin: str, fronts: dict[str, Front]) -> dict[str, str]:
    """The URL of each server that is installed."""
    urls = {}
    for name, front in fronts.items():
        try:
            urls[name] = stack.enter_context(front(origin))
        except NotInstalled as missing:
            print(f"{name}: {missing}")
    return urls


def _hits(extent: Extent) -> Iterator[Row]:
    goals = (((NGINX, 1.0), (PROTOCOL, 0.75)), *(((VARNISH, 1.0), (NGINX, 1.5)),) * 2)
    with Children() as children, ExitStack() as stack:
        origin = start(children, "origin", run_origin)
        bare = start(children, "bare protocol", serve_bare)
        fronts: dict[str, Front] = {PROTOCOL: lambda _: nullcontext(bare), OURS: proxy, **RIVALS}
        urls = _served(stack, origin, fronts)
        for case, rivals in zip(CASES, goals, strict=True):
            found = measured(case, urls, extent.hits)
            for rival, goal in rivals:
                if rival in found:
                    rate = found[OURS].rate
                    title = f"hit, {case.title.partition(',')[0]}"
                    yield Row(title, rival, rate / found[rival].rate, goal, True, f"{rate:,.0f}/s")


def _cold(extent: Extent) -> Iterator[Row]:
    with Children() as children, ExitStack() as stack:
        origin = start(children, "origin", run_origin)
        urls = _served(stack, origin, {DIRECT: nullcontext, OURS: proxy, **RIVALS})
        for url in urls.values():  # the origin makes each answer once
            for span in ("", FIRSTS, RESTS):
                _volume(url, span, 6)
        for title, span, connections, goal in (
            ("cold, 64 KiB of 174 frames, 6 at once", FIRSTS, 6, 1.2),
            ("cold, 64 KiB of 174 frames, 64 at once", FIRSTS, 64, 1.2),
            ("cold, 174 whole frames, 6 at once", "", 6, 1.15),
        ):
            took: dict[str, list[float]] = {name: [] for name in urls}
            spent = []
            for _ in range(extent.cold):
                for name, url in urls.items():
                    seconds, used = _volume(url, span, connections)
                    took[name].append(seconds)
                    if name == OURS:
                        spent.append(used / FRAMES)
            ours = median(took[OURS])
            for rival in (VARNISH, DIRECT):
                if rival in took:
                    ratio = ours / median(took[rival])
                    yield Row(title, rival, ratio, goal, False, f"{1000 * ours:.0f} ms")
            used = median(spent) * 1e6
            yield Row("  processor for each frame", "700 µs", used / 700, 1.0, False, f"{used:.0f} µs")


def _volume(url: str, span: str, connections: int) -> tuple[float, float]:
    """Seconds until a cold volume is there, and of the server's processor until it has nothing left to do."""
    servers, study = processes(url), f"1.{next(UIDS)}"
    heads = [head_of(f"{url}/{frame_path(study, number, SIZE)}", span) for number in range(FRAMES)]
    before = processor_time(servers)
    arrived = uvloop.run(ask_all(url, heads, connections))
    used = processor_time(servers)
    while True:
        time.sleep(SETTLED)
        used, last = processor_time(servers), used
        if used - last < SETTLED / 50:
            return max(each.ended for each in arrived), used - before


def _added(extent: Extent) -> Iterator[Row]:
    with Children() as children, ExitStack() as stack:
        origin = start(children, "origin", run_origin)
        urls = _served(stack, origin, {DIRECT: nullcontext, OURS: proxy})
        _volume(urls[DIRECT], FIRSTS, 6)
        _volume(urls[DIRECT], RESTS, 6)
        seen: dict[str, list[Arrived]] = {name: [] for name in urls}
        for _ in range(extent.idle // 20):
            for name, url in urls.items():
                study = f"1.{next(UIDS)}"
                heads = [head_of(f"{url}/{frame_path(study, number, SIZE)}", FIRSTS) for number in range(20)]
                seen[name] += uvloop.run(ask_all(url, heads, 1))
                time.sleep(SETTLED)
    for name, share, limit in (("p50", 0.5, 0.5), ("p99", 0.99, 2.0)):
        late = {key: sorted(1000 * (each.first - each.asked) for each in all_) for key, all_ in seen.items()}
        ours, theirs = (late[key][int(share * len(late[key]))] for key in (OURS, DIRECT))
        added = ours - theirs
        yield Row(
            f"added to the first byte, {name}", f"{limit:g} ms", added / limit, 1.0, False, f"{added:.2f} ms"
        )


def _metadata(extent: Extent) -> Iterator[Row]:
    with Children() as children, ExitStack() as stack:
        origin = start(children, "origin", run_origin)
        urls = _served(stack, origin, {OURS: proxy, NGINX: RIVALS[NGINX]})
        took: dict[str, list[float]] = {name: [] for name in urls}
        for _ in range(extent.cold):
            for name, url in urls.items():
                head = head_of(f"{url}/studies/1.1/series/1/metadata", accept="application/dicom+json")
                took[name].append(max(each.ended for each in uvloop.run(ask_all(url, [head] * AGAIN, 16))))
        seconds = {name: median(each) for name, each in took.items()}
        if NGINX in seconds:
            figure = f"{AGAIN / seconds[OURS]:,.0f}/s"
            ratio = seconds[NGINX] / seconds[OURS]
            yield Row("metadata of 400 kB again", NGINX, ratio, 0.6, True, figure)


def _wake_ups(extent: Extent) -> Iterator[Row]:
    with Children() as children, ExitStack() as stack:
        origin = start(children, "origin", run_origin)
        host, _, port = origin.removeprefix("http://").rpartition(":")
        url = stack.enter_context(proxy(start(children, "link", run_link, host, int(port), LINE)))
        study, servers = f"1.{next(UIDS)}", processes(url)
        before = _switches(servers)
        heads = [head_of(f"{url}/{frame_path(study, number, SLICE)}") for number in range(FRAMES)]
        uvloop.run(ask_all(url, heads, 6))
        woken = _switches(servers) - before
    yield Row("wake-ups, 23 MB over 30 Mbit/s", "4,000", woken / 4000, 1.0, False, f"{woken:,}")


def _switches(servers: list[Path]) -> int:
    """How often the threads of these processes went to sleep."""
    texts = (path.read_text() for server in servers for path in server.glob("task/*/status"))
    lines = (line for text in texts for line in text.splitlines() if line.startswith("voluntary_ctxt"))
    return sum(int(line.split()[1]) for line in lines)


def _ready(extent: Extent) -> Iterator[Row]:
    took = []
    with Children() as children:
        origin = start(children, "origin", run_origin)
        for _ in range(extent.cold):
            began = time.perf_counter()
            with program({"origins": [{"url": origin}]}) as service:
                httpx.get(f"{service.admin}/readyz", trust_env=False).raise_for_status()
                took.append(time.perf_counter() - began)
    ready = median(took)
    yield Row("start to ready", "0.7 s", ready / 0.7, 1.0, False, f"{ready:.2f} s")
