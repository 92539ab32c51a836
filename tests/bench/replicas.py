"""A synthetic day on 1 to 100 replicas, and what sites of three sizes need, for `docs/deploy/sizing.md`.

`tests.simulation.day` says how a large day is sampled, and `tests.simulation.replicas` what is real in it.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tests.bench.results import save
from tests.bench.shared import print_row
from tests.simulation.day import Day, day_of
from tests.simulation.replicas import HOUR, SPAN, Fleet, replay

GIB = 1 << 30
SEED = 20
SMALLEST = 1.5
"""GiB of `cache.bytes` with the chart's memory limit."""
CROWD, EACH, DISK, SHARED = 10_000, 4, 64, 256
"""Viewers; GiB of memory and of disk for each replica, and of the shared tier."""
REPLICAS = (1, 3, 10, 30, 100)
SITES = ((30, 1), (300, 2), (3000, 3))
"""Viewers and replicas. Each study has one replica."""
MEMORY = (SMALLEST, 4, 8, 16, 32, 64)
DISKS = (4, 8, 16, 32, 64, 128)
"""GiB of each replica, tried in turn until the origin gives little more than `ENOUGH`."""
ENOUGH = 1.3
"""Bytes from the origin over those of all frames that are requested."""
SAMPLED = 30
"""Viewers whose day is replayed whole. Of a day with ten times as many, one frame in ten is replayed."""
WIDTHS = (9, 10, 26, 10, 8, 8, 8)

Row = dict[str, Any]


def run() -> None:
    print("GB from the origin, share of bytes that did not come from it, and ms until first bytes.")
    print_row(("viewers", "replicas", "way", "origin GB", "hits", "mean", "p95"), WIDTHS)
    rows = [*_crowd(), *(row for viewers, replicas in SITES for row in _site(viewers, replicas))]
    save("replicas", "python -m tests.bench replicas", rows)


def _crowd() -> Iterator[Row]:
    day = _day(CROWD)
    for replicas in REPLICAS:
        fleet = Fleet(replicas, EACH * GIB)
        yield _row("memory", CROWD, day, fleet)
        yield _row("disk", CROWD, day, replace(fleet, disk=DISK * GIB))
        yield _row("shared", CROWD, day, replace(fleet, shared=SHARED * GIB))
        if replicas > 1:
            yield _row("hashing", CROWD, day, replace(fleet, is_hashed=True))


def _site(viewers: int, replicas: int) -> Iterator[Row]:
    day = _day(viewers)
    fleet = Fleet(replicas, int(SMALLEST * GIB), is_hashed=True)
    yield _row("default ttl", viewers, day, replace(fleet, ttl=HOUR))
    memories = (replace(fleet, memory=int(each * GIB)) for each in MEMORY)
    disks = (replace(fleet, disk=each * GIB) for each in DISKS)
    for way, fleets in (("more memory", memories), ("a disk", disks)):
        for each in fleets:
            yield (row := _row(way, viewers, day, each))
            if row["origin_gb"] <= ENOUGH * row["distinct_gb"]:
                break


def _day(viewers: int) -> Day:
    return day_of(viewers, SEED, max(1, viewers // SAMPLED))


def _row(way: str, viewers: int, day: Day, fleet: Fleet) -> Row:
    outcome = replay(day, fleet)
    row = {
        "way": way,
        "viewers": viewers,
        "frames": day.frames,
        "sample": day.sample,
        "replicas": fleet.replicas,
        "memory_gib": fleet.memory / GIB,
        "disk_gib": fleet.disk / GIB,
        "shared_gib": fleet.shared / GIB,
        "requested_gb": round(outcome.bytes.total() / 1e9, 2),
        "distinct_gb": round(day.distinct / 1e9, 2),
        "origin_gb": round(outcome.bytes["origin"] / 1e9, 2),
        "hits": round(outcome.hits, 3),
        "first_ms": round(outcome.mean, 1),
        "first_p95_ms": outcome.first(0.95),
        "peak_mbit": round(max(outcome.spans.values()) * 8 / SPAN / 1e6, 1),
        "peak_frames": round(max(outcome.frames.values()) / SPAN, 1),
    }
    title = f"{way}, {row['memory_gib']:g} + {row['disk_gib']:g} GiB"
    shown = (f"{row['origin_gb']:,.1f}", f"{row['hits']:.1%}", str(row["first_ms"]), str(row["first_p95_ms"]))
    print_row((f"{viewers:,}", str(fleet.replicas), title, *shown), WIDTHS)
    return row
