"""Draws quality over time as a small SVG: a bar for each load of a stack, a panel for each of a volume."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from xml.sax.saxutils import escape

from tests.bench.browser_quality import Quality, Shares, at_time
from tests.browser.viewing import ADJACENT, FAR, FULL, LOSSY, SUBRESOLUTION

WIDTH, LEFT, RIGHT = 760, 180, 20
ROW, BAR = 20, 14
LEAST, PANEL, GAP, HIGH = 50, 160, 18, 96
EARLIEST, TICKS = 20, (20, 50, 100, 200, 500, 1000, 2000, 5000)
"""Milliseconds at the left end of the bars, and at the ticks. The scale is logarithmic."""
SAMPLES = 90
"""Samples along the width of a panel."""
TINTS = ("#e3eef9", "#c6dbef", "#94c4df", "#5a9fcf", "#2f79b8", "#08306b")
"""A scale of blues, readable for the colour-blind. Darker is better."""
BANDS = (((FULL,), TINTS[5]), ((LOSSY, SUBRESOLUTION), TINTS[3]), ((ADJACENT, FAR), TINTS[1]))
"""Qualities in each band of a panel with its tint, from the bottom up."""
WORDS = ("full resolution", "first bytes: smaller", "copy of a neighbour")
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#222}.s{font-size:11px;fill:#555}.b{font-weight:600}"
    ".w{fill:#fff;font-size:11px}.d{font-size:11px}.e{text-anchor:end}.m{text-anchor:middle}"
    "line{stroke:#ccc}"
)


@dataclass(frozen=True, slots=True)
class Strip:
    """One load."""

    case: str
    """Name of the retrieve configuration."""
    way: str
    """The way in which the frames came."""
    steps: Sequence[tuple[float, Shares]]
    """Milliseconds, and from then on the share of images by quality."""
    first: float
    """Milliseconds until the canvas showed something."""
    whole: float
    """Milliseconds until the canvas showed everything."""


def draw(stack: Sequence[Strip], volume: Sequence[Strip]) -> str:
    """The SVG. It shows the decoded rows of the stack's image, and the quality of the volume's slices."""
    upper, bottom = _bars(stack, 46)
    lower, end = _panels(volume, bottom + 66)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {end}" width="{WIDTH}">',
            f'<style>{STYLE}</style><rect width="100%" height="100%" fill="#fff"/>',
            _text(10, 20, "One image of 3036×3036 (11.1 MB): rows of the picture by time", "b"),
            *upper,
            _text(
                10,
                bottom + 34,
                "174 slices of 512×512 (23.3 MB): share of the slices by time; right: all whole",
                "b",
            ),
            *_legend(bottom + 52),
            *lower,
            "</svg>\n",
        ]
    )


def _bars(strips: Sequence[Strip], top: int) -> tuple[list[str], int]:
    """One bar for each load, and the y coordinate of their end."""
    drawn, y = [], top
    kinds = sorted({kind for strip in strips for _, shares in strip.steps for kind in shares})
    last = max(5000.0, *(strip.whole for strip in strips))
    for case, group in groupby(strips, key=lambda strip: strip.case):
        drawn.append(_text(10, y + 4, case, "d b"))
        y += ROW - 6
        for strip in group:
            drawn += [_text(LEFT - 8, y + 11, strip.way, "d e"), *_bar(strip, y, last, kinds)]
            y += ROW
        y += 12
    marks = [
        f'<line x1="{_log(tick, last):.0f}" y1="{top}" x2="{_log(tick, last):.0f}" y2="{y - 8}"/>'
        + _text(_log(tick, last), y + 6, f"{tick} ms" if tick < 1000 else f"{tick // 1000} s", "s m")
        for tick in TICKS
    ]
    return marks + drawn, y + 8


def _bar(strip: Strip, y: int, last: float, kinds: Sequence[Quality]) -> Iterator[str]:
    ends = [at for at, _ in strip.steps[1:]] + [last]
    for (at, shares), end in zip(strip.steps, ends, strict=True):
        status, rows = kind = max(shares)
        tint = len(TINTS) - len(kinds) + kinds.index(kind)
        left, right = _log(at, last), _log(end, last)
        yield f'<rect x="{left:.1f}" y="{y}" width="{right - left:.1f}" height="{BAR}" fill="{TINTS[tint]}"/>'
        words = f"{rows} in part" if status < FULL and rows == kinds[-1][1] else str(rows)
        if right - left > 7 * len(words):
            yield _text((left + right) / 2, y + 11, words, "m w" if tint > 2 else "m d")


def _log(milliseconds: float, last: float) -> float:
    share = math.log(max(milliseconds, EARLIEST) / EARLIEST) / math.log(last / EARLIEST)
    return LEFT + share * (WIDTH - RIGHT - LEFT)


def _legend(y: int) -> Iterator[str]:
    for place, ((_, tint), word) in enumerate(zip(BANDS, WORDS, strict=True)):
        x = 10 + 150 * place
        yield f'<rect x="{x}" y="{y}" width="{BAR}" height="{BAR}" fill="{tint}"/>'
        yield _text(x + BAR + 6, y + 11, word, "d")


def _panels(strips: Sequence[Strip], top: int) -> tuple[list[str], int]:
    """A row of panels with equal axes for each configuration, and the y coordinate of their end."""
    drawn, y = [], top
    last = math.ceil(max(strip.whole for strip in strips) / 1000) * 1000
    for case, group in groupby(strips, key=lambda strip: strip.case):
        y += 26
        drawn.append(_text(10, y, case, "d b"))
        y += 24
        for place, strip in enumerate(group):
            drawn += _panel(strip, LEAST + place * (PANEL + GAP), y, last)
        y += HIGH + 26
    return drawn, y + 6


def _panel(strip: Strip, x: int, y: int, last: int) -> Iterator[str]:
    times = [last * sample / SAMPLES for sample in range(SAMPLES + 1)]
    edges = [[0.0] * len(times)]
    for statuses, _ in BANDS:
        shares = [_share(at_time(strip.steps, when), statuses) for when in times]
        edges.append([below + share for below, share in zip(edges[-1], shares, strict=True)])
    yield f'<rect x="{x}" y="{y}" width="{PANEL}" height="{HIGH}" fill="#f4f4f4"/>'
    for (_, tint), (low, high) in zip(BANDS, pairwise(edges), strict=True):
        there, back = _points(x, y, high), _points(x, y, low)[::-1]
        yield f'<path d="M{"L".join(there + back)}z" fill="{tint}"/>'
    yield _text(x, y - 6, strip.way, "d")
    yield _text(x + PANEL, y - 6, f"{strip.whole / 1000:.1f} s", "s e")
    yield _text(x, y + HIGH + 13, "0", "s m")
    yield _text(x + PANEL, y + HIGH + 13, f"{last // 1000} s", "s e")
    if x == LEAST:
        yield _text(x - 4, y + 9, "100 %", "s e")
        yield _text(x - 4, y + HIGH, "0", "s e")


def _share(shares: Shares, statuses: Sequence[int]) -> float:
    return sum(share for (status, _), share in shares.items() if status in statuses)


def _points(x: int, y: int, shares: Sequence[float]) -> list[str]:
    step = PANEL / SAMPLES
    return [f"{x + step * at:.0f} {y + HIGH * (1 - share):.0f}" for at, share in enumerate(shares)]


def _text(x: float, y: float, words: str, kind: str) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" class="{kind}">{escape(words)}</text>'
