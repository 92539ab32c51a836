"""How stored pixels are shown, as the metadata of their instance says; pure.

Rescale or a table (PS3.3 C.11.1), a table or a window (C.11.2), a palette (C.7.6.3.1.5 and 6, C.7.9): each
for all frames, or in the functional groups of enhanced objects for each.
"""

import struct
from base64 import b64encode
from dataclasses import dataclass, replace
from math import isfinite
from typing import Literal

from proxy.wire.dicomjson import Instance, items_of, number_of, text_of, values_of
from proxy.wire.pixels import ImagePixel, read_image_pixel

Function = Literal["linear", "linear-exact", "sigmoid"]

NO_PALETTE = "the metadata has no palette"

_FUNCTIONS: dict[str, Function] = {"LINEAR_EXACT": "linear-exact", "SIGMOID": "sigmoid"}
_CENTER, _WIDTH, _FUNCTION = "00281050", "00281051", "00281056"
_INTERCEPT, _SLOPE = "00281052", "00281053"
_DESCRIPTOR = "00281101"
_TABLES = ("00281201", "00281202", "00281203")
_SEGMENTED = ("00281221", "00281222", "00281223")
_MODALITY, _VOI, _TABLE_DESCRIPTOR, _TABLE_DATA = "00283000", "00283010", "00283002", "00283006"
_PADDING, _PADDING_LIMIT = "00280120", "00280121"
_SHARED, _EACH, _TRANSFORMATION, _WINDOW = "52009229", "52009230", "00289145", "00289132"


@dataclass(frozen=True, slots=True)
class DisplayWindow:
    """Which values are told apart, from black to white (PS3.3 C.11.2.1.2)."""

    center: float
    """In its middle, in rescaled values."""
    width: float
    """How many."""
    function: Function = "linear"
    """What happens between."""

    @property
    def is_valid(self) -> bool:
        """Whether its numbers have a meaning.

        >>> DisplayWindow(40, 400).is_valid, DisplayWindow(40, 0.5).is_valid
        (True, False)
        >>> DisplayWindow(40, 0.5, "sigmoid").is_valid
        True
        """
        wide_enough = self.width >= 1 if self.function == "linear" else self.width > 0
        return wide_enough and isfinite(self.width) and isfinite(self.center)


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of indices."""

    entries: int
    """How many there are."""
    first: int
    """The index of the first; those before it have its colour, those behind the last the last one's."""
    bits: int
    """Of each value in its tables, as the metadata says; the number of bytes decides."""
    tables: tuple[str, str, str]
    """Red, green and blue in Base64, 16 bits in little endian; some files have 8 bits as 16."""
    is_segmented: bool = False
    """Whether these are segments, out of which the tables are made (PS3.3 C.7.9)."""


@dataclass(frozen=True, slots=True)
class Table:
    """What becomes of values (PS3.3 C.11.1.1 and C.11.2.1.1)."""

    entries: int
    """How many values it has."""
    first: int
    """What is mapped to its first value; less is too, and what is behind the last to the last."""
    bits: int
    """Of each value, as the metadata says."""
    content: str
    """The values in Base64, 8 bits, or 16 in little endian."""


@dataclass(frozen=True, slots=True)
class Display:
    """How the stored pixels of one frame are shown."""

    slope: float = 1.0
    """What a stored value is multiplied by."""
    intercept: float = 0.0
    """What is added then."""
    window: DisplayWindow | None = None
    """The first of those that are said; None where none is."""
    palette: Palette | None = None
    """None where there is none."""
    no_palette: str = NO_PALETTE
    """Why there is none."""
    modality: Table | None = None
    """What stored values become instead of being rescaled."""
    voi: Table | None = None
    """What these become instead of being windowed."""
    padding: tuple[int, int] | None = None
    """Stored values, from the least to the most, that are no part of the picture (PS3.3 C.7.5.1.1.2)."""
    lack: str = ""
    """Why this can't be shown; empty if it can."""

    def through(self, window: DisplayWindow | None) -> "Display":
        """The same through a window that somebody asked for; through its own if nobody did."""
        return self if window is None else replace(self, window=window, voi=None)


def read_displays(instance: Instance) -> tuple[Display, ...]:
    """Of each frame, or one for all. Never raises: what is not well formed is as if it were not there."""
    pixel = read_image_pixel(instance) or ImagePixel(0, 0)
    palette, why = _palette(instance, pixel)
    for_all = Display(palette=palette, no_palette=why, padding=_padding(instance, pixel))
    shared = _grouped(next(iter(items_of(instance, _SHARED)), {}))
    said = (_CENTER, _WIDTH, _FUNCTION, _INTERCEPT, _SLOPE, _MODALITY, _VOI)
    plain = {tag: instance[tag] for tag in said if tag in instance}
    groups = items_of(instance, _EACH) or [{}]
    return tuple(_display(plain | shared | _grouped(group), for_all, pixel) for group in groups)


