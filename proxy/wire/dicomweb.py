"""The resources of a study that are not frames, by their paths (PS3.18 10.1.1, 10.4.1 and 10.6.1). Pure.

Only plain spellings are recognised, as for frames. A request for anything else is forwarded as it is.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from proxy.wire.resource import is_uid


class Kind(StrEnum):
    """The kind of a resource."""

    SEARCH = "search"
    """Series or instances of a study, or the whole archive, as a list."""
    METADATA = "metadata"
    """The attributes of a study, series or instance."""
    PICTURE = "picture"
    """A rendered picture or a thumbnail."""
    BULKDATA = "bulkdata"
    """A value that the metadata only names."""
    INSTANCES = "instances"
    """Whole instances."""

    @property
    def is_text(self) -> bool:
        """True if its bodies are JSON or XML, which compression makes much smaller."""
        return self in (Kind.SEARCH, Kind.METADATA)


@dataclass(frozen=True, slots=True)
class StudyResource:
    """The name of a resource, without its query."""

    kind: Kind
    """Its kind."""
    study: str = ""
    """StudyInstanceUID; empty if it is a search of the whole archive."""
    series: str = ""
    """SeriesInstanceUID; empty if it is of the study."""
    instance: str = ""
    """SOPInstanceUID; empty if it is of the study or the series."""

    def touches(self, study: str, series: str, instance: str) -> bool:
        """True if a change of these may change the resource; an empty UID is any."""
        pairs = ((self.study, study), (self.series, series), (self.instance, instance))
        return all(not mine or not theirs or mine == theirs for mine, theirs in pairs)

    def is_within(self, other: "StudyResource") -> bool:
        """True if it is of the same study, series or instance, or of a part of it."""
        pairs = ((self.study, other.study), (self.series, other.series), (self.instance, other.instance))
        return all(not theirs or mine == theirs for mine, theirs in pairs)


_LEVELS = r"studies/(?P<study>[^/]+)(?:/series/(?P<series>[^/]+)(?:/instances/(?P<instance>[^/]+))?)?"
_KINDS = (
    (Kind.METADATA, re.compile(rf"{_LEVELS}/metadata", re.ASCII)),
    (Kind.PICTURE, re.compile(rf"{_LEVELS}(?:/frames/[0-9]+)?/(?:rendered|thumbnail)", re.ASCII)),
    (Kind.BULKDATA, re.compile(rf"{_LEVELS}/bulk(?:data)?(?:/.*)?", re.ASCII)),
    (Kind.INSTANCES, re.compile(_LEVELS, re.ASCII)),
    (Kind.SEARCH, re.compile(r"studies/(?P<study>[^/]+)/(?:series|instances)", re.ASCII)),
    (Kind.SEARCH, re.compile(r"studies/(?P<study>[^/]+)/series/(?P<series>[^/]+)/instances", re.ASCII)),
)
_SEARCHES = frozenset({"studies", "series", "instances"})


def parse_study_path(path: str) -> StudyResource | None:
    """The resource that a path below the origin names; None if it names a frame or something else.

    >>> parse_study_path("studies/1.2/series/3/metadata")
    StudyResource(kind=<Kind.METADATA: 'metadata'>, study='1.2', series='3', instance='')
    >>> parse_study_path("studies"), parse_study_path("studies/1/series/2/instances/3/frames/1")
    (StudyResource(kind=<Kind.SEARCH: 'search'>, study='', series='', instance=''), None)
    """
    if path in _SEARCHES:
        return StudyResource(Kind.SEARCH)
    for kind, pattern in _KINDS:
        match = pattern.fullmatch(path)
        if match is not None:
            uids = {level: uid for level, uid in match.groupdict().items() if uid is not None}
            return StudyResource(kind, **uids) if all(map(is_uid, uids.values())) else None
    return None
