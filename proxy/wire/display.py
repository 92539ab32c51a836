"""Reads from an instance's metadata how its stored pixels are displayed. Pure.

Stored values are rescaled or mapped through a table (PS3.3 C.11.1). The result is windowed or mapped through
a second table (C.11.2), or stored values index a palette (C.7.6.3.1.5, C.7.6.3.1.6, C.7.9). Each of these
applies to all frames. In enhanced objects, functional groups can give a frame its own.
"""

import struct
from base64 import b64encode
from dataclasses import dataclass, replace
from math import isfinite
from typing import Literal

from proxy.wire.dicomjson import FRAMES, Instance, items_of, number_of, text_of, values_of, whole_of
from proxy.wire.pixels import ImagePixel, read_image_pixel

Function = Literal["linear", "linear-exact", "sigmoid"]

MOST_ENTRIES = 65536
"""Entries of a table (PS3.3 C.7.6.3.1.5)."""
MOST_INLINE = 4 * MOST_ENTRIES
"""Characters of a table in Base64: 16 bits an entry take 174,764. A longer one counts as absent."""
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
DISPLAYING = frozenset(
    {
        *(
            _CENTER,
            _WIDTH,
            _FUNCTION,
            _INTERCEPT,
            _SLOPE,
            _DESCRIPTOR,
            *_TABLES,
            *_SEGMENTED,
            _MODALITY,
            _VOI,
        ),
        *(_TABLE_DESCRIPTOR, _TABLE_DATA, _PADDING, _PADDING_LIMIT),
        *(_SHARED, _EACH, _TRANSFORMATION, _WINDOW),
    }
)
"""All attributes that are read here, beside those of `ImagePixel`."""


@dataclass(frozen=True, slots=True)
class DisplayWindow:
    """The range of values that is shown between black and white (PS3.3 C.11.2.1.2)."""

    center: float
    """The middle of the range, in rescaled values."""
    width: float
    """The width of the range, in rescaled values."""
    function: Function = "linear"
    """The curve from black to white."""

    @property
    def is_valid(self) -> bool:
        """True if the numbers describe a window.

        >>> DisplayWindow(40, 400).is_valid, DisplayWindow(40, 0.5).is_valid
        (True, False)
        >>> DisplayWindow(40, 0.5, "sigmoid").is_valid
        True
        """
        wide_enough = self.width >= 1 if self.function == "linear" else self.width > 0
        return wide_enough and isfinite(self.width) and isfinite(self.center)


@dataclass(frozen=True, slots=True)
class Palette:
    """A palette: maps an index to a colour."""

    entries: int
    """Number of colours."""
    first: int
    """The index of the first colour. Lower indices get the first colour, higher ones the last."""
    bits: int
    """Bits of each table value, as the metadata says; the number of bytes decides."""
    tables: tuple[str, str, str]
    """Red, green and blue in Base64, as 16-bit little endian; some files store 8 bits in 16."""
    is_segmented: bool = False
    """True if the tables are segmented and have to be expanded first (PS3.3 C.7.9)."""


@dataclass(frozen=True, slots=True)
class Table:
    """A lookup table for values (PS3.3 C.11.1.1 and C.11.2.1.1)."""

    entries: int
    """Number of values in the table."""
    first: int
    """The input that maps to the first value. Lower inputs map to it too, higher ones to the last."""
    bits: int
    """Bits of each value, as the metadata says."""
    content: str
    """The values in Base64: 8-bit, or 16-bit little endian."""


@dataclass(frozen=True, slots=True)
class Display:
    """How one frame's stored pixels are displayed."""

    slope: float = 1.0
    """A stored value is multiplied by this."""
    intercept: float = 0.0
    """This is added to the product."""
    window: DisplayWindow | None = None
    """The first window in the metadata; None if there is none."""
    palette: Palette | None = None
    """The palette; None if there is none that can be used."""
    no_palette: str = NO_PALETTE
    """Why `palette` is None."""
    modality: Table | None = None
    """Modality LUT; replaces rescaling."""
    voi: Table | None = None
    """VOI LUT; replaces the window."""
    padding: tuple[int, int] | None = None
    """The lowest and the highest stored value that are padding, not picture (PS3.3 C.7.5.1.1.2)."""
    lack: str = ""
    """Why the frame can't be displayed; empty if it can."""

    def through(self, window: DisplayWindow | None) -> "Display":
        """Returns the same display with the requested window; unchanged if none was requested."""
        return self if window is None else replace(self, window=window, voi=None)