def _grouped(group: Instance) -> Instance:
    """What a functional group says of rescaling and windows (PS3.3 C.7.6.16.2.9 and 10)."""
    found: Instance = {}
    for tag in (_TRANSFORMATION, _WINDOW):
        found |= next(iter(items_of(group, tag)), {})
    return found


def _display(said: Instance, for_all: Display, pixel: ImagePixel) -> Display:
    slope, intercept = number_of(said, _SLOPE), number_of(said, _INTERCEPT)
    modality, voi = (_table(said, tag, pixel) for tag in (_MODALITY, _VOI))
    is_elsewhere = modality is None and bool(items_of(said, _MODALITY))
    return replace(
        for_all,
        slope=slope or 1.0,
        intercept=intercept or 0.0,
        window=None if voi else _window(said),
        modality=modality,
        voi=voi,
        lack="its Modality LUT is not in the metadata itself" if is_elsewhere else "",
    )


def _window(said: Instance) -> DisplayWindow | None:
    center, width = number_of(said, _CENTER), number_of(said, _WIDTH)
    if center is None or width is None:
        return None
    function = _FUNCTIONS.get(text_of(said, _FUNCTION).upper(), "linear")
    if function == "linear" and width < 1:  # has no meaning there, but here (PS3.3 C.11.2.1.3.2)
        function = "linear-exact"
    window = DisplayWindow(center, width, function)
    return window if window.is_valid else None


def _palette(instance: Instance, pixel: ImagePixel) -> tuple[Palette | None, str]:
    descriptor = _descriptor(instance, _DESCRIPTOR, is_signed=pixel.is_signed)
    if descriptor is None:
        return None, NO_PALETTE
    is_segmented = len(instance.get(_SEGMENTED[0], ())) > 1  # more than its VR
    red, green, blue = (_inline(instance, tag) for tag in (_SEGMENTED if is_segmented else _TABLES))
    if not (red and green and blue):
        kind = "segmented palette" if is_segmented else "palette"
        return None, f"the {kind}'s tables are not in the metadata themselves"
    return Palette(*descriptor, (red, green, blue), is_segmented), ""


def _table(said: Instance, tag: str, pixel: ImagePixel) -> Table | None:
    item = next(iter(items_of(said, tag)), {})
    # Only the table that stored values go through has their sign; it is told by its own where it is said.
    descriptor = _descriptor(item, _TABLE_DESCRIPTOR, is_signed=tag == _MODALITY and pixel.is_signed)
    content = _inline(item, _TABLE_DATA)
    return Table(*descriptor, content) if descriptor and content else None


def _descriptor(said: Instance, tag: str, *, is_signed: bool) -> tuple[int, int, int] | None:
    """Entries, the first value that is mapped, bits (PS3.3 C.7.6.3.1.5): each has 16 bits, and may be said
    with a sign that it has not, or without one that it has."""
    values = values_of(said, tag)
    if len(values) != 3 or not all(isinstance(value, int) and abs(value) <= 65536 for value in values):
        return None
    entries, first, bits = values
    if is_signed and first >= 32768:
        first -= 65536
    return entries % 65536 or 65536, first, bits


def _padding(instance: Instance, pixel: ImagePixel) -> tuple[int, int] | None:
    ends = [value for tag in (_PADDING, _PADDING_LIMIT) for value in values_of(instance, tag)[:1]]
    if not values_of(instance, _PADDING) or not all(isinstance(end, int) for end in ends):
        return None
    half, every = 1 << max(0, pixel.allocated - 1), 1 << pixel.allocated
    ends = [(end + half) % every - half if pixel.is_signed else end % every for end in ends]
    return min(ends), max(ends)


def _inline(instance: Instance, tag: str) -> str:
    """The binary value of an attribute in Base64, if it is in the metadata; of numbers, 16 bits each."""
    element = instance.get(tag)
    found = element.get("InlineBinary") if isinstance(element, dict) else None
    if isinstance(found, str):
        return found
    numbers = values_of(instance, tag)[:65536]
    try:
        return b64encode(struct.pack(f"<{len(numbers)}H", *(number % 65536 for number in numbers))).decode()
    except (TypeError, struct.error):
        return ""
