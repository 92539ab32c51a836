"""What there is to load, read from DICOM JSON; pure. Patients' attributes are never read."""

from dataclasses import dataclass
from enum import StrEnum

from proxy.wire.dicomjson import (
    COLUMNS,
    FRAMES,
    INSTANCE,
    MODALITY,
    ROWS,
    TITLE,
    Instance,
    checked,
    in_order,
    text_of,
    whole_of,
)
from proxy.wire.resource import FrameResource

MAX_FRAMES = 1000
"""Frames of a volume that are loaded: the first ones."""


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
class MeasuredFrame:
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
    frames: tuple[MeasuredFrame, ...]
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
    pictures = [each for each in instances if whole_of(each, ROWS) and whole_of(each, COLUMNS)]
    if not pictures:
        return None
    frames = []
    for each in in_order(pictures):
        columns, rows = whole_of(each, COLUMNS), whole_of(each, ROWS)
        for number in range(1, min(MAX_FRAMES, whole_of(each, FRAMES) or 1) + 1):
            path = FrameResource(study, series, text_of(each, INSTANCE), number).path
            frames.append(MeasuredFrame(checked(path), columns, rows))
    title = text_of(pictures[0], TITLE) or text_of(pictures[0], MODALITY) or "untitled"
    return Series(" ".join(title.split()), tuple(frames))


def _pixels(frame: MeasuredFrame) -> int:
    return frame.columns * frame.rows
