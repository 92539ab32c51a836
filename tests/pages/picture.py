"""`python -m tests.pages.picture`: draws docs/architecture.svg from the imports of the packages."""

from itertools import pairwise
from pathlib import Path

from tests.unit.test_bands import BANDS, MAY_IMPORT

SVG = Path(__file__).parents[2] / "docs" / "architecture.svg"
WIDTH, HEIGHT, BAND, LEFT = 960, 92, 128, 150
BOX = 118
"""Width of a package, in the units of the picture."""
WAY = ("service", "viewers", "fetch", "origin")
"""The way of a frame that the cache does not hold."""


def drawn() -> str:
    """The picture: a band in each row, a package in each box, a line for each import into a lower band."""
    places = {
        package: (LEFT + (number + 0.5) * (WIDTH - LEFT) / len(row), 24 + band * BAND)
        for band, (_, row) in enumerate((name, sorted(row, key=_order)) for name, row in BANDS.items())
        for number, package in enumerate(row)
    }
    lines = [
        _line(places[upper], places[lower], is_way=(upper, lower) in pairwise(WAY))
        for upper, lowers in MAY_IMPORT.items()
        for lower in sorted(lowers)
        if places[lower][1] > places[upper][1]
    ]
    boxes = [_box(package, *place) for package, place in places.items()]
    names = [
        f'<text x="8" y="{24 + number * BAND + 26}" class="band">{name}</text>'
        for number, name in enumerate(BANDS)
    ]
    height = len(BANDS) * BAND - BAND + HEIGHT
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
            "<title>The packages in five bands, and the imports from each band into those below it</title>",
            f"<style>{STYLE}</style>",
            f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
            *sorted(lines),  # the way of a frame comes last, above the others
            *boxes,
            *names,
            "</svg>",
            "",
        ]
    )


STYLE = (
    "text{font:15px system-ui,sans-serif;text-anchor:middle;fill:#1a237e}"
    ".band{text-anchor:start;fill:#555;font-size:13px}"
    "rect.p{fill:#e8eaf6;stroke:#3949ab}rect.w{fill:#c5cae9;stroke:#1a237e;stroke-width:2}"
    "path{fill:none;stroke:#b0b4c8;stroke-width:.8}path.w{stroke:#c62828;stroke-width:2.5}"
)


def _order(package: str) -> tuple[int, str]:
    """Packages on the way of a frame stand in the middle of their row."""
    return (0 if package in WAY else 1, package)


def _line(upper: tuple[float, float], lower: tuple[float, float], *, is_way: bool) -> str:
    (x, y), (to, down) = upper, lower
    y += 40
    middle = (y + down) / 2
    mark = "w" if is_way else "a"
    curve = f"C{x:.0f} {middle:.0f} {to:.0f} {middle:.0f} {to:.0f} {down:.0f}"
    return f'<path class="{mark}" d="M{x:.0f} {y:.0f}{curve}"/>'


def _box(package: str, x: float, y: float) -> str:
    mark = "w" if package in WAY else "p"
    return (
        f'<rect class="{mark}" x="{x - BOX / 2:.0f}" y="{y:.0f}" width="{BOX}" height="40" rx="6"/>'
        f'<text x="{x:.0f}" y="{y + 26:.0f}">{package}</text>'
    )


if __name__ == "__main__":
    SVG.write_text(drawn(), "utf-8")
