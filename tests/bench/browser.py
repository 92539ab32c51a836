"""Cornerstone3D in Chromium behind a shaped link: time to the first picture, and quality over time.

The shaped link is always the origin's. It lies between the origin and the browser (direct), or between the
origin and the proxy. So the browser is next to the proxy, as in a hospital with a remote archive.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from proxy.measure.network import PRESETS
from tests.bench.browser_place import (
    STACK,
    VOLUME,
    Browser,
    Place,
    Subject,
    browser,
    is_hit,
    new_nonce,
    place,
    with_nonce,
)
from tests.bench.browser_plot import Strip, draw
from tests.bench.browser_quality import Shown
from tests.bench.results import save
from tests.bench.shared import print_row
from tests.browser.plans import BY_RANGE, KIB, OHIF_LIMITS, REST, first, reduced, two

PLOT = Path(__file__).parents[2] / "docs/quality.svg"
NEAR = PRESETS["4g"]
FAR = replace(NEAR, name="far", latency=NEAR.latency + 0.020)
ROUNDS = {"stack": 7, "volume": 5}
"""Loads of each way. The ways take turns."""
DISTANT, DIRECT, COLD, HOT, BESIDE = "direct, 20 ms further", "direct", "cold proxy", "hot proxy", "no link"
WAYS = (DISTANT, DIRECT, COLD, HOT, BESIDE)
WIDTHS = (26, 8, 9, 8, 8, 10, 9)
COLUMNS = ("fetched", "decoded", "first", "whole")


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One retrieve configuration for one series."""

    subject: Subject
    name: str
    """Name in the table."""
    retrieve: Mapping[str, Any]
    """Retrieve configuration of Cornerstone3D."""
    is_ours: bool = False
    """True if only the proxy supports its requests."""
    is_opened: bool = False
    """True if the load begins with a request for the series' metadata, in the same way."""
    limits: Mapping[str, int] | None = None
    """Requests in progress at once, if other than Cornerstone3D's default."""

    @property
    def ways(self) -> tuple[str, ...]:
        """The ways in which the series is loaded. Cold comes before hot."""
        return (COLD, HOT) if self.is_ours else WAYS


STREAMING = {"single": {"streaming": True, "decodeLevel": 3, "initialChunkSize": 64 * KIB}}
FAST = first(decodeLevel=1)
INTERLEAVED = {
    "stages": "interleaved",
    "retrieveOptions": {"default": FAST, "multipleFast": FAST, "multipleFinal": REST},
}
CASES = (
    Case(STACK, "streaming, from 64 KiB", {"stages": "single", "retrieveOptions": STREAMING}),
    Case(STACK, "64 KiB, then the rest", BY_RANGE),
    Case(STACK, "htj2kThumbnail, the rest", two(reduced("/htj2kThumbnail/"), REST), is_ours=True),
    Case(STACK, "64 KiB, with metadata", BY_RANGE, is_opened=True),
    Case(VOLUME, "interleaved, whole frames", {"stages": "interleaved"}),
    Case(VOLUME, "interleaved, 64 KiB first", INTERLEAVED),
    Case(VOLUME, "the same, OHIF's limits", INTERLEAVED, limits=OHIF_LIMITS),
    Case(VOLUME, "the same, 12 at once", INTERLEAVED, limits=dict.fromkeys(OHIF_LIMITS, 12)),
    Case(VOLUME, "64 KiB, with metadata", INTERLEAVED, is_opened=True),
)


@dataclass(slots=True)
class Bench:
    """The results so far."""

    roots: Mapping[str, str]
    """Root URL of each way."""
    browser: Browser
    found: defaultdict[tuple[Case, str], list[Shown]] = field(default_factory=lambda: defaultdict(list))

    async def load(self, case: Case) -> None:
        """Loads a case once in every way. The cold load fills the cache for the hot one."""
        retrieve = with_nonce(case.retrieve, new_nonce())
        for way in case.ways:
            loaded, seen = await self.browser.load(
                case.subject, self.roots[way], retrieve, is_opened=case.is_opened, limits=case.limits
            )
            assert way != HOT or is_hit(seen), "the proxy sent a request to the origin"
            self.found[case, way].append(loaded)


