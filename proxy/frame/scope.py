"""Names that stand for many frames: what is held under them is dropped together."""

from dataclasses import dataclass

from proxy.frame.key import FrameKey


@dataclass(frozen=True, slots=True)
class FrameScope:
    """All that is made of the frames of an origin, a study, a series, an instance, or of one frame.

    >>> from proxy.wire.resource import FrameResource
    >>> key = FrameKey("pacs", b"", FrameResource("1", "2", "3", 4), frames_path="/jls/")
    >>> FrameScope("pacs", "1").has(key), FrameScope("pacs", "1", "9").has(key)
    (True, False)
    """

    origin: str
    """Name of the origin."""
    study: str = ""
    """StudyInstanceUID; empty for any."""
    series: str = ""
    """SeriesInstanceUID; empty for any."""
    instance: str = ""
    """SOPInstanceUID; empty for any."""
    frame_number: int = 0
    """1-based; 0 for any."""
    partition: bytes | None = None
    """For whom it is held; None for anybody."""
    frames_path: str | None = None
    """What stands in the path instead of `/frames/`; None for anything."""
    query: str = ""
    """How the query begins."""

    def has(self, key: FrameKey) -> bool:
        """Whether a frame is among them."""
        resource = key.resource
        return (
            self.origin == key.origin
            and self.study in ("", resource.study)
            and self.series in ("", resource.series)
            and self.instance in ("", resource.instance)
            and self.frame_number in (0, resource.frame_number)
            and self.partition in (None, key.partition)
            and self.frames_path in (None, key.frames_path)
            and key.query.startswith(self.query)
        )

    def touches(self, origin: str, study: str, series: str) -> bool:
        """Whether a series has some of them."""
        return self.origin == origin and self.study in ("", study) and self.series in ("", series)


def revoked(key: FrameKey, status: int) -> FrameScope | None:
    """What an origin takes back that answers a fetch of a frame by this status; None is nothing.

    Who may not read it loses what is held for that credential; what is gone is gone for all. The frame's own
    path speaks for all that is made of it, an alternate's only for itself.
    """
    if status not in (401, 403, 404, 410):
        return None
    resource, partition = key.resource, key.partition if status in (401, 403) else None
    name = (key.origin, resource.study, resource.series, resource.instance, resource.frame_number, partition)
    return FrameScope(*name, key.frames_path or None, key.query)
