"""What frames and series are kept under."""

from dataclasses import dataclass, replace

from proxy.wire.picture import Picture
from proxy.wire.resource import FrameResource


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """Which series, for whom."""

    origin: str
    """Name of the origin."""
    partition: bytes
    """Digest of the credential; empty where all may read."""
    study: str
    """StudyInstanceUID."""
    series: str
    """SeriesInstanceUID."""


@dataclass(frozen=True, slots=True)
class FrameKey:
    """The name of a frame, or of what is made of it, and who may read it.

    >>> FrameKey("pacs", b"", FrameResource("1", "2", "3", 4), "x=1", "/jls/").path
    'studies/1/series/2/instances/3/jls/4?x=1'
    """

    origin: str
    """Name of the origin."""
    partition: bytes
    """Digest of the credential that fetched it; empty if all may read it."""
    resource: FrameResource
    """Study, series, instance and frame number."""
    query: str = ""
    """Query arguments that mean something to the origin only, as the viewer sent them."""
    frames_path: str = ""
    """Path segment of an alternate, such as `/jls/`; empty for the frame itself."""
    picture: Picture | None = None
    """The rendered picture of the frame that this is; None for a frame or an alternate."""

    @property
    def path(self) -> str:
        """Path and query below the base of the origin."""
        path = self.resource.path_at(self.frames_path) if self.frames_path else self.resource.path
        return f"{path}?{self.query}" if self.query else path

    @property
    def series(self) -> SeriesKey:
        """The series of the frame, for the same callers."""
        return SeriesKey(self.origin, self.partition, self.resource.study, self.resource.series)

    @property
    def plain(self) -> "FrameKey":
        """The frame itself."""
        return replace(self, frames_path="", picture=None)
