"""The studies that the page offers, as the origin describes them: frames, and how their pixels are shown."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from proxy.errors import UnknownName
from proxy.measure.opening import lists_of
from proxy.measure.series import Kind, read_series
from proxy.measure.server import Server
from proxy.wire.dicomjson import INSTANCE, SERIES, STUDY, checked, text_of
from proxy.wire.display import Display, read_displays
from proxy.wire.pixels import ImagePixel, read_image_pixel
from proxy.wire.resource import FrameResource, parse_frame_path

MOST_SERIES = 50
"""Series to offer; later ones are left out."""


@dataclass(frozen=True, slots=True)
class PageSeries:
    """One series that the page can load."""

    title: str
    """Title for people; it says if pictures are synthetic."""
    study: str
    """StudyInstanceUID."""
    columns: int
    """Pixel columns of the first frame."""
    rows: int
    """Pixel rows of the first frame."""
    paths: tuple[str, ...]
    """Paths of the frames in slice order, below the origin's base."""

    @property
    def kind(self) -> Kind:
        """A volume if there are several frames."""
        return Kind.VOLUME if len(self.paths) > 1 else Kind.STACK

    def described(self) -> dict[str, Any]:
        """Returns the series for the page."""
        return {
            "title": self.title,
            "study": self.study,
            "kind": self.kind,
            "columns": self.columns,
            "rows": self.rows,
            "frames": self.paths,
            "lists": lists_of(self.paths[0]),
        }


@dataclass(frozen=True, slots=True)
class Shown:
    """How one instance is shown."""

    pixel: ImagePixel
    """How pixels are stored."""
    displays: tuple[Display, ...]
    """How pixels are displayed: one for each frame, or one for all."""

    def display(self, frame_number: int) -> Display:
        """Returns the display of a frame, 1-based."""
        return self.displays[min(frame_number, len(self.displays)) - 1]


@dataclass(frozen=True, slots=True)
class Studies:
    """All that the page offers."""

    series: tuple[PageSeries, ...]
    """The series: those with the most pixels first."""
    instances: Mapping[str, Shown]
    """How each instance is shown, by SOPInstanceUID."""

    def shown(self, path: str) -> tuple[ImagePixel, Display]:
        """Returns how the frame at a path is shown. Raises `BadResource` or `UnknownName`."""
        frame = parse_frame_path(path)
        if frame.instance not in self.instances:
            raise UnknownName("the page offers no such frame")
        shown = self.instances[frame.instance]
        return shown.pixel, shown.display(frame.frame_number)


async def read_studies(server: Server) -> Studies:
    """Reads all series with pictures. Raises `OriginError`; nothing found is no error."""
    found: list[PageSeries] = []
    instances: dict[str, Shown] = {}
    async for study, uid, metadata in _metadata(server):
        series = read_series(study, uid, metadata)
        if series is None:
            continue
        first = series.frames[0]
        paths = tuple(frame.path for frame in series.frames)
        found.append(PageSeries(series.title, study, first.columns, first.rows, paths))
        for each in metadata:
            if (pixel := read_image_pixel(each)) is not None:
                instances[text_of(each, INSTANCE)] = Shown(pixel, read_displays(each))
    found.sort(key=lambda each: (each.kind is Kind.VOLUME, -each.columns * each.rows))
    return Studies(tuple(found), instances)


async def _metadata(server: Server) -> AsyncIterator[tuple[str, str, list[dict[str, Any]]]]:
    """Yields study, series and the metadata of each series."""
    left = MOST_SERIES
    for study in await _uids(server, "studies", STUDY):
        for series in await _uids(server, f"studies/{study}/series", SERIES):
            if (left := left - 1) < 0:
                return
            yield study, series, await server.get_json(f"studies/{study}/series/{series}/metadata")


async def _uids(server: Server, path: str, tag: str) -> list[str]:
    uids = [uid for item in await server.get_json(path) if (uid := text_of(item, tag))]
    for uid in uids:
        checked(FrameResource(uid, uid, uid, 1).path)
    return uids
