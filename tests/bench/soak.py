"""A soak of `MINUTES` (10): many viewers, tokens that come and go, an origin that fails, and nothing left.

It fails with one sentence if a response was wrong, or something of the proxy is left behind.
"""

import asyncio
import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import httpx
import uvloop

from proxy.commands.processes import Children, address, listen
from tests.bench.program import Program, program
from tests.bench.shared import print_row
from tests.soak.frames import STUDIES
from tests.soak.judge import FAULTS, STALE, TTL, Judge
from tests.soak.origin import run_origin
from tests.soak.viewers import PATIENCE, Places, view
from tests.soak.watch import Sample, Seen, look, run_watch

MIB = 1024 * 1024
RUNNING = "fills_in_flight"
"""The metric of fills in progress."""
SHOWN = ("cut_answers_total", "mismatches_total", "resumes_total", "cache_bytes")
"""Metrics that explain what was seen, by the start of their names."""
NAMES = {"rss": "RSS, MiB", "files": "open files"}
WIDTHS = (38, 12, 12, 12)


@dataclass(frozen=True)
class Soak:
    """The extent of a soak."""

    minutes: float = 10.0
    viewers: int = 36
    planners: int = 2
    budget: int = 96
    """MiB of the cache."""
    share: float = 0.05
    """Share of the requests for which the origin fails."""
    is_lying: bool = False
    """True if the origin sends wrong bytes."""
    seed: int = 0
    idle: float = 12.0
    """Seconds that the proxy has to come to rest."""


@dataclass
class Outcome:
    """The findings of a soak."""

    soak: Soak
    judge: Judge
    seen: Seen
    before: Sample
    after: Sample
    emptied: Sample
    """After the cache was dropped, so that it shows what the process keeps beside it."""
    metrics: dict[str, float]
    """The proxy's metrics at the end, by name and labels, without the prefix."""
    said: list[str] = field(default_factory=list)
    """Lines of the proxy's log. It logs errors only."""

    def wrong(self) -> list[str]:
        """One sentence for each thing that is wrong."""
        most, before, after = self.soak.budget + 64, self.before, self.after
        found = [f"{self.judge.counts[kind]:,} × {kind}" for kind in FAULTS if self.judge.counts[kind]]
        if after.rss > before.rss + most:
            found.append(f"RSS grew by {after.rss - before.rss} MiB, and may by {most}")
        for name, now, then in (
            ("open files", after.files, before.files),
            ("threads", after.threads, before.threads + THREADS),
        ):
            if now > then:
                found.append(f"{now} {name} are left, and there were {then}")
        if running := self.metrics[RUNNING]:
            found.append(f"{running:g} fills are in progress")
        if self.seen.silent:
            found.append(f"{self.seen.silent} requests for /livez failed")
        if self.said:
            found.append(f"the proxy logged {len(self.said)} errors")
        return found


THREADS = 8
"""Threads that the proxy may have beside those at its start. Pools keep theirs."""


def run() -> None:
    soak = Soak(float(os.environ.get("MINUTES", "10")), seed=int(os.environ.get("FIRST_SEED", "0")))
    print(
        f"{soak.minutes:g} minutes, {soak.viewers} viewers, {soak.planners} that start plans, a cache of"
        f" {soak.budget} MiB, cache.ttl {TTL:g} s.\nThe origin fails for {soak.share:.0%} of the requests for"
        " frames.\n"
    )
    outcome = soaked(soak)
    _print(outcome)
    if wrong := outcome.wrong():
        raise SystemExit(f"\nThe soak failed: {'; '.join(wrong)}.")
    print("\nNothing wrong, and nothing left.")


