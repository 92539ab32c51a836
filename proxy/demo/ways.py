"""The ways in which the page loads a study, as lists of requests in order. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from proxy.measure.two_step import JLS, JLS_REDUCED, TWICE
from proxy.measure.viewer import FRAMES, Way
from proxy.plan.plan import ordered
from proxy.wire.ranges import Span


@dataclass(frozen=True, slots=True)
class PageWay:
    """One way to load a study."""

    name: str
    """Name in URLs, of the proxy's origin and of the way's own host below `localhost`."""
    title: str
    """Title for people."""
    says: str
    """The way in one sentence, for people."""
    kinds: tuple[str, ...]
    """`stack`, `volume` or both."""
    is_progressive: bool
    """True if the first 64 KiB show a picture."""
    has_jls: bool = False
    """True if the origin must have JPEG-LS."""
    opens: bool = False
    """True if it reads the lists of the study, and then only the first frame."""


BOTH = ("stack", "volume")
WAYS = (
    PageWay(
        "whole", "Whole frames", "One plain request; the picture is drawn when it is complete.", BOTH, False
    ),
    PageWay("streaming", "Streaming", "One plain request; drawn while it arrives.", ("stack",), True),
    PageWay("range", "64 KiB, then the rest", "The first 64 KiB of every frame, then the rest.", BOTH, True),
    PageWay("interleaved", "Interleaved", "Cornerstone3D's stock plan for volumes.", ("volume",), True),
    PageWay("jls", "JPEG-LS", "The same frames as JPEG-LS, one plain request.", BOTH, False, True),
    PageWay(
        "jls-reduced",
        "JPEG-LS, reduced first",
        "A reduced JPEG-LS of every frame, then JPEG-LS whole.",
        BOTH,
        False,
        True,
    ),
    PageWay(
        "open",
        "Open a study",
        "The study's series, the metadata of one, then its first picture.",
        BOTH,
        is_progressive=True,
        opens=True,
    ),
)
"""All ways, in the order of the page."""
NAMES = tuple(way.name for way in WAYS)


@dataclass(frozen=True, slots=True)
class PageFetch:
    """One request of a way."""

    image: int
    """The frame, 0-based."""
    segment: str
    """Path segment in place of `/frames/`."""
    range: str | None
    """Value of the `Range` header; None is a plain GET."""


def fetches_of(way: str, images: int) -> Iterator[PageFetch]:
    """Yields the requests of a way for `images` frames, in order.

    >>> [(each.image, each.range) for each in fetches_of("range", 1)]
    [(0, 'bytes=0-65535'), (0, 'bytes=65536-')]
    """
    if way == "jls":
        yield from (PageFetch(image, JLS, None) for image in range(images))
        return
    if way == "jls-reduced":
        twice = TWICE[JLS_REDUCED]
        for segment in (twice.small, twice.whole):
            yield from (PageFetch(image, segment, None) for image in range(images))
        return
    plan = ordered(Way.RANGE.profile(), 1) if way == "open" else ordered(Way(way).profile(), images)
    for fetch in plan:
        start, stop = fetch.part.start, fetch.part.stop
        assert isinstance(start, int), "the ways of a viewer use only bytes"
        assert stop is None or isinstance(stop, int)
        whole = (start, stop) == (0, None)
        yield PageFetch(fetch.image, FRAMES, None if whole else Span(start, stop).to_header())
