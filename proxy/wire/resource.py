"""The name of a frame, from the path of a URL and back (PS3.18 10.1.1, table 10.4.1-1).

Paths are taken as they came over the wire: nothing is unquoted or normalised, so two spellings
never share a key, and a spelling that is not the plain one is refused. Some archives have UIDs with letters,
`-` and `_`, which the standard does not know. They are kept as they are spelled: each is one segment, which
can neither climb nor be unquoted into something else.
"""

import re
from dataclasses import dataclass

from proxy.errors import BadResource

MAX_UID = 64
"""Characters of a UID (PS3.5 9.1)."""

MAX_LISTED = 1000
"""Frames of one request."""

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
    """One frame of one instance.

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
        """The path below the origin's base, without a leading slash."""
        return self.path_at("/frames/")

    def path_at(self, frames_path: str) -> str:
        """The same with something else instead of `/frames/`."""
        instance = f"studies/{self.study}/series/{self.series}/instances/{self.instance}"
        return f"{instance}{frames_path}{self.frame_number}"


def is_uid(text: str) -> bool:
    """Whether this may stand for a UID in a path.

    >>> is_uid("1.2.ABC-7_x"), is_uid("1..2"), is_uid("1%2f2")
    (True, False, False)
    """
    return len(text) <= MAX_UID and _UID.fullmatch(text) is not None


def is_standard_uid(text: str) -> bool:
    """Whether this is a UID by the standard (PS3.5 9.1), but for zeros that lead.

    >>> is_standard_uid("1.2.840"), is_standard_uid("1.2.ABC-7_x")
    (True, False)
    """
    return len(text) <= MAX_UID and _STANDARD_UID.fullmatch(text) is not None


def parse_series_metadata_path(path: str) -> tuple[str, str] | None:
    """Study and series whose metadata a path names (PS3.18 10.4.1-1); None where it is another path."""
    match = _SERIES_METADATA.fullmatch(path)
    if match is None or not all(map(is_uid, match.groups())):
        return None
    return match[1], match[2]


@dataclass(frozen=True, slots=True)
class RenderedResource:
    """A picture of a frame, or of a whole instance or series."""

    study: str
    """StudyInstanceUID."""
    series: str
    """SeriesInstanceUID."""
    instance: str
    """SOPInstanceUID; empty for one of the series."""
    frame_number: int
    """1-based, as in the URL; 0 for one of the instance or the series."""
    is_thumbnail: bool
    """Whether a small one is wanted."""


def parse_rendered_path(path: str) -> RenderedResource | None:
    """The rendered picture or the thumbnail that a path names (PS3.18 10.4.1.1.3, 10.4.1.1.4); else None.

    That is also for several frames, and for a study. Raises `BadResource`.

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
    """Whether this is meant as a frame, well spelled or not."""
    return _FRAME_PATH.fullmatch(path) is not None


def split_frames_path(path: str) -> tuple[str, str]:
    """The path of a frame, and what stands in it instead of `/frames/`; empty where it is no such path.

    >>> split_frames_path("studies/1/series/2/instances/3/jls/4")
    ('studies/1/series/2/instances/3/frames/4', '/jls/')
    """
    match = _OTHER_PATH.fullmatch(path)
    return (f"{match[1]}/frames/{match[3]}", match[2]) if match else (path, "")


def parse_frames_path(path: str) -> tuple[FrameResource, ...]:
    """The frames that a path names, several with commas between (PS3.18 10.4.1.1.6), in that order.

    Raises `BadResource`.

    >>> [r.frame_number for r in parse_frames_path("studies/1/series/2/instances/3/frames/2,1")]
    [2, 1]
    """
    before, slash, numbers = path.rpartition("/")
    listed = numbers.split(",")
    if len(listed) > MAX_LISTED:
        raise BadResource(f"frames: {MAX_LISTED} in one request at most")
    return tuple(parse_frame_path(f"{before}{slash}{number}") for number in listed)


def parse_frame_path(path: str) -> FrameResource:
    """The frame that a path names. Raises `BadResource` with what is wrong and where."""
    match = _FRAME_PATH.fullmatch(path)
    if match is None:
        raise BadResource("not the path of a frame: studies/…/series/…/instances/…/frames/N")
    study, series, instance, number = match.groups()
    for what, uid in (("study", study), ("series", series), ("instance", instance)):
        if not is_uid(uid):
            words = f"digits, letters, - and _ with single dots between, {MAX_UID} at most"
            raise BadResource(f"{what}: not a UID, which has {words}")
    if _FRAME_NUMBER.fullmatch(number) is None:
        raise BadResource("frames: not a frame number, which is 1 or more, in plain digits")
    return FrameResource(study, series, instance, int(number))
