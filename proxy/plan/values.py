"""Parses single values of a profile.

A `ValueError` says what a valid value looks like. The reader of the file adds path and line.
"""

import re
from enum import IntEnum
from math import prod

from proxy.codestream.reach import ResolutionTarget

KIB = 1024

_UNITS = {"": 1, "B": 1, "KiB": KIB, "MiB": KIB**2, "GiB": KIB**3, "kB": 1000, "MB": 1000**2, "GB": 1000**3}
_DURATIONS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_DIGITS = re.compile(r"[0-9]{1,20}", re.ASCII)
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?", re.ASCII)
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?) *(ms|s|min|m|h|d)(?![a-z])", re.ASCII)
_SCALE = re.compile(r"1/([0-9]{1,10})", re.ASCII)
_AT_MOST = re.compile(r"(?:≤|<=) *([0-9]{1,5})", re.ASCII)
_ROWS_AND_COLUMNS = re.compile(r"([0-9]{1,6}) *[x×] *([0-9]{1,6})", re.ASCII)
_WIDTH = re.compile(r"(?:≥|>=) *([0-9]{1,5})", re.ASCII)
_LEVELS = range(33)  # decompositions that a codestream may have (T.800 table A.15)
SYNTAX = r"default|[0-9]+(\.[0-9]+)+"
_SYNTAX = re.compile(SYNTAX, re.ASCII)
_FUNCTION = re.compile(r"=>|^\s*(async\s+)?function\b")
NO_FUNCTION = "a proxy can't run functions"


class ImageQuality(IntEnum):
    """The quality of a picture; higher is better."""

    FAR_REPLICATE = 1
    """A copy of a frame farther away."""
    ADJACENT_REPLICATE = 3
    """A copy of the adjacent frame."""
    SUBRESOLUTION = 6
    """Smaller than full size."""
    LOSSY = 7
    """Full size, with losses."""
    FULL_RESOLUTION = 8
    """Full size and quality."""


def byte_count(value: object) -> object:
    """Parses a number of bytes with an optional unit, or a product as in a viewer's code.

    >>> byte_count("64KiB"), byte_count("128 * 1024")
    (65536, 131072)
    """
    if isinstance(value, str):
        factors = value.split("*")
        if len(factors) > 1 and all(_DIGITS.fullmatch(factor.strip()) for factor in factors):
            return prod(int(factor) for factor in factors)
        digits = value.rstrip("BGKMik ")
        unit = value[len(digits) :].strip()
        if _DIGITS.fullmatch(digits) and unit in _UNITS:
            return int(digits) * _UNITS[unit]
    elif isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("must be a number of bytes, such as 65536, 64KiB or 2GiB")


def seconds(value: object) -> object:
    """Parses a duration: seconds, or numbers with units.

    >>> seconds(30), seconds("500ms"), seconds("1h30m"), seconds("7d")
    (30, 0.5, 5400.0, 604800.0)
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        if _NUMBER.fullmatch(value.strip()):
            return float(value)
        parts = _DURATION.findall(value)
        if parts and not _DURATION.sub("", value).strip():
            return sum(float(number) * _DURATIONS[unit] for number, unit in parts)
    raise ValueError("must be seconds, or a duration with units: 500ms, 30s, 5m, 12h, 7d, 1h30m")


def one_or_more(value: object) -> object:
    """Reads one text as a list of it.

    >>> one_or_more("CT"), one_or_more(["CT", "MR"])
    (['CT'], ['CT', 'MR'])
    """
    return [value] if isinstance(value, str) else value


def rows_and_columns(value: object) -> object:
    """Parses the size of a picture, rows first.

    >>> rows_and_columns("2048x1536"), rows_and_columns("2048 × 1536")
    ((2048, 1536), (2048, 1536))
    """
    found = _ROWS_AND_COLUMNS.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError("must be rows and columns, such as 2048x2048")
    return int(found[1]), int(found[2])


def cache_bytes(value: object) -> object:
    """Parses a number of bytes, at least 1 MiB, or `auto`.

    >>> cache_bytes("1MiB"), cache_bytes("auto")
    (1048576, 'auto')
    """
    size = value if value == "auto" else byte_count(value)
    if isinstance(size, int) and size < 1024**2:
        raise ValueError("must be at least 1MiB")
    return size


def first(value: object) -> object:
    """Parses the end of a first fetch: bytes, a resolution by its scale, or a minimum width.

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
    raise ValueError(
        'must be at least 1KiB, such as 64KiB, or a resolution: 1/16, or a minimum width: "≥ 256"'
    )


def scale(value: object) -> object:
    """Parses a scale: the divisor of width and height, and the maximum pixels of a side (0 is no maximum).

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
        'must be 1/2, 1/4 and so on of width and height, "1/16 area", or the maximum of a side: "≤ 512"'
    )


def scale_written(value: tuple[int, int]) -> str:
    """Formats a value of `scale` as in a profile."""
    return f"≤ {value[1]}" if value[1] else f"1/{value[0]}"


def written(value: object) -> object:
    """Formats a value of `first` as in a profile."""
    return str(value) if isinstance(value, ResolutionTarget) else value


def position(value: float) -> float:
    """Checks that a position can select an image.

    >>> position(0.5)
    0.5
    """
    if 0 <= value < 1 or value == int(value):
        return value
    raise ValueError("must be a fraction from 0 to below 1, or a whole number (negative from the end)")


def image_quality(value: object) -> object:
    """Parses a quality, given as a number or by the viewer's name for it.

    >>> image_quality("SUBRESOLUTION").value
    6
    """
    if isinstance(value, str):
        name = value.removeprefix("ImageQualityStatus.")
        if name in ImageQuality.__members__:
            return ImageQuality[name]
    elif isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value <= 8:
        return value
    raise ValueError(f"must be a number from 1 to 8, or one of {', '.join(ImageQuality.__members__)}")


def request_type(value: object) -> object:
    """Parses the name of a queue, also as written in a viewer's code.

    >>> request_type("RequestType.PREFETCH")
    'prefetch'
    """
    if isinstance(value, str) and value.startswith("RequestType."):
        return value.removeprefix("RequestType.").lower()
    return value


def is_by_syntax(value: object) -> bool:
    """True if all keys of a mapping are transfer syntaxes, as in older documentation.

    >>> is_by_syntax({"default": {}, "1.2.840.10008.1.2.4.202": {}}), is_by_syntax({"rangeIndex": 0})
    (True, False)
    """
    return isinstance(value, dict) and bool(value) and all(_SYNTAX.fullmatch(str(key)) for key in value)


def off(value: object) -> object:
    """Restores the word `off`, which YAML reads as false."""
    return "off" if value is False else value


def no_function(value: object) -> object:
    """Refuses the text of a function; returns any other value unchanged."""
    if isinstance(value, str) and _FUNCTION.search(value):
        raise ValueError(f"{NO_FUNCTION}: write the value instead")
    return value
