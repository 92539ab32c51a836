"""Parses the path of a frame's URL and builds it again (PS3.18 10.1.1, table 10.4.1-1).

Paths are used as received, neither unquoted nor normalised. Two spellings never share a key, and only the
plain spelling is accepted. Some archives have UIDs with letters, `-` and `_`, which the standard does not
allow. They are kept as spelled: each is one path segment, which can neither climb nor be unquoted into
something else.
"""

import re
from dataclasses import dataclass

from proxy.errors import BadResource

MAX_UID = 64
"""Characters of a UID (PS3.5 9.1)."""

MAX_LISTED = 1000
"""Maximum number of frames in one request."""

_STANDARD_UID = re.compile(r"[0-9]+(\.[0-9]+)*", re.ASCII)
_UID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]*(\.[0-9A-Za-z_-]+)*", re.ASCII)
_FRAME_NUMBER = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)
_FRAME_PATH = re.compile(r"studies/([^/]*)/series/([^/]*)/instances/([^/]*)/frames/([^/]*)", re.ASCII)

_OTHER_PATH = re.compile(r"(studies/[^/]*/series/[^/]*/instances/[^/]*)(/[^/]*/)([^/]*)", re.ASCII)
_RENDERED = re.compile(
    r"studies/([^/]*)/series/([^/]*)(?:/instances/([^/]*)(?:/frames/([^/,]*))?)?/(rendered|thumbnail)",
    re.ASCII,
)
_SERIES_METADATA = re.compile(r"studies/([^/]*)/series/([^/]*)/metadata", re.ASCII)


@dataclass(frozen=True, slots=True)
class FrameResource:
    """The name of one frame.

    >>> parse_frame_path("studies/1.2/series/1.3/instances/1.4/frames/1").frame_number
    1
    """

    study: str
    """StudyInstanceUID."""
    series: str
    """SeriesInstanceUID."""
    instance: str
    """SOPInstanceUID."""
    frame_number: int
    """1-based, as in the URL."""

    @property
    def path(self) -> str:
        """Returns the path below the origin's base, without a leading slash."""
        return self.path_at("/frames/")

    def path_at(self, frames_path: str) -> str:
        """Returns the path with `frames_path` in place of `/frames/`."""
        instance = f"studies/{self.study}/series/{self.series}/instances/{self.instance}"
        return f"{instance}{frames_path}{self.frame_number}"


def is_uid(text: str) -> bool:
    """True if the text is accepted as a UID in a path.

    >>> is_uid("1.2.ABC-7_x"), is_uid("1..2"), is_uid("1%2f2")
    (True, False, False)
    """
    return len(text) <= MAX_UID and _UID.fullmatch(text) is not None


def is_standard_uid(text: str) -> bool:
    """True if the text is a UID by the standard (PS3.5 9.1); leading zeros are tolerated.

    >>> is_standard_uid("1.2.840"), is_standard_uid("1.2.ABC-7_x")
    (True, False)
    """
    return len(text) <= MAX_UID and _STANDARD_UID.fullmatch(text) is not None


def parse_series_metadata_path(path: str) -> tuple[str, str] | None:
    """Returns study and series of a series metadata path (PS3.18 10.4.1-1); None for another path."""
    match = _SERIES_METADATA.fullmatch(path)
    if match is None or not all(map(is_uid, match.groups())):
        return None
    return match[1], match[2]


@dataclass(frozen=True, slots=True)
class RenderedResource:
    """The name of a rendered picture: of a frame, an instance or a series."""

    study: str
    """StudyInstanceUID."""
    series: str
    """SeriesInstanceUID."""
    instance: str
    """SOPInstanceUID; empty if the path names the series."""
    frame_number: int
    """1-based, as in the URL; 0 if the path names the instance or the series."""
    is_thumbnail: bool
    """True if the path names a thumbnail."""


def parse_rendered_path(path: str) -> RenderedResource | None:
    """Parses the path of a rendered picture or thumbnail (PS3.18 10.4.1.1.3, 10.4.1.1.4).

    Returns None for another path, and also for a list of frames or a study. Raises `BadResource` if a UID or
    a frame number is malformed.

    >>> parse_rendered_path("studies/1/series/2/instances/3/thumbnail").frame_number
    0
    """
    match = _RENDERED.fullmatch(path)
    if match is None:
        return None
    study, series, instance, number, kind = match.groups()
    checked = "0" if instance is None else instance, "1" if number is None else number
    frame = parse_frame_path("studies/{}/series/{}/instances/{}/frames/{}".format(study, series, *checked))
    frame_number = frame.frame_number if number else 0
    return RenderedResource(study, series, instance or "", frame_number, kind == "thumbnail")


def is_frame_path(path: str) -> bool:
    """True if the path has the form of a frame's, even if its parts are malformed."""
    return _FRAME_PATH.fullmatch(path) is not None


def split_frames_path(path: str) -> tuple[str, str]:
    """Splits a path with another segment in place of `/frames/` into the frame's path and that segment.

    The segment is empty if the path has another form.

    >>> split_frames_path("studies/1/series/2/instances/3/jls/4")
    ('studies/1/series/2/instances/3/frames/4', '/jls/')
    """
    match = _OTHER_PATH.fullmatch(path)
    return (f"{match[1]}/frames/{match[3]}", match[2]) if match else (path, "")


def parse_frames_path(path: str) -> tuple[FrameResource, ...]:
    """Parses a path that names one frame, or several separated by commas, in that order (PS3.18 10.4.1.1.6).

    Raises `BadResource` if the path is malformed.

    >>> [r.frame_number for r in parse_frames_path("studies/1/series/2/instances/3/frames/2,1")]
    [2, 1]
    """
    before, slash, numbers = path.rpartition("/")
    listed = numbers.split(",")
    if len(listed) > MAX_LISTED:
        raise BadResource(f"frames: at most {MAX_LISTED} in one request")
    return tuple(parse_frame_path(f"{before}{slash}{number}") for number in listed)


def parse_frame_path(path: str) -> FrameResource:
    """Parses a path that names one frame. Raises `BadResource`, which says what is wrong and where."""
    match = _FRAME_PATH.fullmatch(path)
    if match is None:
        raise BadResource("a frame's path is studies/…/series/…/instances/…/frames/N")
    study, series, instance, number = match.groups()
    for what, uid in (("study", study), ("series", series), ("instance", instance)):
        if not is_uid(uid):
            raise BadResource(
                f"{what}: a UID has at most {MAX_UID} digits, letters, - and _, with single dots between"
            )
    if _FRAME_NUMBER.fullmatch(number) is None:
        raise BadResource("frames: a frame number is 1 or more, in plain digits")
    return FrameResource(study, series, instance, int(number))
