"""What there is to load, read from DICOM JSON; pure. Patients' attributes are never read."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from proxy.errors import BadResource, OriginMismatch
from proxy.wire.resource import FrameResource, parse_frame_path

MAX_FRAMES = 1000
"""Frames of a volume that are loaded: the first ones."""

Instance: TypeAlias = dict[str, Any]
"""One object of DICOM JSON: tag to value representation and values (PS3.18 F.2)."""

_INSTANCE, _TITLE, _MODALITY = "00080018", "0008103E", "00080060"
_ROWS, _COLUMNS, _FRAMES, _NUMBER = "00280010", "00280011", "00280008", "00200013"
_POSITION, _ORIENTATION = "00200032", "00200037"


class Kind(StrEnum):
    """How a viewer shows it."""

    STACK = "stack"
    """One picture at a time; here it is one frame."""
    VOLUME = "volume"
    """All frames of a series together."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is loaded and measured."""

    title: str
    """The SeriesDescription, where synthetic pictures say that they are."""
    kind: Kind
    """Stack or volume."""
    columns: int
    """Pixels across its largest frame."""
    rows: int
    """Pixels down its largest frame."""
    paths: tuple[str, ...]
    """Of its frames, in order, below the origin's base."""

    @property
    def image(self) -> str:
        """Title and size.

        >>> Subject("Knee", Kind.VOLUME, 512, 256, ("a", "b")).image
        'Knee, 512x256x2'
        """
        depth = f"x{len(self.paths)}" if self.kind is Kind.VOLUME else ""
        return f"{self.title}, {self.columns}x{self.rows}{depth}"

    @property
    def is_synthetic(self) -> bool:
        """Whether its own title says so."""
        return "synthetic" in self.title.lower()


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a series."""

    path: str
    """Below the origin's base."""
    columns: int
    """Pixels across."""
    rows: int
    """Pixels down."""


@dataclass(frozen=True, slots=True)
class Series:
    """One series with pixels."""

    title: str
    """Its description, or else its modality."""
    frames: tuple[Frame, ...]
    """In the order of the slices; at least one."""


def choose(found: list[Series]) -> tuple[Subject, ...]:
    """The stack, and the volume where a series has more than one frame. Of equals the first."""
    one, frame = max(((s, f) for s in found for f in s.frames), key=lambda pair: _pixels(pair[1]))
    stack = Subject(one.title, Kind.STACK, frame.columns, frame.rows, (frame.path,))
    deepest = max(found, key=lambda s: len(s.frames))
    if len(deepest.frames) < 2:
        return (stack,)
    largest = max(deepest.frames, key=_pixels)
    paths = tuple(frame.path for frame in deepest.frames[:MAX_FRAMES])
    return stack, Subject(deepest.title, Kind.VOLUME, largest.columns, largest.rows, paths)


def read_series(study: str, series: str, instances: list[Instance]) -> Series | None:
    """A series from its metadata; None where nothing in it has pixels."""
    pictures = [each for each in instances if _whole(each, _ROWS) and _whole(each, _COLUMNS)]
    if not pictures:
        return None
    frames = []
    for each in in_order(pictures):
        columns, rows = _whole(each, _COLUMNS), _whole(each, _ROWS)
        for number in range(1, min(MAX_FRAMES, _whole(each, _FRAMES) or 1) + 1):
            path = FrameResource(study, series, text_of(each, _INSTANCE), number).path
            frames.append(Frame(checked(path), columns, rows))
    title = text_of(pictures[0], _TITLE) or text_of(pictures[0], _MODALITY) or "untitled"
    return Series(" ".join(title.split()), tuple(frames))


def in_order(instances: list[Instance]) -> list[Instance]:
    """By position along the normal of the slices where all have one, else by InstanceNumber."""
    numbered = sorted(instances, key=lambda each: _whole(each, _NUMBER))
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


def _pixels(frame: Frame) -> int:
    return frame.columns * frame.rows


def _values(instance: Instance, tag: str) -> list[Any]:
    element = instance.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []


def text_of(instance: Instance, tag: str) -> str:
    """The first value of an attribute; empty where there is none."""
    values = _values(instance, tag)
    return str(values[0]).strip() if values and values[0] is not None else ""


def _whole(instance: Instance, tag: str) -> int:
    text = text_of(instance, tag)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _vector(instance: Instance, tag: str, length: int) -> tuple[float, ...] | None:
    try:
        numbers = tuple(float(value) for value in _values(instance, tag))
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == length else None
