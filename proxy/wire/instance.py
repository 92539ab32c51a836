"""The facts of one instance that a list of a series' frames needs, read from its metadata. Pure."""

from dataclasses import dataclass
from typing import Any, TypeVar

from proxy.wire.dicomjson import (
    BODY_PART,
    COLUMNS,
    FRAMES,
    INSTANCE,
    MODALITY,
    ROWS,
    TITLE,
    TRANSFER_SYNTAXES,
    Instance,
    SlicePlace,
    place_of,
    text_of,
    whole_of,
)
from proxy.wire.display import DISPLAYING, MOST_ENTRIES, Display, read_displays
from proxy.wire.pixels import STORING, ImagePixel, read_image_pixel
from proxy.wire.resource import is_uid

Shared = TypeVar("Shared")

IN_SEQUENCES = DISPLAYING | STORING
"""Attributes that are read from items of sequences."""


@dataclass(frozen=True, slots=True)
class InstanceFacts:
    """The facts of one instance."""

    uid: str
    """SOPInstanceUID."""
    place: SlicePlace
    """Its place in the series."""
    frames: int
    """Number of frames, at least 1."""
    modality: str
    """Modality; empty if the metadata has none."""
    transfer_syntax: str
    """Transfer syntax UID; empty if the metadata has none."""
    pixel: ImagePixel | None
    """How its pixels are stored; None if the metadata does not say."""
    displays: tuple[Display, ...]
    """How its pixels are shown: one entry a frame, or one for all frames."""
    description: str = ""
    """SeriesDescription; empty if the metadata has none."""
    body_part: str = ""
    """BodyPartExamined; empty if the metadata has none."""
    size: tuple[int, int] | None = None
    """Rows and columns; None if the metadata has none."""


class InstanceReader:
    """Reads instances. Equal values are held once, because most are equal, and palettes are large."""

    def __init__(self) -> None:
        self._once: dict[Any, Any] = {}

    def read(self, instance: object) -> InstanceFacts | None:
        """The facts of an instance; None if its UID can't be part of a path. Never raises."""
        if not isinstance(instance, dict) or not is_uid(text_of(instance, INSTANCE)):
            return None
        syntax = next(filter(None, (text_of(instance, tag) for tag in TRANSFER_SYNTAXES)), "")
        displays = tuple(map(self._shared, read_displays(instance)))
        return InstanceFacts(
            text_of(instance, INSTANCE),
            place_of(instance),
            max(1, whole_of(instance, FRAMES)),
            self._shared(text_of(instance, MODALITY)),
            self._shared(syntax),
            self._shared(read_image_pixel(instance)),
            self._shared(displays),
            self._shared(text_of(instance, TITLE)),
            self._shared(text_of(instance, BODY_PART)),
            self._shared(_size_of(instance)),
        )

    def _shared(self, value: Shared) -> Shared:
        found: Shared = self._once.setdefault(value, value)
        return found


def _size_of(instance: Instance) -> tuple[int, int] | None:
    rows, columns = whole_of(instance, ROWS), whole_of(instance, COLUMNS)
    return (rows, columns) if rows and columns else None


def without_others(item: Any) -> Any:  # noqa: ANN401  # any JSON
    """An item of a sequence without attributes and values that are not read."""
    if isinstance(item, dict):
        return {tag: _read_part(item[tag]) for tag in item if tag in IN_SEQUENCES}
    return None if isinstance(item, list) else item


def _read_part(element: Any) -> Any:  # noqa: ANN401  # any JSON
    """An element without values that are not read. Only the first item of a sequence in an item is read."""
    if not isinstance(element, dict):
        return None
    kept: dict[str, Any] = {name: value for name, value in element.items() if isinstance(value, str)}
    values = element.get("Value")
    if isinstance(values, list):
        is_sequence = bool(values) and isinstance(values[0], dict)
        kept["Value"] = [without_others(value) for value in values[: 1 if is_sequence else MOST_ENTRIES]]
    return kept