def read_displays(instance: Instance) -> tuple[Display, ...]:
    """Returns one display per frame, or one for all. Never raises; malformed attributes are ignored."""
    pixel = read_image_pixel(instance) or ImagePixel(0, 0)
    palette, why = _palette(instance, pixel)
    for_all = Display(palette=palette, no_palette=why, padding=_padding(instance, pixel))
    shared = _grouped(next(iter(items_of(instance, _SHARED)), {}))
    said = (_CENTER, _WIDTH, _FUNCTION, _INTERCEPT, _SLOPE, _MODALITY, _VOI)
    plain = {tag: instance[tag] for tag in said if tag in instance}
    groups = items_of(instance, _EACH)[: whole_of(instance, FRAMES) or None] or [{}]
    return tuple(_display(plain | shared | _grouped(group), for_all, pixel) for group in groups)


def _grouped(group: Instance) -> Instance:
    """Merges the rescale and window items of a functional group (PS3.3 C.7.6.16.2.9 and 10)."""
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
        lack="the metadata does not contain the Modality LUT's table" if is_elsewhere else "",
    )


def _window(said: Instance) -> DisplayWindow | None:
    center, width = number_of(said, _CENTER), number_of(said, _WIDTH)
    if center is None or width is None:
        return None
    function = _FUNCTIONS.get(text_of(said, _FUNCTION).upper(), "linear")
    if function == "linear" and width < 1:  # only LINEAR_EXACT defines it (PS3.3 C.11.2.1.3.2)
        function = "linear-exact"
    window = DisplayWindow(center, width, function)
    return window if window.is_valid else None


def _palette(instance: Instance, pixel: ImagePixel) -> tuple[Palette | None, str]:
    descriptor = _descriptor(instance, _DESCRIPTOR, is_signed=pixel.is_signed)
    if descriptor is None:
        return None, NO_PALETTE
    segmented = instance.get(_SEGMENTED[0])
    is_segmented = isinstance(segmented, dict) and len(segmented) > 1  # more than its VR
    red, green, blue = (_inline(instance, tag) for tag in (_SEGMENTED if is_segmented else _TABLES))
    if not (red and green and blue):
        kind = "segmented palette" if is_segmented else "palette"
        return None, f"the metadata does not contain the {kind}'s tables"
    return Palette(*descriptor, (red, green, blue), is_segmented), ""


def _table(said: Instance, tag: str, pixel: ImagePixel) -> Table | None:
    item = next(iter(items_of(said, tag)), {})
    # Only a modality table takes stored values, so only its first input can be negative. The sign comes from
    # the PixelRepresentation of the instance.
    descriptor = _descriptor(item, _TABLE_DESCRIPTOR, is_signed=tag == _MODALITY and pixel.is_signed)
    content = _inline(item, _TABLE_DATA)
    return Table(*descriptor, content) if descriptor and content else None


def _descriptor(said: Instance, tag: str, *, is_signed: bool) -> tuple[int, int, int] | None:
    """Returns entries, first mapped value and bits (PS3.3 C.7.6.3.1.5).

    Each number has 16 bits. Some origins write an unsigned number as signed, or the reverse.
    """
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
    """Returns an attribute's binary value in Base64; empty if absent. Numbers become 16 bits each."""
    element = instance.get(tag)
    found = element.get("InlineBinary") if isinstance(element, dict) else None
    if isinstance(found, str):
        return found if len(found) <= MOST_INLINE else ""
    numbers = values_of(instance, tag)[:MOST_ENTRIES]
    try:
        return b64encode(struct.pack(f"<{len(numbers)}H", *(number % 65536 for number in numbers))).decode()
    except (TypeError, struct.error):
        return ""