def run() -> None:
    try:
        asyncio.run(_run())
    except pytest.skip.Exception as missing:
        print(missing)


async def _run() -> None:
    print(
        f"Link before the origin, {NEAR.describe()}. The distant one has {FAR.latency * 1e3:g} ms.\n"
        "Times are milliseconds from the first request, medians of\n"
        f"{ROUNDS['stack']} loads of a stack and {ROUNDS['volume']} of a volume:\n"
        "  bytes    until the browser has the first response: 64 KiB or a whole frame\n"
        "  decoded  until the viewport gets the first image\n"
        "  first    until the canvas shows it (least: in the fastest load)\n"
        "  whole    until every image is drawn in full resolution\n"
        "The first request is for a frame. In loads with metadata it is for the metadata.\n"
        "The browser has no connection and no cache. The page, codec, shaders and viewport\n"
        "are warm, except for the viewport in loads with metadata. The proxy has open\n"
        "connections to the origin. No link: the time that the browser itself takes.\n"
        "The pixels of every image are compared."
    )
    async with browser() as chromium:
        with place(chromium.server.url) as here:
            bench = Bench(_roots(here), chromium)
            chromium.warm = here.origin
            for subject, retrieve in ((STACK, BY_RANGE), (VOLUME, INTERLEAVED)):
                await chromium.load(subject, bench.roots[COLD], retrieve)  # opens the proxy's connections
            for subject in (STACK, VOLUME):
                cases = [case for case in CASES if case.subject == subject]
                for _ in range(ROUNDS[subject.kind]):
                    for case in cases:
                        await bench.load(case)
                _print(subject, cases, bench.found)
    PLOT.write_text(draw(_strips(STACK, bench.found), _strips(VOLUME, bench.found)), "utf-8")
    print(f"\nQuality over time: {PLOT.name}")
    save("browser", "python -m tests.bench browser", _rows(bench.found))


def _roots(here: Place) -> dict[str, str]:
    near = here.linked(here.origin, NEAR)
    proxy = here.proxied(near)
    return {
        DIRECT: near,
        DISTANT: here.linked(here.origin, FAR),
        COLD: proxy,
        HOT: proxy,
        BESIDE: here.origin,
    }


Found = defaultdict[tuple[Case, str], list[Shown]]


def _print(subject: Subject, cases: list[Case], found: Found) -> None:
    print(f"\n{subject.kind}, {subject.size}")
    print_row(("", "bytes", "decoded", "first", "least", "× direct", "whole"), WIDTHS)
    for case in cases:
        print(case.name)
        directly = found[case, DIRECT]
        for way in case.ways:
            shown = found[case, way]
            fetched, decoded, first, whole = (
                median(getattr(each, name) for each in shown) for name in COLUMNS
            )
            times = f"{first / median(each.first for each in directly):.2f}" if directly else "–"
            least = min(each.first for each in shown)
            numbers = [f"{number:,.0f}" for number in (fetched, decoded, first, whole)]
            print_row((f"  {way}", *numbers[:3], f"{least:,.0f}", times, numbers[3]), WIDTHS)


def _rows(found: Found) -> Iterator[dict[str, Any]]:
    """For the file: medians of each way of each case."""
    for (case, way), shown in found.items():
        times = {f"{name}_ms": round(median(getattr(each, name) for each in shown)) for name in COLUMNS}
        yield {"subject": case.subject.kind, "case": case.name, "way": way, **times}


def _strips(subject: Subject, found: Found) -> list[Strip]:
    """For each way of each case, the load with the median time to the first picture."""
    strips = []
    for case in CASES:
        if case.subject != subject or case.is_opened:
            continue
        for way in [way for way in case.ways if way != BESIDE]:
            loads = sorted(found[case, way], key=lambda load: load.first)
            load = loads[len(loads) // 2]
            strips.append(Strip(case.name, way, load.steps, load.first, load.whole))
    return strips
