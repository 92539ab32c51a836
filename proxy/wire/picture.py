"""What a viewer says of a rendered picture in its URL and its Accept (PS3.18 8.3.5, 8.7.4); pure.

    viewport=vw,vh[,sx,sy,sw,sh]     into so many pixels, of the region from sx,sy on; negative is mirrored
    window=center,width,function     linear, linear-exact or sigmoid
    quality=1…100                    of a JPEG

`annotation`, `iccprofile` and `charset` are taken and left undone, as the standard allows.
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
"""Of a frame."""
QUALITY = 90
"""Of a JPEG, where none is asked for."""
THUMBNAIL = 128
"""Pixels of a thumbnail's longer side, where no viewport is asked for."""

_OURS = ("viewport", "window", "quality", "annotation", "iccprofile", "charset")
_SIDE = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_NUMBER = re.compile(r"[+-]?([0-9]{1,9}(\.[0-9]{0,9})?|\.[0-9]{1,9})", re.ASCII)
_QUALITY = re.compile(r"[1-9][0-9]?|100", re.ASCII)


@dataclass(frozen=True, slots=True)
class Picture:
    """A rendered picture, as it is asked for."""

    media: Media
    """Its media type."""
    quality: int = 0
    """Of a JPEG, 1 to 100; 0 in a PNG, which loses nothing."""
    viewport: tuple[int, int] | None = None
    """Width and height in pixels that it has at most; None is as many as there are."""
    region: Region = ALL
    """In pixels of the frame: left, top, width, height; negative ones mirror. None is from 0, and all."""
    window: DisplayWindow | None = None
    """Instead of the metadata's own."""

    def fit(self, columns: int, rows: int) -> "Fit":
        """What of a frame of so many pixels goes into how many. Raises `BadResource`.

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
    """A picture's place in its frame."""

    region: tuple[float, float, float, float]
    """Left, top, width, height in pixels of the frame; where one of the last two is negative, mirrored."""
    size: tuple[int, int]
    """Pixels across and down that it becomes."""
    covers: tuple[int, int]
    """Pixels that the whole frame has then: no more of its resolution is needed."""


def _within(start: float, length: float | None, size: int) -> tuple[float, float]:
    """As much of a stretch as is in the picture; mirrored as it was."""
    wanted = size - start if length is None else abs(length)
    inside = min(wanted, size - start)
    if inside <= 0:
        raise BadResource(f"viewport: the region lies outside the frame, which has {size} pixels there")
    return start, -inside if length is not None and length < 0 else inside


def read_picture(query: str, accept: str | None, *, is_thumbnail: bool) -> tuple[Picture, str]:
    """The picture that is asked for, and the rest of the query. Raises `BadResource`, `NotAcceptable`.

    >>> picture, rest = read_picture("viewport=64,64&window=40,400,linear", "image/png", is_thumbnail=False)
    >>> picture.viewport, picture.window.center, picture.media
    ((64, 64), 40.0, 'image/png')
    """
    asked, rest = arguments(query, _OURS)
    told = {name: unquote(value) for name, value in asked.items()}
    quality = told.get("quality", str(QUALITY))
    if _QUALITY.fullmatch(quality) is None:
        raise BadResource("quality: a whole number from 1 to 100")
    viewport, region = _viewport(told["viewport"]) if "viewport" in told else (None, ALL)
    if viewport is None and is_thumbnail:
        viewport = THUMBNAIL, THUMBNAIL
    window = _window(told["window"]) if "window" in told else None
    media = wanted_picture(accept)
    return Picture(media, int(quality) if media == "image/jpeg" else 0, viewport, region, window), rest


def _viewport(text: str) -> tuple[tuple[int, int], Region]:
    """PS3.18 8.3.5.1.3."""
    sides, numbers = text.split(",")[:2], text.split(",")[2:]
    are_sides = len(sides) == 2 and all(map(_SIDE.fullmatch, sides))
    are_numbers = all(not number or _NUMBER.fullmatch(number) for number in numbers)
    if not are_sides or len(numbers) not in (0, 4) or not are_numbers:
        raise BadResource("viewport: width,height in pixels, then perhaps left,top,width,height of a region")
    left, top, width, height = [float(number) if number else None for number in numbers] or [None] * 4
    if min(left or 0, top or 0) < 0 or 0 in (width, height):
        raise BadResource("viewport: a region begins at 0 or later, and has some width and height")
    return (int(sides[0]), int(sides[1])), (left, top, width, height)


def _window(text: str) -> DisplayWindow:
    """PS3.18 8.3.5.1.4."""
    numbers, function = text.split(",")[:2], text.split(",")[2:]
    known: dict[str, Function] = {name: name for name in get_args(Function)}
    are_numbers = len(numbers) == 2 and all(map(_NUMBER.fullmatch, numbers))
    if not are_numbers or len(function) != 1 or function[0] not in known:
        raise BadResource(f"window: center,width,function, which is one of {', '.join(known)}")
    window = DisplayWindow(float(numbers[0]), float(numbers[1]), known[function[0]])
    if not window.is_valid:
        raise BadResource("window: the width is more than 0, and for linear 1 or more")
    return window


def wanted_picture(accept: str | None) -> Media:
    """Which of the two a viewer likes better; JPEG, the default, where it likes both. Raises `NotAcceptable`.

    >>> wanted_picture(None), wanted_picture("image/png, */*;q=0.8"), wanted_picture("image/webp, image/*")
    ('image/jpeg', 'image/png', 'image/jpeg')
    """
    if accept is None or accept.strip() in ("", "undefined"):
        accept = "*/*"
    ranges = [parse_media_type(text) for text in split_at(accept[:MAX_ACCEPT], ",")]
    best: tuple[float, Media] | None = None
    for media in ("image/jpeg", "image/png"):
        for name in (media, "image/*", "*/*"):  # the closest decides (RFC 9110 12.5.1)
            weights = [each.quality for each in ranges if each.name == name]
            if weights:
                if max(weights) > (best[0] if best else 0.0):
                    best = max(weights), media
                break
    if best is None:
        raise NotAcceptable("a rendered picture is image/jpeg or image/png")
    return best[1]
