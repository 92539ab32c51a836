"""How single values of a profile are read: from what stands in the file to what is meant.

A `ValueError` says what would be right; the reader of the file adds where it stands.
"""

import re
from enum import IntEnum

from proxy.codestream.reach import ResolutionTarget

KIB = 1024

_UNITS = {"": 1, "B": 1, "KiB": KIB, "MiB": KIB**2, "GiB": KIB**3, "kB": 1000, "MB": 1000**2, "GB": 1000**3}
_SCALE = re.compile(r"1/([0-9]{1,10})", re.ASCII)
_AT_MOST = re.compile(r"(?:≤|<=) *([0-9]{1,5})", re.ASCII)
_WIDTH = re.compile(r"(?:≥|>=) *([0-9]{1,5})", re.ASCII)
_LEVELS = range(33)  # decompositions that a codestream may have (T.800 table A.15)
_SYNTAX = re.compile(r"default|[0-9]+(\.[0-9]+)+")
_FUNCTION = re.compile(r"=>|^\s*(async\s+)?function\b")
NO_FUNCTION = "functions can't be carried out by a proxy"


class ImageQuality(IntEnum):
    """How good a picture is; higher is better."""

    FAR_REPLICATE = 1
    """A copy of a frame farther away."""
    ADJACENT_REPLICATE = 3
    """A copy of the frame beside it."""
    SUBRESOLUTION = 6
    """Smaller than the whole."""
    LOSSY = 7
    """Of full size, with losses."""
    FULL_RESOLUTION = 8
    """All there is."""


def byte_count(value: object) -> object:
    """A number of bytes, from digits with or without a unit.

    >>> byte_count("64KiB")
    65536
    """
    if isinstance(value, str):
        digits = value.rstrip("BGKMik ")
        unit = value[len(digits) :].strip()
        if digits.isascii() and digits.isdigit() and unit in _UNITS:
            return int(digits) * _UNITS[unit]
    elif isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("a number of bytes, such as 65536, 64KiB or 2GiB")


def first(value: object) -> object:
    """How far a first fetch goes: bytes, a resolution by its scale, or the width it has at least.

    >>> first("64KiB"), first("1/16")
    (65536, ResolutionTarget(scale=16, covers=None))
    >>> first(">= 256"), first({"decodeLevel": 4})
    (ResolutionTarget(scale=1, covers=(256, 0)), ResolutionTarget(scale=16, covers=None))
    """
    scale, width = None, None
    if isinstance(value, ResolutionTarget):
        return value
    if isinstance(value, str):
        text = value.strip()
        scale, width = _SCALE.fullmatch(text), _WIDTH.fullmatch(text)
    if isinstance(value, dict) and set(value) == {"decodeLevel"} and value["decodeLevel"] in _LEVELS:
        return ResolutionTarget(scale=1 << value["decodeLevel"])
    if scale is not None and int(scale[1]).bit_count() == 1 and int(scale[1]) < 1 << len(_LEVELS):
        return ResolutionTarget(scale=int(scale[1]))
    if width is not None and int(width[1]):
        return ResolutionTarget(covers=(int(width[1]), 0))
    try:
        size = byte_count(value)
    except ValueError:
        size = 0
    if isinstance(size, int) and size >= KIB:
        return size
    raise ValueError('bytes from 1KiB on, such as 64KiB, or a resolution: 1/16, or by its width: "≥ 256"')


def scale(value: object) -> object:
    """How much smaller: by what width and height are divided, and the most pixels a side, of which 0 is none.

    >>> scale("1/4"), scale("1/16 area"), scale("<= 512")
    ((4, 0), (4, 0), (1, 512))
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    most, part = _AT_MOST.fullmatch(text), _SCALE.fullmatch(text.removesuffix("area").rstrip())
    if most is not None and int(most[1]):
        return 1, int(most[1])
    if part is not None and int(part[1]).bit_count() == 1:
        area, by = text.endswith("area"), int(part[1])
        if not area or by.bit_length() % 2:
            return (1 << by.bit_length() // 2 if area else by), 0
    raise ValueError(
        '1/2, 1/4 and so on, of width and height; "1/16 area"; or the most pixels a side: "≤ 512"'
    )


def scale_written(value: tuple[int, int]) -> str:
    """What `scale` reads, back as it is written."""
    return f"≤ {value[1]}" if value[1] else f"1/{value[0]}"


def written(value: object) -> object:
    """What `first` reads, back as it is written."""
    return str(value) if isinstance(value, ResolutionTarget) else value


def position(value: float) -> float:
    """A position that some series has an image at.

    >>> position(0.5)
    0.5
    """
    if 0 <= value < 1 or value == int(value):
        return value
    raise ValueError("a fraction from 0 to below 1, or a whole number, which if negative counts from the end")


def image_quality(value: object) -> object:
    """A quality by its number, or by the viewer's name for it.

    >>> image_quality("SUBRESOLUTION").value
    6
    """
    if isinstance(value, str):
        name = value.removeprefix("ImageQualityStatus.")
        if name in ImageQuality.__members__:
            return ImageQuality[name]
    elif isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value <= 8:
        return value
    raise ValueError(f"a number from 1 to 8, or one of {', '.join(ImageQuality.__members__)}")


def request_type(value: object) -> object:
    """A queue by its name, also as a viewer's code names it.

    >>> request_type("RequestType.PREFETCH")
    'prefetch'
    """
    if isinstance(value, str) and value.startswith("RequestType."):
        return value.removeprefix("RequestType.").lower()
    return value


def is_by_syntax(value: object) -> bool:
    """Whether a mapping has transfer syntaxes for keys, as older pages write options.

    >>> is_by_syntax({"default": {}, "1.2.840.10008.1.2.4.202": {}}), is_by_syntax({"rangeIndex": 0})
    (True, False)
    """
    return isinstance(value, dict) and bool(value) and all(_SYNTAX.fullmatch(str(key)) for key in value)


def off(value: object) -> object:
    """The word `off`, which YAML takes for false."""
    return "off" if value is False else value


def no_function(value: object) -> object:
    """Anything but the text of a function."""
    if isinstance(value, str) and _FUNCTION.search(value):
        raise ValueError(f"{NO_FUNCTION}: give the value itself")
    return value
