"""Reads DICOM JSON (PS3.18 F.2): single attributes of an instance, and the order of a series' slices. Pure.

Reading an attribute never raises, whatever the origin wrote. A malformed attribute counts as absent.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, TypeAlias

from proxy.errors import BadResource, OriginMismatch
from proxy.wire.resource import parse_frame_path

Instance: TypeAlias = dict[str, Any]
"""One instance: maps a tag to an object with its value representation and values."""

STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"
MODALITY, TITLE, BODY_PART = "00080060", "0008103E", "00180015"
ROWS, COLUMNS, FRAMES = "00280010", "00280011", "00280008"
TRANSFER_SYNTAXES = ("00083002", "00020010")
"""AvailableTransferSyntaxUID (PS3.18 10.4.3.3.2), and TransferSyntaxUID of the file."""

_NUMBER, _POSITION, _ORIENTATION = "00200013", "00200032", "00200037"


def read_json(body: bytes) -> object:
    """Parses JSON from an origin. Raises `ValueError` if the body is not JSON.

    One bad byte does not spoil the rest. A byte that is not UTF-8 is read as U+FFFD, and a control character,
    which some archives leave in names, is kept.

    >>> read_json(b'["M\\xfcller"]')
    ['M\ufffdller']
    """
    try:
        return json.loads(body.decode("utf-8-sig", "replace"), strict=False)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def in_order(instances: list[Instance]) -> list[Instance]:
    """Sorts by position along the slice normal if every instance has one, else by InstanceNumber."""
    return [instances[at] for at in order_of([place_of(each) for each in instances])]


@dataclass(frozen=True, slots=True)
class SlicePlace:
    """The attributes of an instance that give its place in the series."""

    number: int
    """InstanceNumber; 0 if there is none."""
    position: tuple[float, ...] | None
    """ImagePositionPatient; None if there is none."""
    orientation: tuple[float, ...] | None
    """ImageOrientationPatient; None if there is none."""


def place_of(instance: Instance) -> SlicePlace:
    """Reads the place of an instance."""
    position, orientation = _vector(instance, _POSITION, 3), _vector(instance, _ORIENTATION, 6)
    return SlicePlace(whole_of(instance, _NUMBER), position, orientation)


def order_of(places: Sequence[SlicePlace]) -> list[int]:
    """Returns the indices of the places in the order of the slices; see `in_order`."""
    numbered = sorted(range(len(places)), key=lambda at: places[at].number)
    across, positions = places[0].orientation, [places[at].position for at in numbered]
    if across is None or any(position is None for position in positions):
        return numbered
    (a, b, c), (d, e, f) = across[:3], across[3:]
    normal = (b * f - c * e, c * d - a * f, a * e - b * d)  # PS3.3 C.7.6.2.1.1: rows, then columns
    along = [sum(n * p for n, p in zip(normal, position or (), strict=True)) for position in positions]
    return [numbered[at] for at in sorted(range(len(numbered)), key=along.__getitem__)]


def checked(path: str) -> str:
    """Returns the frame path unchanged. Raises `OriginMismatch` if the origin's UIDs are not valid UIDs."""
    try:
        parse_frame_path(path)
    except BadResource as error:
        raise OriginMismatch(f"the origin's metadata: {error}", "uid") from error
    return path


def values_of(instance: Instance, tag: str) -> list[Any]:
    """Returns all values of an attribute, unconverted."""
    element = instance.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []


def items_of(instance: Instance, tag: str) -> list[Instance]:
    """The items of a sequence."""
    return [item if isinstance(item, dict) else {} for item in values_of(instance, tag)]


def text_of(instance: Instance, tag: str) -> str:
    """Returns the first value of an attribute as text; empty if there is none, or if it is no scalar."""
    first = next(iter(values_of(instance, tag)), None)
    return str(first).strip() if isinstance(first, str | int | float) else ""


def whole_of(instance: Instance, tag: str) -> int:
    """Returns the first value as an integer of at most nine digits; 0 if there is none."""
    text = text_of(instance, tag)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def number_of(instance: Instance, tag: str) -> float | None:
    """Returns the first value as a float; None if there is none. Some archives write a decimal comma."""
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
