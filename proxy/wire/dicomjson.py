"""Instances of a series in DICOM JSON (PS3.18 F.2): single attributes, and the order of its slices; pure.

Whatever an origin wrote, reading an attribute never raises; it is there, well formed, or it is not.
"""

import json
from math import isfinite
from typing import Any, TypeAlias

from proxy.errors import BadResource, OriginMismatch
from proxy.wire.resource import parse_frame_path

Instance: TypeAlias = dict[str, Any]
"""One object: tag to value representation and values."""

STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"
MODALITY, TITLE = "00080060", "0008103E"
ROWS, COLUMNS, FRAMES = "00280010", "00280011", "00280008"
TRANSFER_SYNTAXES = ("00083002", "00020010")
"""AvailableTransferSyntaxUID (PS3.18 10.4.3.3.2), and the one of the file."""

_NUMBER, _POSITION, _ORIENTATION = "00200013", "00200032", "00200037"


def read_json(body: bytes) -> object:
    """What an origin's JSON says. Raises `ValueError` for what is no JSON.

    One bad byte costs no more than itself: it is read as U+FFFD if it is no UTF-8, and as it is if it is
    a control character, which some archives leave in names.

    >>> read_json(b'["M\\xfcller"]')
    ['M\ufffdller']
    """
    try:
        return json.loads(body.decode("utf-8-sig", "replace"), strict=False)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def in_order(instances: list[Instance]) -> list[Instance]:
    """By position along the normal of the slices where all have one, else by InstanceNumber."""
    numbered = sorted(instances, key=lambda each: whole_of(each, _NUMBER))
    across = _vector(instances[0], _ORIENTATION, 6)
    positions = [_vector(each, _POSITION, 3) for each in numbered]
    if across is None or any(position is None for position in positions):
        return numbered
    (a, b, c), (d, e, f) = across[:3], across[3:]
    normal = (b * f - c * e, c * d - a * f, a * e - b * d)  # PS3.3 C.7.6.2.1.1: rows, then columns
    along = [sum(n * p for n, p in zip(normal, position or (), strict=True)) for position in positions]
    return [numbered[at] for at in sorted(range(len(numbered)), key=along.__getitem__)]


def checked(path: str) -> str:
    """The path of a frame, as it is. Raises `OriginMismatch` where the origin's UIDs are none."""
    try:
        parse_frame_path(path)
    except BadResource as error:
        raise OriginMismatch(f"the origin's metadata: {error}", "uid") from error
    return path


def values_of(instance: Instance, tag: str) -> list[Any]:
    """All values of an attribute, as they came."""
    element = instance.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []


def items_of(instance: Instance, tag: str) -> list[Instance]:
    """The items of a sequence."""
    return [item if isinstance(item, dict) else {} for item in values_of(instance, tag)]


def text_of(instance: Instance, tag: str) -> str:
    """The first value of an attribute; empty where there is none."""
    values = values_of(instance, tag)
    return str(values[0]).strip() if values and values[0] is not None else ""


def whole_of(instance: Instance, tag: str) -> int:
    """The first value as a number of nine digits at most; 0 where there is none."""
    text = text_of(instance, tag)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def number_of(instance: Instance, tag: str) -> float | None:
    """The first value as a number, some of which are written with a comma; None where there is none."""
    try:
        found = float(text_of(instance, tag).replace(",", "."))
    except ValueError:
        return None
    return found if isfinite(found) else None


def _vector(instance: Instance, tag: str, length: int) -> tuple[float, ...] | None:
    try:
        numbers = tuple(float(value) for value in values_of(instance, tag))
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if len(numbers) == length and all(map(isfinite, numbers)) else None
