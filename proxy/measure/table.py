"""Formats the rows as a table of 80 columns and as JSON."""

import json
import sys
from collections.abc import AsyncIterator
from typing import Any

from proxy.measure.network import Network
from proxy.measure.opening import OPEN
from proxy.measure.row import Link, Row
from proxy.measure.series import Kind

WIDTH = 80
"""Maximum width of the table in columns."""

_COLUMNS = (("way", -17), ("via", -10), ("size", 7)) + 2 * (("", 7), ("limit", 7), ("ratio", 5))
_INDENT = " " * 18  # below `via`
_NONE = "–"


async def print_table(network: Network, link: Link, rows: AsyncIterator[Row]) -> list[Row]:
    """Prints each row as it is measured, and returns all of them."""
    print(header(network, link), flush=True)
    told: list[Row] = []
    async for row in rows:
        if not told or told[-1].subject != row.subject:
            print(f"\n{heading(row)}\n{titles()}")
        print(line(row))
        for note in notes(row, told):
            print(note)
        sys.stdout.flush()
        told.append(row)
    return told


def header(network: Network, link: Link) -> str:
    """Returns the explanation of the numbers."""
    where = f"Link before the {link}, "
    return "\n".join(
        (
            (where if network.is_shaped else "") + network.describe(),
            "Milliseconds from the first request:",
            "  first  until the bytes of a first picture have arrived (size)",
            "  final  until every byte of every frame has arrived",
            f"  {OPEN}  search and metadata, then one frame: first bytes, then all",
            "  plan  the proxy loads on its own;  cut  a cut-out picture, then every byte",
            "  every slice seen  until each has at least 1/4 of its width and height",
            f"  limit  latency + bytes / rate; {_NONE} if nothing crosses the link",
        )
    )


def heading(row: Row) -> str:
    """Returns the heading of a subject: its title, truncated to fit, and its size."""
    subject = row.subject
    depth = f"x{len(subject.paths)}" if subject.kind is Kind.VOLUME else ""
    tail = f", {subject.kind}, {subject.columns}x{subject.rows}{depth}, {show_bytes(row.size)}"
    title = _cut(subject.title, WIDTH - len(tail))
    if subject.is_synthetic and "synthetic" not in title.lower():
        tail = f" (synthetic){tail}"
        title = _cut(title, WIDTH - len(tail))
    return title + tail


def titles() -> str:
    """Returns the names of the columns."""
    names = [name for name, _ in _COLUMNS]
    names[3], names[6] = "first", "final"
    return _aligned(names)


def line(row: Row) -> str:
    """Formats one row."""
    via = row.via if row.via == "direct" else f"{row.via} {row.cache}"
    cells = [row.way, via, show_bytes(row.first_bytes)]
    for took, limit in ((row.first_ms, row.first_limit_ms), (row.final_ms, row.final_limit_ms)):
        cells += [show_ms(took), show_ms(limit), show_ratio(took, limit)]
    return _aligned(cells)


def notes(row: Row, told: list[Row]) -> list[str]:
    """Returns notes below a row: when every slice was visible, and once what the first bytes hold."""
    found = []
    if row.seen_ms is not None:
        took, limit = row.seen_ms, row.seen_limit_ms
        beside = "" if limit is None else f" (limit {show_ms(limit)}, {show_ratio(took, limit)})"
        found.append(f"{_INDENT}every slice seen: {show_ms(took)}{beside}")
    before = {(each.subject, each.first_bytes) for each in told}
    is_part = row.first_resolution is not None and not row.first_resolution.endswith("(1/1)")
    if is_part and (row.subject, row.first_bytes) not in before:
        found.append(f"{_INDENT}the first {show_bytes(row.first_bytes)} hold {row.first_resolution}")
    return found


def show_bytes(size: int) -> str:
    """Formats bytes in at most seven characters.

    >>> show_bytes(65536), show_bytes(11_100_000), show_bytes(512), show_bytes(130_900_000)
    ('64 KiB', '11.1 MB', '512 B', '131 MB')
    """
    if size < 1024:
        return f"{size} B"
    if size < 1_000_000:
        return f"{size / 1024:.0f} KiB"
    value, unit = (size / 1e6, "MB") if size < 999_500_000 else (size / 1e9, "GB")
    return f"{value:.1f} {unit}" if value < 99.95 else f"{value:.0f} {unit}"


def show_ms(value: float | None) -> str:
    """Formats milliseconds, with one decimal below 100.

    >>> show_ms(27.476), show_ms(2970.1), show_ms(None)
    ('27.5', '2,970', '–')
    """
    if value is None:
        return _NONE
    if value >= 999_999.5:
        return f"{value / 1e3:.0f} s"
    return f"{value:.1f}" if value < 99.95 else f"{value:,.0f}"


def show_ratio(took: float, limit: float | None) -> str:
    """Formats `took` as a multiple of the limit.

    >>> show_ratio(30, 20), show_ratio(30, None)
    ('1.50×', '–')
    """
    if not limit:
        return _NONE
    ratio = took / limit
    if ratio >= 999.5:
        return ">999×"
    return f"{ratio:.2f}×" if ratio < 9.995 else f"{ratio:.0f}×"


def to_json(rows: list[Row]) -> str:
    """Formats all rows as one object."""
    return json.dumps({"rows": [_plain(row) for row in rows]}, indent=2)


def _plain(row: Row) -> dict[str, Any]:
    return {
        "image": row.subject.image,
        "way": row.way,
        "via": row.via,
        "cache": row.cache,
        "link": row.link,
        "network": row.network.name,
        "first_bytes": row.first_bytes,
        "bytes": row.size,
        "first_resolution": row.first_resolution,
        "first_ms": _rounded(row.first_ms),
        "final_ms": _rounded(row.final_ms),
        "first_limit_ms": _rounded(row.first_limit_ms),
        "final_limit_ms": _rounded(row.final_limit_ms),
        "seen_ms": _rounded(row.seen_ms),
        "seen_limit_ms": _rounded(row.seen_limit_ms),
        "samples": [
            {"first_ms": _rounded(each.first_ms), "final_ms": _rounded(each.final_ms)} for each in row.samples
        ],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _aligned(cells: list[str]) -> str:
    placed = zip(cells, _COLUMNS, strict=True)
    return " ".join(f"{cell:{'<' if w < 0 else '>'}{abs(w)}}" for cell, (_, w) in placed).rstrip()


def _cut(title: str, room: int) -> str:
    return title if len(title) <= room else title[: room - 1].rstrip() + "…"
