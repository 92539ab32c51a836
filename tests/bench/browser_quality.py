"""What a viewer showed, and when: counted from its own events. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.browser.viewing import FULL, SUBRESOLUTION, Seen

LIT = 0.05
"""The share of the canvas that has to be lit: an empty viewport is black."""

Quality = tuple[int, int]
"""Cornerstone3D's image quality status, then the rows that were decoded: more is better."""
Shares = dict[Quality, float]
"""By quality, the share of the images that are shown in it; what is not shown yet is left out."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One load. Times are milliseconds from the viewer's first request."""

    fetched: float
    """Until the first answer with a frame, or with a range of one, was there."""
    decoded: float
    """Until the first image was handed to the viewport."""
    first: float
    """Until the canvas was not black."""
    seen: float
    """Until each image had pixels of its own, however few; a copy of its neighbour is none."""
    arrived: float
    """Until the last byte was there."""
    whole: float
    """Until each image had come in full resolution and was drawn."""
    steps: tuple[tuple[float, Shares], ...]
    """What the images are after each change, at the time of the drawing that follows."""


def shown(seen: Seen, began: float, arrivals: Sequence[float], count: int) -> Shown:
    """A load of so many images whose first request went out at `began`, on the page's clock as all times.

    `arrivals` is when each answer had come.

    Raises `ValueError` where not all of them came.
    """
    steps = tuple(steps_of(seen.images, count))
    lit = [render["at"] for render in seen.renders if render["images"] and render["lit"] > LIT]
    each_seen = [at for at, shares in steps if _at_least(shares, SUBRESOLUTION)]
    each_whole = [at for at, shares in steps if _at_least(shares, FULL)]
    drawings = [render["at"] for render in seen.renders]
    if not (lit and each_whole and drawings[-1] >= steps[-1][0]):
        raise ValueError("not every image came whole")
    return Shown(
        min(arrivals) - began,
        seen.images[0]["at"] - began,
        lit[0] - began,
        each_seen[0] - began,
        max(arrivals) - began,
        _next(drawings, each_whole[0]) - began,
        tuple((_next(drawings, at) - began, shares) for at, shares in steps),
    )


def steps_of(images: Sequence[dict[str, Any]], count: int) -> Iterator[tuple[float, Shares]]:
    """How `count` images are shown after each that came; one that is no better than before changes nothing.

    >>> came = [{"at": at, "index": 0, "status": status, "rows": 512} for at, status in ((5, 6), (9, 8))]
    >>> list(steps_of(came, 2))
    [(5, {(6, 512): 0.5}), (9, {(8, 512): 0.5})]
    """
    best: dict[int, Quality] = {}
    for image in images:
        index, quality = image["index"], (image["status"], image["rows"])
        if quality > best.get(index, (0, 0)):
            best[index] = quality
            yield image["at"], {each: number / count for each, number in Counter(best.values()).items()}


def _at_least(shares: Shares, least: int) -> bool:
    """Whether all images have that status or a better one."""
    return sum(share for (status, _), share in shares.items() if status >= least) > 1 - 1e-9


def _next(drawings: Sequence[float], at: float) -> float:
    return next(drawing for drawing in drawings if drawing >= at)


def at_time(steps: Sequence[tuple[float, Shares]], when: float) -> Shares:
    """What is shown at a time.

    >>> at_time([(5, {(6, 380): 1}), (9, {(8, 3036): 1})], 7)
    {(6, 380): 1}
    """
    now: Shares = {}
    for at, shares in steps:
        if at > when:
            break
        now = shares
    return now
