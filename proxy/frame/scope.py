"""Scopes, each of which names a set of frames that the proxy drops together."""

from dataclasses import dataclass

from proxy.frame.key import FrameKey
from proxy.wire.wanted import STORED


@dataclass(frozen=True, slots=True)
class FrameScope:
    """The frames of an origin, study, series or instance, or one frame, with everything made from them.

    >>> from proxy.wire.resource import FrameResource
    >>> key = FrameKey("pacs", b"", FrameResource("1", "2", "3", 4), frames_path="/jls/")
    >>> FrameScope("pacs", "1").has(key), FrameScope("pacs", "1", "9").has(key)
    (True, False)
    """

    origin: str
    """Name of the origin."""
    study: str = ""
    """StudyInstanceUID. Empty for any."""
    series: str = ""
    """SeriesInstanceUID. Empty for any."""
    instance: str = ""
    """SOPInstanceUID. Empty for any."""
    frame_number: int = 0
    """1-based frame number. 0 for any."""
    partition: bytes | None = None
    """The partition of callers that the frames are kept for. None for any."""
    frames_path: str | None = None
    """Path segment in place of `/frames/`. Empty for the frame itself, None for any."""
    query: str = ""
    """Prefix of the query."""
    form: str | None = None
    """Form of the frame (`FrameKey.form`). None for any."""

    def has(self, key: FrameKey) -> bool:
        """True if a frame is in the scope."""
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
            and self.form in (None, key.form)
        )

    def touches(self, origin: str, study: str, series: str) -> bool:
        """True if some frames of a series can be in the scope."""
        return self.origin == origin and self.study in ("", study) and self.series in ("", series)


def scope_of(key: FrameKey) -> FrameScope:
    """The smallest scope that has a key."""
    resource = key.resource
    name = (key.origin, resource.study, resource.series, resource.instance, resource.frame_number)
    return FrameScope(*name, key.partition, key.frames_path, key.query, key.form)


def revoked(key: FrameKey, status: int) -> FrameScope | None:
    """The frames that the proxy must drop after an origin answers a fetch with this status, None for none.

    After 401 or 403 the proxy drops what it keeps for the caller's partition, after 404 or 410 what it keeps
    for all callers. A status for the frame's own path also covers everything made from the frame. A status
    for an alternate covers only the alternate. Some origins say 404 of a form that they lack, so that covers
    only the form, unless it is HTJ2K or the stored one.
    """
    if status not in (401, 403, 404, 410):
        return None
    resource, partition = key.resource, key.partition if status in (401, 403) else None
    name = (key.origin, resource.study, resource.series, resource.instance, resource.frame_number, partition)
    form = key.form if key.form not in ("", STORED) and status in (404, 410) else None
    return FrameScope(*name, key.frames_path or None, key.query, form)
