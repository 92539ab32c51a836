"""The pictures that a viewer showed, and when, computed from the viewer's own events. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.browser.viewing import FULL, SUBRESOLUTION, Seen

LIT = 0.05
"""Share of the canvas that must not be black. An empty viewport is black."""

Quality = tuple[int, int]
"""Cornerstone3D's image quality status, then the number of decoded rows. Higher is better."""
Shares = dict[Quality, float]
"""Share of the images that are shown in each quality. Images that are not shown yet are left out."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One load. Times are in milliseconds from the viewer's first request."""

    fetched: float
    """Until the first response with a frame or a range of one had arrived."""
    decoded: float
    """Until the first image was given to the viewport."""
    first: float
    """Until the canvas was no longer black."""
    seen: float
    """Until each image had pixels of its own, at any resolution. A copy of its neighbour does not count."""
    arrived: float
    """Until the last byte had arrived."""
    whole: float
    """Until each image was drawn in full resolution."""
    steps: tuple[tuple[float, Shares], ...]
    """The shares after each change, with the time of the drawing that follows it."""


def shown(seen: Seen, began: float, arrivals: Sequence[float], count: int) -> Shown:
    """The results of a load of `count` images whose first request was sent at `began`.

    `arrivals` are the times at which each response had arrived. All times are on the page's clock.

    Raises `ValueError` if some images did not come.
    """
    steps = tuple(steps_of(seen.images, count))
    lit = [render["at"] for render in seen.renders if render["images"] and render["lit"] > LIT]
    each_seen = [at for at, shares in steps if _at_least(shares, SUBRESOLUTION)]
    each_whole = [at for at, shares in steps if _at_least(shares, FULL)]
    drawings = [render["at"] for render in seen.renders]
    if not (lit and each_whole and drawings[-1] >= steps[-1][0]):
        raise ValueError("some images are not complete")
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
    """Yields the shares of `count` images after each image that arrives. Worse images change nothing.

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
    """True if all images have at least this status."""
    return sum(share for (status, _), share in shares.items() if status >= least) > 1 - 1e-9


def _next(drawings: Sequence[float], at: float) -> float:
    return next(drawing for drawing in drawings if drawing >= at)


def at_time(steps: Sequence[tuple[float, Shares]], when: float) -> Shares:
    """The shares at a time.

    >>> at_time([(5, {(6, 380): 1}), (9, {(8, 3036): 1})], 7)
    {(6, 380): 1}
    """
    now: Shares = {}
    for at, shares in steps:
        if at > when:
            break
        now = shares
    return now
