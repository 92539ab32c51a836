"""Keys under which the proxy keeps frames, series and other resources of studies."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from proxy.wire.dicomweb import StudyResource
from proxy.wire.picture import Picture
from proxy.wire.resource import FrameResource
from proxy.wire.wanted import STORED


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """A series of an origin, as one partition of callers may read it."""

    origin: str
    """Name of the origin."""
    partition: bytes
    """Digest of the credential. Empty if all callers may read the series."""
    study: str
    """StudyInstanceUID."""
    series: str
    """SeriesInstanceUID."""


@dataclass(frozen=True, slots=True, eq=False)
class FrameKey:
    """The key of a frame, an alternate or a rendered picture, for one partition of callers.

    A request looks up a dozen tables by it, so its parts are one tuple, which is hashed and compared at once.

    >>> FrameKey("pacs", b"", FrameResource("1", "2", "3", 4), "x=1", "/jls/").path
    'studies/1/series/2/instances/3/jls/4?x=1'
    """

    origin: str
    """Name of the origin."""
    partition: bytes
    """Digest of the credential that fetched the frame. Empty if all callers may read it."""
    resource: FrameResource
    """Study, series, instance and 1-based frame number."""
    query: str = ""
    """Query arguments for the origin, exactly as the viewer sent them, without those of the proxy."""
    frames_path: str = ""
    """Path segment of an alternate, such as `/jls/`. Empty for the frame itself."""
    picture: Picture | None = None
    """Parameters of a rendered picture. None for a frame or an alternate."""
    form: str = ""
    """Media type of the frame, with its transfer syntax if one was asked for (`proxy.wire.wanted`).

    Empty for HTJ2K or the frame as it is stored, and for alternates and pictures.
    """
    _parts: tuple[object, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Collects the parts."""
        of = self.resource
        frame = of.study, of.series, of.instance, of.frame_number
        parts = *frame, self.origin, self.partition, self.query, self.frames_path, self.picture, self.form
        object.__setattr__(self, "_parts", parts)

    def __hash__(self) -> int:
        """That of the parts."""
        return hash(self._parts)

    def __eq__(self, other: object) -> bool:
        """True if all parts are equal."""
        return isinstance(other, FrameKey) and self._parts == other._parts

    @property
    def path(self) -> str:
        """Path and query below the origin's base URL."""
        path = self.resource.path_at(self.frames_path) if self.frames_path else self.resource.path
        return f"{path}?{self.query}" if self.query else path

    @property
    def series(self) -> SeriesKey:
        """The key of the frame's series, for the same partition."""
        return SeriesKey(self.origin, self.partition, self.resource.study, self.resource.series)

    @property
    def plain(self) -> "FrameKey":
        """The key of the frame itself, if this key is for an alternate or a picture of it."""
        return replace(self, frames_path="", picture=None)

    @property
    def any_of_series(self) -> "FrameKey":
        """The key that stands for all frames of its series, in the same form."""
        return replace(self, resource=replace(self.resource, instance="", frame_number=0), query="")

    def source(self, converted: Collection[str]) -> "FrameKey":
        """The key of the origin's own bytes that the frame, alternate or picture is, or may be made from.

        `converted` has the names of the origins whose frames the proxy makes into HTJ2K.
        """
        plain = self.plain
        is_converted = self.origin in converted and not plain.form
        return replace(plain, form=STORED) if is_converted else plain


@dataclass(frozen=True, slots=True)
class ResourceKey:
    """The key of a resource that is not a frame, for one partition of callers.

    It has all of a request that may change the response.
    """

    origin: str
    """Name of the origin."""
    partition: bytes
    """Digest of the credential. Empty if all callers may read the resource."""
    resource: StudyResource
    """The resource that the path names."""
    target: str
    """Path and query below the origin's base URL, as the viewer sent them."""
    accept: str
    """The media types that the viewer accepts."""
    others: tuple[tuple[str, str], ...] = ()
    """Headers of the request that the origin gets too."""

    @property
    def size(self) -> int:
        """Bytes of its texts, about."""
        return len(self.target) + len(self.accept) + sum(len(n) + len(v) for n, v in self.others)
