"""Tables of measurements, from the files in `docs/results`."""

import json
from itertools import groupby
from pathlib import Path
from typing import Any

from proxy.measure.table import show_bytes, show_ms
from tests.pages.program import table

RESULTS = Path(__file__).parents[2] / "docs" / "results"
RADIOGRAPH, VOLUME = "radiograph 3036×3036, 11.1 MB", "volume 512×512×174, 23.3 MB"
DOCUMENTED = (
    # Cornerstone3D's own figures: until a picture was drawn.
    (RADIOGRAPH, "range", "45", "4,610"),
    (VOLUME, "range", "1,002", "8,813 (33 MB)"),
    (f"{RADIOGRAPH}, as JPEG-LS", "jlsReduced", "359", "4,903"),
)
SIDES = (("direct", "none"), ("proxy", "cold"), ("proxy", "hot"))
Row = dict[str, Any]


def read(name: str) -> tuple[dict[str, Any], list[Row]]:
    """How it was measured, and the rows."""
    found = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))
    return found["measured"], found["rows"]


def summary() -> str:
    """README's four rows."""
    return _documented(DOCUMENTED[:2])


def beside() -> str:
    """All figures that Cornerstone3D's documentation has too."""
    return _documented(DOCUMENTED) + how("demo")


def _documented(documented: tuple[tuple[str, str, str, str], ...]) -> str:
    _, rows = read("demo")
    images = sorted({row["image"] for row in rows}, key=lambda image: "CT" in image)
    lines = []
    for title, way, first, final in documented:
        image = images[title == VOLUME]
        found = {
            (row["via"], row["cache"]): row for row in rows if (row["image"], row["way"]) == (image, way)
        }
        for words, told, key in (("first picture", first, "first_ms"), ("complete", final, "final_ms")):
            lines.append([f"{title}: {words}", told, *(show_ms(found[side][key]) for side in SIDES)])
    return table(["", "Cornerstone3D documents", "direct", "cold proxy", "hot proxy"], lines)


def demo() -> str:
    """Every way of loading, a table an image."""
    _, rows = read("demo")
    return by_image(rows) + how("demo")


def by_image(rows: list[Row]) -> str:
    """A table for each image, with the rows that its measurement has."""
    parts = []
    for image, of_image in groupby(rows, key=lambda row: row["image"]):
        titles = ["way", "via", "first bytes", "hold", "first", "seen", "final"]
        lines = [_loaded(row) for row in of_image]
        if all(line[5] == "–" for line in lines):
            titles.pop(5)
            lines = [[*line[:5], line[6]] for line in lines]
        parts.append(f"### {image}\n\n" + table(titles, lines))
    return "\n".join(parts)


def _loaded(row: Row) -> list[str]:
    via = row["via"] if row["cache"] == "none" else f"{row['via']} {row['cache']}"
    times = [_timed(row[f"{name}_ms"], row[f"{name}_limit_ms"]) for name in ("first", "seen", "final")]
    return [row["way"], via, show_bytes(row["first_bytes"]), row["first_resolution"] or "", *times]


def _timed(took: float | None, limit: float | None) -> str:
    return show_ms(took) + (f" ({show_ms(limit)})" if limit else "")


def browser() -> str:
    """What the browser showed."""
    _, rows = read("browser")
    lines = [[row["subject"], row["case"], row["way"], *_whole(row, "first_ms", "whole_ms")] for row in rows]
    return table(["series", "loading", "way", "first", "whole"], lines) + how("browser")


def opened() -> str:
    """Requests of OHIF and at the archive."""
    _, rows = read("opened")
    kinds = [f"at the archive: {kind}" for kind in ("searches", "metadata", "frames")]
    titles = ["page", "way", "OHIF's requests", *kinds]
    return table(titles, [[str(cell) for cell in row.values()] for row in rows]) + how("opened", "Counted")


def http2() -> str:
    """The same over HTTP/2."""
    _, rows = read("http2")
    keys = ("network", "plan", "way", "cache")
    lines = [[*(row[key] for key in keys), *_whole(row, "first_ms", "arrived_ms")] for row in rows]
    return table(["link", "loading", "protocol", "cache", "first", "bytes"], lines) + how("http2")


def memory() -> str:
    """Memory of a proxy with a full cache."""
    _, rows = read("memory")
    lines = [
        [f"{row['frame_bytes']:,}", f"{row['before_mib']} MiB", f"{row['full_mib']} MiB"] for row in rows
    ]
    return table(["bytes of each frame", "empty cache", "full cache of 256 MiB"], lines) + how("memory")


def attacks() -> str:
    """The service that others got while somebody attacked."""
    _, rows = read("attacks")
    lines = [
        [
            row["attack"],
            ", ".join(f"{said}: {count:,}" for said, count in sorted(row["answers"].items())) or "none",
            f"{row['most_mib']:,} MiB",
            *(f"{row[f'{name}_p99_ms']:,} / {row[f'{name}_max_ms']:,}" for name in ("livez", "hit")),
        ]
        for row in rows
    ]
    titles = ["attack", "answers", "most memory", "`/livez`, ms", "somebody else's hit, ms"]
    return table(titles, lines) + how("attacks")


def fast() -> str:
    """Every figure on a fast network beside its goal."""
    _, rows = read("fast")
    lines = [
        [
            row["what"].strip(),
            row["figure"],
            row["against"],
            f"{row['ratio']:.2f}",
            f"{'≥' if row['is_least'] else '≤'} {row['goal']:g}",
            "yes" if row["met"] else "no",
        ]
        for row in rows
    ]
    return table(["", "proxy", "against", "ratio", "goal", "met"], lines) + how("fast")


def _whole(row: Row, *keys: str) -> list[str]:
    return [f"{row[key]:,.0f}" for key in keys]


def how(name: str, done: str = "Measured") -> str:
    """One sentence: with which command, when, at which commit, on which machine."""
    measured, _ = read(name)
    libraries = measured["libraries"]
    if isinstance(libraries, dict):
        libraries = ", ".join(f"{each} {version}" for each, version in libraries.items())
    note = f" Figures were {measured['note']}." if "note" in measured else ""
    return (
        f"\n{done} with `{measured['command']}` on {measured['date']} at commit `{measured['commit']}`."
        f" Cores: {measured['cores']}. CPU: {measured['cpu']}. System: {measured['system']}."
        f" Python: {measured['python']}. Libraries: {libraries}.{note}\n"
    )
