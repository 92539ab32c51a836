"""How stored pixels are shown, as the metadata of their instance says; pure.

Rescale (PS3.3 C.11.1), a window (C.11.2), a palette (C.7.6.3.1.5 and 6): each for all frames, or in the
functional groups of enhanced objects for each. Tables instead of the first two are not read.
"""

from dataclasses import dataclass
from math import isfinite
from typing import Literal

from proxy.wire.dicomjson import Instance, items_of, number_of, text_of, values_of

Function = Literal["linear", "linear-exact", "sigmoid"]

NO_PALETTE = "the metadata has no palette"

_FUNCTIONS: dict[str, Function] = {"LINEAR_EXACT": "linear-exact", "SIGMOID": "sigmoid"}
_CENTER, _WIDTH, _FUNCTION = "00281050", "00281051", "00281056"
_INTERCEPT, _SLOPE = "00281052", "00281053"
_DESCRIPTOR, _SEGMENTED = "00281101", "00281221"
_TABLES = ("00281201", "00281202", "00281203")
_SHARED, _EACH, _TRANSFORMATION, _WINDOW = "52009229", "52009230", "00289145", "00289132"


@dataclass(frozen=True, slots=True)
class Window:
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

        >>> Window(40, 400).is_valid, Window(40, 0.5).is_valid, Window(40, 0.5, "sigmoid").is_valid
        (True, False, True)
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
    """Of each value in its tables: 8 or 16."""
    tables: tuple[str, str, str]
    """Red, green and blue in Base64, 16 bits in little endian; some files have 8 bits as 16."""


@dataclass(frozen=True, slots=True)
class Display:
    """How the stored pixels of one frame are shown."""

    slope: float = 1.0
    """What a stored value is multiplied by."""
    intercept: float = 0.0
    """What is added then."""
    window: Window | None = None
    """The first of those that are said; None where none is."""
    palette: Palette | None = None
    """None where there is none."""
    no_palette: str = NO_PALETTE
    """Why there is none."""


def read_displays(instance: Instance) -> tuple[Display, ...]:
    """Of each frame, or one for all. Never raises: what is not well formed is as if it were not there."""
    palette, why = _palette(instance)
    shared = _grouped(next(iter(items_of(instance, _SHARED)), {}))
    plain = {
        tag: instance[tag] for tag in (_CENTER, _WIDTH, _FUNCTION, _INTERCEPT, _SLOPE) if tag in instance
    }
    groups = items_of(instance, _EACH) or [{}]
    return tuple(_display(plain | shared | _grouped(group), palette, why) for group in groups)


def _grouped(group: Instance) -> Instance:
    """What a functional group says of rescaling and windows (PS3.3 C.7.6.16.2.9 and 10)."""
    found: Instance = {}
    for tag in (_TRANSFORMATION, _WINDOW):
        found |= next(iter(items_of(group, tag)), {})
    return found


def _display(said: Instance, palette: Palette | None, why: str) -> Display:
    slope, intercept = number_of(said, _SLOPE), number_of(said, _INTERCEPT)
    center, width = number_of(said, _CENTER), number_of(said, _WIDTH)
    window = None
    if center is not None and width is not None:
        window = Window(center, width, _FUNCTIONS.get(text_of(said, _FUNCTION), "linear"))
    is_good = window is not None and window.is_valid
    return Display(slope or 1.0, intercept or 0.0, window if is_good else None, palette, why)


def _palette(instance: Instance) -> tuple[Palette | None, str]:
    descriptor = [value for value in values_of(instance, _DESCRIPTOR) if isinstance(value, int)]
    if len(descriptor) != 3 or not 0 <= descriptor[0] <= 65536 or descriptor[2] not in (8, 16):
        return None, NO_PALETTE
    if _SEGMENTED in instance:
        return None, "the palette is segmented, which is not read here"
    red, green, blue = (_inline(instance, tag) for tag in _TABLES)
    if not (red and green and blue):
        return None, "the palette's tables are not in the metadata themselves"
    entries, first, bits = descriptor
    return Palette(entries or 65536, first, bits, (red, green, blue)), ""  # 0 is 65,536 (PS3.3 C.7.6.3.1.5)


def _inline(instance: Instance, tag: str) -> str:
    element = instance.get(tag)
    found = element.get("InlineBinary") if isinstance(element, dict) else None
    return found if isinstance(found, str) else ""