def soaked(soak: Soak) -> Outcome:
    """Runs a soak."""
    with Children() as children:
        with listen() as listener:
            children.start("origin", run_origin, listener, soak.seed, soak.share, soak.is_lying)
            origin = "http://{}:{}".format(*address(listener))
        config = {
            "origins": [{"url": origin}],
            "cache": {"bytes": soak.budget * MIB, "ttl": TTL, "stale": STALE},
            "admin": {"open": True},
        }
        with program(config) as proxy:
            places, judge, before = Places(proxy.url, proxy.admin, origin), Judge(), look(proxy.process)
            with _watched(children, proxy) as watch:
                uvloop.run(_view(soak, places, judge))
                watch.send("end")
                seen: Seen = watch.recv()
            metrics, after = _at_rest(soak, proxy, before)
            emptied = _emptied(proxy)
            said = proxy.said.read_text("utf-8").splitlines()
            return Outcome(soak, judge, seen, before, after, emptied, metrics, said)


@contextmanager
def _watched(children: Children, proxy: Program) -> Iterator[Connection]:
    ours, theirs = multiprocessing.Pipe()
    children.start("watch", run_watch, theirs, proxy.admin, proxy.process)
    theirs.close()
    with ours:
        yield ours


async def _view(soak: Soak, places: Places, judge: Judge) -> None:
    until = time.monotonic() + 60 * soak.minutes
    async with asyncio.TaskGroup() as group:
        for number in range(soak.viewers + soak.planners):
            seed, plans = 1000 * soak.seed + number, number >= soak.viewers
            group.create_task(view(places, judge, seed, until, plans=plans))


def _at_rest(soak: Soak, proxy: Program, before: Sample) -> tuple[dict[str, float], Sample]:
    """The metrics and the process, as soon as all is as before or the time is over."""
    until = time.monotonic() + soak.idle
    while True:
        metrics, sample = _metrics(proxy.admin), look(proxy.process)
        if time.monotonic() > until or (not metrics[RUNNING] and sample.files <= before.files):
            return metrics, sample
        time.sleep(0.5)


def _emptied(proxy: Program) -> Sample:
    """The process after the whole cache was dropped."""
    for study in range(STUDIES):
        httpx.delete(
            f"{proxy.admin}/v1/cache/studies/1.{study}", trust_env=False, timeout=PATIENCE
        ).raise_for_status()
    time.sleep(1)
    return look(proxy.process)


def _metrics(admin: str) -> dict[str, float]:
    lines = httpx.get(f"{admin}/metrics", trust_env=False, timeout=PATIENCE).text.splitlines()
    return {
        name.removeprefix("progressive_proxy_"): float(value)
        for name, _, value in (line.rpartition(" ") for line in lines)
        if not name.startswith("#")
    }


def _print(outcome: Outcome) -> None:
    judge, seen, samples = outcome.judge, outcome.seen, outcome.seen.samples
    print_row(("", "start", "most", "end"), WIDTHS)
    for name in ("rss", "files", "sockets", "threads"):
        each = [getattr(sample, name) for sample in (outcome.before, *samples, outcome.after)]
        print_row((NAMES.get(name, name), *map(str, (each[0], max(each), each[-1]))), WIDTHS)
    tenths = [samples[len(samples) * tenth // 10].rss for tenth in range(10)] if samples else []
    print("RSS at each tenth of the time:", *tenths)
    print("RSS after all studies were dropped from the cache:", outcome.emptied.rss)
    alive = sorted(seen.alive)
    print_row(("", "p50", "p99", "max"), WIDTHS)
    times = (alive[len(alive) // 2], alive[int(0.99 * len(alive))], alive[-1])
    print_row((f"/livez of {len(alive):,}, ms", *(f"{1000 * each:.0f}" for each in times)), WIDTHS)
    total, size = sum(judge.statuses.values()), judge.counts.pop("bytes") / 1e9
    print(f"\n{total:,} responses, {size:.1f} GB, all checked:")
    for status, times_seen in sorted(judge.statuses.items()):
        print(f"{times_seen:9,}  {status or 'no response'}")
    for kind, times_seen in sorted(judge.counts.items()):
        print(f"{times_seen:9,}  {kind}")
    for kind in FAULTS:
        if kind not in judge.counts:
            print(f"{0:9,}  {kind}")
    print("\nThe proxy's own figures:")
    for name, value in outcome.metrics.items():
        if name.startswith(SHOWN) and value:
            print(f"{value:13,.0f}  {name}")
    for line in judge.faults + outcome.said[:20]:
        print(f"  {line}")
