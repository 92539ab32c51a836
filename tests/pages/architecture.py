"""`docs/architecture.svg`, drawn from the import graph: `python -m tests.pages.architecture` writes it.

The bands and the imports come from the test that holds them. Only the place of each package is chosen here.
A grey line is an import that no other path implies; a coloured one belongs to a way that the page describes.
"""

import ast
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from textwrap import wrap
from typing import NamedTuple

from tests.unit.test_bands import BANDS, MAY_IMPORT, PROXY

PICTURE = PROXY.parent / "docs" / "architecture.svg"

ROWS: tuple[Mapping[str, float], ...] = (
    {"__main__": 1, "cli": 2, "commands": 3},
    {"service": 1, "measure": 3, "demo": 4, "archive": 5},
    {"viewers": 0.55, "admin": 2.1},
    {"fetch": 1, "alternates": 2.1, "prefetch": 3.2},
    {"access": 0, "cache": 1, "origin": 2, "settings": 3, "codecs": 4},
    {"page": 0, "frame": 1.1, "telemetry": 2.2, "plan": 3.3},
    {"wire": 0.4, "errors": 1.8, "codestream": 3.2},
)
"""The rows from the top down, with each package's place from the left, in columns."""

WAYS: Mapping[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "a frame": ("#1d63c4", (("service", "viewers"), ("viewers", "access"), ("viewers", "fetch"),
                            ("fetch", "cache"), ("fetch", "origin"))),
    "a plan": ("#c45b0a", (("service", "admin"), ("admin", "prefetch"), ("prefetch", "fetch"))),
    "an alternate": ("#1a7f46", (("viewers", "alternates"), ("alternates", "fetch"),
                                 ("alternates", "codecs"))),
}  # fmt: skip
"""The ways through the packages: colour and imports, as the request goes."""

COLUMN, LEFT, BOX, TALL, GAP, PAD, BETWEEN = 200, 32, 182, 98, 40, 30, 18
TINTS = ("#f4f1ec", "#eef2f8", "#eef5ef", "#f6f0f5", "#f1f3f4")
OTHER = "#a9b0b8"


class Box(NamedTuple):
    """Where a package is drawn."""

    x: float
    """Its left side."""
    y: float
    """Its top."""
    row: int
    """Its row, 0 at the top."""

    @property
    def middle(self) -> float:
        """Of its width."""
        return self.x + BOX / 2


class Drawing(NamedTuple):
    """All places."""

    boxes: Mapping[str, Box]
    """Of packages."""
    bands: Mapping[str, tuple[float, float]]
    """Top and height of each band."""
    height: float
    """Of the whole."""


def placed() -> Drawing:
    """Each package in its row, each row in its band."""
    boxes: dict[str, Box] = {}
    bands: dict[str, tuple[float, float]] = {}
    y: float = 44
    for band, packages in BANDS.items():
        top, y = y, y + PAD
        for number, row in enumerate(ROWS):
            if not packages.issuperset(row):
                continue
            for package, column in row.items():
                boxes[package] = Box(LEFT + column * COLUMN, y, number)
            y += TALL + GAP
        y += 16 - GAP
        bands[band] = top, y - top
        y += BETWEEN
    return Drawing(boxes, bands, y)


def needed_imports() -> Iterator[tuple[str, str]]:
    """The imports that no path over other packages implies."""
    behind: dict[str, set[str]] = {}

    def reach(package: str) -> set[str]:
        if package not in behind:
            own = MAY_IMPORT[package]
            behind[package] = own.union(*map(reach, own))
        return behind[package]

    for package, imported in MAY_IMPORT.items():
        for other in sorted(imported):
            if not any(other in reach(between) for between in imported - {other}):
                yield package, other


