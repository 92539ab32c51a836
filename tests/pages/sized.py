"""Tables of `docs/deploy/sizing.md` that come from the simulated day."""

import math
from itertools import groupby

from tests.pages.measured import Row, how, read
from tests.pages.program import table

HITS = 1820
"""Hits of 64 KiB per second of one process, measured on a busy machine; the page has the table."""
SITES = 10_000
"""Sites, on paper."""
WAYS = ("memory", "disk", "shared", "hashing")


def fleets() -> str:
    """A large site on more and more replicas."""
    rows = [row for row in _rows() if row["way"] in WAYS]
    lines = []
    for replicas, of_count in groupby(rows, key=lambda row: row["replicas"]):
        found = {row["way"]: row for row in of_count}
        lines.append([str(replicas), *(_outcome(found[way]) if way in found else "–" for way in WAYS)])
    titles = ["memory only", "and a disk each", "and a shared tier", "and hashing by study"]
    return table(["replicas", *titles], lines) + how("replicas", "Simulated")


def _outcome(row: Row) -> str:
    return f"{row['origin_gb']:,.0f} GB, {row['hits'] * 100:.0f} %, {row['first_ms']:.0f} ms"


def ladders() -> str:
    """What each size of memory and of a disk does for sites of three sizes."""
    titles = ["viewers", "replicas", "memory", "disk", "from the origin", "hits", "mean", "95 %", "line"]
    rows = [row for row in _rows() if row["way"] not in WAYS]
    return table(titles, [_rung(row) for row in rows])


def _rung(row: Row) -> list[str]:
    hour = ", `ttl` of 1 h" if row["way"] == "default ttl" else ""
    return [
        f"{row['viewers']:,}",
        str(row["replicas"]),
        f"{row['memory_gib']:g} GiB{hour}",
        f"{row['disk_gib']:g} GiB" if row["disk_gib"] else "none",
        f"{row['origin_gb']:,.1f} GB",
        f"{row['hits'] * 100:.0f} %",
        f"{row['first_ms']:.1f} ms",
        f"{row['first_p95_ms']:.1f} ms",
        f"{row['peak_mbit']:,.0f} Mbit/s",
    ]


def purchases() -> str:
    """The last step of memory, and that of a disk, for each size of site."""
    titles = [
        "viewers",
        "replicas and cores",
        "memory, without a disk",
        "memory, with a disk",
        "disk of each",
    ]
    rows = _rows()
    lines = []
    for viewers in sorted({row["viewers"] for row in rows if row["way"] == "a disk"}):
        memory, disk = (
            [row for row in rows if (row["viewers"], row["way"]) == (viewers, way)][-1]
            for way in ("more memory", "a disk")
        )
        busy = 2 * memory["peak_frames"] / HITS
        lines.append(
            [
                f"{viewers:,}",
                f"{memory['replicas']}; the busiest ten minutes take {busy * 100:.1f} % of a core",
                _limit(memory),
                _limit(disk),
                f"{disk['disk_gib']:g} GiB",
                f"{max(memory['peak_mbit'], disk['peak_mbit']):,.0f} Mbit/s",
            ]
        )
    return table([*titles, "line to the origin, at least"], lines)


def _limit(row: Row) -> str:
    """The pod's memory by the page's own table: the program, the cache and 10 % more."""
    return f"{math.ceil(row['memory_gib'] * 1.1 + 0.125)} GiB (`cache.bytes` {row['memory_gib']:g} GiB)"


def on_paper() -> str:
    """Many small sites with one archive behind them: one site's figures, times their number."""
    rows = [row for row in _rows() if row["viewers"] == 30]
    chosen = {row["way"]: row for row in rows}
    lines = [["none", *_times(rows[0]["requested_gb"], None)]]
    for way, title in (
        ("default ttl", "defaults"),
        ("more memory", "`ttl` of a day"),
        ("a disk", "and a disk"),
    ):
        lines.append([title, *_times(chosen[way]["origin_gb"], chosen[way]["peak_mbit"])])
    return table(["proxy at each site", "from the archive in a day", "busiest ten minutes"], lines)


def _times(gb: float, mbit: float | None) -> list[str]:
    peak = "–" if mbit is None else f"{mbit * SITES / 1000:,.0f} Gbit/s"
    return [f"{gb * SITES / 1000:,.0f} TB", peak]


def _rows() -> list[Row]:
    return read("replicas")[1]
