"""Reads from DICOM JSON which frames there are to load. Pure. Patient attributes are never read."""

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
"""Frames of a volume to load; later frames are ignored."""


class Kind(StrEnum):
    """How a viewer shows frames."""

    STACK = "stack"
    """One picture at a time; measured with one frame."""
    VOLUME = "volume"
    """All frames of a series together."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The frames to load and measure."""

    title: str
    """SeriesDescription; it says if pictures are synthetic."""
    kind: Kind
    """Stack or volume."""
    columns: int
    """Pixel columns of the largest frame."""
    rows: int
    """Pixel rows of the largest frame."""
    paths: tuple[str, ...]
    """Paths of the frames in order, below the origin's base."""

    @property
    def image(self) -> str:
        """Returns title and size.

        >>> Subject("Knee", Kind.VOLUME, 512, 256, ("a", "b")).image
        'Knee, 512x256x2'
        """
        depth = f"x{len(self.paths)}" if self.kind is Kind.VOLUME else ""
        return f"{self.title}, {self.columns}x{self.rows}{depth}"

    @property
    def is_synthetic(self) -> bool:
        """True if the title says that the pictures are synthetic."""
        return "synthetic" in self.title.lower()


@dataclass(frozen=True, slots=True)
class MeasuredFrame:
    """One frame of a series."""

    path: str
    """Path below the origin's base."""
    columns: int
    """Pixel columns."""
    rows: int
    """Pixel rows."""


@dataclass(frozen=True, slots=True)
class Series:
    """One series with pixels."""

    title: str
    """SeriesDescription, or else Modality."""
    frames: tuple[MeasuredFrame, ...]
    """At least one frame, in slice order."""


def choose(found: list[Series]) -> tuple[Subject, ...]:
    """Returns the stack, and the volume if a series has several frames. The first one wins a tie."""
    one, frame = max(((s, f) for s in found for f in s.frames), key=lambda pair: _pixels(pair[1]))
    stack = Subject(one.title, Kind.STACK, frame.columns, frame.rows, (frame.path,))
    deepest = max(found, key=lambda s: len(s.frames))
    if len(deepest.frames) < 2:
        return (stack,)
    largest = max(deepest.frames, key=_pixels)
    paths = tuple(frame.path for frame in deepest.frames[:MAX_FRAMES])
    return stack, Subject(deepest.title, Kind.VOLUME, largest.columns, largest.rows, paths)


def read_series(study: str, series: str, instances: list[Instance]) -> Series | None:
    """Reads a series from its metadata; None if no instance has pixels."""
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