def sentence_of(package: str) -> str:
    """The first sentence of a package's docstring."""
    path = PROXY / f"{package}.py"
    path = path if path.exists() else PROXY / package / "__init__.py"
    words = " ".join((ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").split())
    return words.split(". ")[0].rstrip(".").replace("`", "")


def svg() -> str:
    """The picture."""
    drawing = placed()
    width = LEFT + 5 * COLUMN + BOX + 24
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {drawing.height:g}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="10.5">',
        "<title>The packages of progressive-proxy in five bands, and three ways through them</title>",
        f'<rect width="{width}" height="{drawing.height:g}" fill="#ffffff"/>',
        *_markers(),
        *_legend(),
    ]
    for tint, (band, (top, tall)) in zip(TINTS, drawing.bands.items(), strict=True):
        lines.append(
            f'<rect x="12" y="{top:g}" width="{width - 24}" height="{tall:g}" rx="8" fill="{tint}"/>'
        )
        lines.append(f'<text x="{width - 24}" y="{top + 19:g}" text-anchor="end" font-size="13" '
                     f'font-weight="bold" fill="#6b7280">{band}</text>')  # fmt: skip
    ways = {edge: colour for colour, edges in WAYS.values() for edge in edges}
    edges = [(edge, OTHER) for edge in needed_imports() if edge not in ways] + list(ways.items())
    lines += [_line(drawing.boxes, edge, colour) for edge, colour in edges]
    for package, box in drawing.boxes.items():
        lines += _box(package, box)
    return "\n".join([*lines, "</svg>", ""])


def _markers() -> Iterator[str]:
    for colour in (OTHER, *(colour for colour, _ in WAYS.values())):
        yield (
            f'<marker id="m{colour[1:]}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
            f'markerHeight="7" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z" '
            f'fill="{colour}"/></marker>'
        )


def _legend() -> Iterator[str]:
    x = 16
    for name, colour in (*((f"the way of {way}", found[0]) for way, found in WAYS.items()),
                         ("other imports; those that a path implies are left out", OTHER)):  # fmt: skip
        yield f'<line x1="{x}" y1="24" x2="{x + 28}" y2="24" stroke="{colour}" stroke-width="2.5"/>'
        yield f'<text x="{x + 36}" y="28" font-size="13" fill="#374151">{name}</text>'
        x += 70 + 7 * len(name)


def _box(package: str, box: Box) -> Iterator[str]:
    imported = ", ".join(sorted(MAY_IMPORT[package])) or "nothing"
    yield f"<g><title>{package} imports {escape(imported)}</title>"
    yield (f'<rect x="{box.x:g}" y="{box.y:g}" width="{BOX}" height="{TALL}" rx="6" fill="#ffffff" '
           'stroke="#4b5563"/>')  # fmt: skip
    yield (f'<text x="{box.x + 10:g}" y="{box.y + 20:g}" font-family="monospace" font-size="14" '
           f'font-weight="bold" fill="#111827">{package}</text>')  # fmt: skip
    for number, words in enumerate(wrap(sentence_of(package), 28)[:5]):
        y = box.y + 37 + 14 * number
        yield f'<text x="{box.x + 10:g}" y="{y:g}" fill="#374151">{escape(words)}</text>'
    yield "</g>"


def _line(boxes: Mapping[str, Box], edge: tuple[str, str], colour: str) -> str:
    start, end = (boxes[package] for package in edge)
    stroke = f'fill="none" stroke="{colour}" stroke-width="{1.1 if colour == OTHER else 2.5}"'
    return f'<path d="{_path(start, end)}" {stroke} marker-end="url(#m{colour[1:]})"/>'


def _path(start: Box, end: Box) -> str:
    if start.row != end.row:
        lean = max(-50.0, min(50.0, (end.middle - start.middle) / 6))
        x1, y1, x2, y2 = start.middle + lean, start.y + TALL, end.middle - lean, end.y - 1
        bend = min(90.0, (y2 - y1) / 2)
        return f"M{x1:g} {y1:g}C{x1:g} {y1 + bend:g} {x2:g} {y2 - bend:g} {x2:g} {y2:g}"
    y = start.y + TALL / 2
    if abs(start.x - end.x) < 1.5 * COLUMN:  # neighbours
        x1, x2 = (start.x, end.x + BOX + 1) if end.x < start.x else (start.x + BOX, end.x - 1)
        return f"M{x1:g} {y:g}L{x2:g} {y:g}"
    x1, x2, y, under = start.middle, end.middle, start.y + TALL, start.y + TALL + 34  # below those between
    return f"M{x1:g} {y:g}C{x1:g} {under:g} {x2:g} {under:g} {x2:g} {y + 1:g}"


def write(path: Path = PICTURE) -> None:
    """Writes the picture."""
    path.write_text(svg(), "utf-8")


if __name__ == "__main__":
    write()
