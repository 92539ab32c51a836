"""Reads how a viewer wants a rendered picture, from its URL and Accept (PS3.18 8.3.5, 8.7.4). Pure.

    viewport=vw,vh[,sx,sy,sw,sh]     size in pixels, and the region that starts at sx,sy; negative mirrors
    window=center,width,function     linear, linear-exact or sigmoid
    quality=1…100                    JPEG only

`annotation`, `iccprofile` and `charset` are accepted and ignored, as the standard allows.
"""

import re
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import unquote

from proxy.errors import BadResource, NotAcceptable
from proxy.wire.display import DisplayWindow, Function
from proxy.wire.media import MAX_ACCEPT, parse_media_type, split_at
from proxy.wire.request import arguments

Media = Literal["image/jpeg", "image/png"]
Region = tuple[float | None, float | None, float | None, float | None]

ALL: Region = (None, None, None, None)
"""The whole frame."""
QUALITY = 90
"""The JPEG quality if the viewer asks for none."""
THUMBNAIL = 128
"""Pixels of a thumbnail's longer side if the viewer gives no viewport."""

_OURS = ("viewport", "window", "quality", "annotation", "iccprofile", "charset")
_SIDE = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_NUMBER = re.compile(r"[+-]?([0-9]{1,9}(\.[0-9]{0,9})?|\.[0-9]{1,9})", re.ASCII)
_QUALITY = re.compile(r"[1-9][0-9]?|100", re.ASCII)


@dataclass(frozen=True, slots=True)
class Picture:
    """A rendered picture as a viewer requests it."""

    media: Media
    """The picture's media type."""
    quality: int = 0
    """JPEG quality, 1 to 100; 0 for PNG, which is lossless."""
    viewport: tuple[int, int] | None = None
    """Maximum width and height in pixels; None keeps the region's own size."""
    region: Region = ALL
    """Left, top, width, height in pixels of the frame; None is 0 or the rest. A negative length mirrors."""
    window: DisplayWindow | None = None
    """Replaces the window in the metadata; None keeps that one."""

    def fit(self, columns: int, rows: int) -> "Fit":
        """Computes the region and the size for a frame. Raises `BadResource` if the region lies outside.

        >>> Picture("image/png", viewport=(100, 100)).fit(512, 256).size
        (100, 50)
        """
        left, top, *lengths = self.region
        left, width = _within(left or 0.0, lengths[0], columns)
        top, height = _within(top or 0.0, lengths[1], rows)
        across, down = self.viewport or (columns, rows)
        shrink = min(1.0, across / abs(width), down / abs(height))
        sides = [max(1, int(side * shrink + 0.5)) for side in (abs(width), abs(height), columns, rows)]
        return Fit((left, top, width, height), (sides[0], sides[1]), (sides[2], sides[3]))


@dataclass(frozen=True, slots=True)
class Fit:
    """The region of a frame that a picture shows, and the picture's size."""

    region: tuple[float, float, float, float]
    """Left, top, width and height in pixels of the frame; a negative width or height mirrors."""
    size: tuple[int, int]
    """The picture's width and height in pixels."""
    covers: tuple[int, int]
    """The whole frame's width and height at the picture's scale; no finer resolution is needed."""


def _within(start: float, length: float | None, size: int) -> tuple[float, float]:
    """Clips one side of a region to the frame and keeps its sign."""
    wanted = size - start if length is None else abs(length)
    inside = min(wanted, size - start)
    if inside <= 0:
        raise BadResource(f"viewport: the region lies outside the frame, whose side has {size} pixels")
    return start, -inside if length is not None and length < 0 else inside


def read_picture(query: str, accept: str | None, *, is_thumbnail: bool) -> tuple[Picture, str]:
    """Returns the requested picture and the other arguments. Raises `BadResource` or `NotAcceptable`.

    >>> picture, rest = read_picture("viewport=64,64&window=40,400,linear", "image/png", is_thumbnail=False)
    >>> picture.viewport, picture.window.center, picture.media
    ((64, 64), 40.0, 'image/png')
    """
    asked, rest = arguments(query, _OURS)
    told = {name: unquote(value) for name, value in asked.items()}
    quality = told.get("quality", str(QUALITY))
    if _QUALITY.fullmatch(quality) is None:
        raise BadResource("quality: must be a whole number from 1 to 100")
    viewport, region = _viewport(told["viewport"]) if "viewport" in told else (None, ALL)
    if viewport is None and is_thumbnail:
        viewport = THUMBNAIL, THUMBNAIL
    window = _window(told["window"]) if "window" in told else None
    media = wanted_picture(accept)
    return Picture(media, int(quality) if media == "image/jpeg" else 0, viewport, region, window), rest


def _viewport(text: str) -> tuple[tuple[int, int], Region]:
    """Parses a viewport (PS3.18 8.3.5.1.3)."""
    sides, numbers = text.split(",")[:2], text.split(",")[2:]
    are_sides = len(sides) == 2 and all(map(_SIDE.fullmatch, sides))
    are_numbers = all(not number or _NUMBER.fullmatch(number) for number in numbers)
    if not are_sides or len(numbers) not in (0, 4) or not are_numbers:
        raise BadResource(
            "viewport: must be width,height in pixels, optionally followed by left,top,width,height"
        )
    left, top, width, height = [float(number) if number else None for number in numbers] or [None] * 4
    if min(left or 0, top or 0) < 0 or 0 in (width, height):
        raise BadResource("viewport: left and top must be at least 0, width and height must not be 0")
    return (int(sides[0]), int(sides[1])), (left, top, width, height)


def _window(text: str) -> DisplayWindow:
    """Parses a window (PS3.18 8.3.5.1.4)."""
    numbers, function = text.split(",")[:2], text.split(",")[2:]
    known: dict[str, Function] = {name: name for name in get_args(Function)}
    are_numbers = len(numbers) == 2 and all(map(_NUMBER.fullmatch, numbers))
    if not are_numbers or len(function) != 1 or function[0] not in known:
        raise BadResource(f"window: must be center,width,function; functions are {', '.join(known)}")
    window = DisplayWindow(float(numbers[0]), float(numbers[1]), known[function[0]])
    if not window.is_valid:
        raise BadResource("window: the width must be above 0, and at least 1 for linear")
    return window


def wanted_picture(accept: str | None) -> Media:
    """Chooses the media type; JPEG if the viewer has no preference. Raises `NotAcceptable` if neither fits.

    >>> wanted_picture(None), wanted_picture("image/png, */*;q=0.8"), wanted_picture("image/webp, image/*")
    ('image/jpeg', 'image/png', 'image/jpeg')
    """
    if accept is None or accept.strip() in ("", "undefined"):
        accept = "*/*"
    ranges = [parse_media_type(text) for text in split_at(accept[:MAX_ACCEPT], ",")]
    best: tuple[float, Media] | None = None
    for media in ("image/jpeg", "image/png"):
        for name in (media, "image/*", "*/*"):  # the most specific decides (RFC 9110 12.5.1)
            weights = [each.quality for each in ranges if each.name == name]
            if weights:
                if max(weights) > (best[0] if best else 0.0):
                    best = max(weights), media
                break
    if best is None:
        raise NotAcceptable("rendered pictures are available as image/jpeg and image/png")
    return best[1]
