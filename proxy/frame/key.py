"""What frames and series are kept under."""

from dataclasses import dataclass

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
    """What a frame is kept under: its name, and who may read it."""

    origin: str
    """Name of the origin."""
    partition: bytes
    """Digest of the credential that fetched it; empty where all may read."""
    resource: FrameResource
    """Study, series, instance and frame number."""
    query: str = ""
    """Query arguments that are the origin's business, as they came."""
    frames_path: str = ""
    """What stands in the path instead of `/frames/`, where something does."""
