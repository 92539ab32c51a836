"""The pattern of a DICOMweb path: the path without UIDs, numbers or anything that a caller made up."""

from collections.abc import Collection

_NAMES = {"studies": "{study}", "series": "{series}", "instances": "{instance}", "frames": "{frames}"}
_ALONE = frozenset({"metadata", "rendered", "thumbnail", "pixeldata", "bulkdata"})
REST = "*"
"""Stands for all that is not known."""


def route_of(path: str, forms: Collection[str] = ()) -> str:
    """The pattern of a path below an origin's base; `forms` are segments that may stand for `frames`.

    >>> route_of("studies/1.2/series/3/instances/4/frames/5/rendered")
    'studies/{study}/series/{series}/instances/{instance}/frames/{frames}/rendered'
    >>> route_of("studies/1.2/series"), route_of("studies/1.2/jls/7", {"jls"}), route_of("Doe^Jane")
    ('studies/{study}/series', 'studies/{study}/jls/{frames}', '*')
    """
    route, value = list[str](), ""
    for segment in path.strip("/").split("/"):
        if value:
            route.append(value)
            value = ""
        elif segment in _ALONE:
            route.append(segment)
        elif segment in _NAMES or segment in forms:
            route.append(segment)
            value = _NAMES.get(segment, "{frames}")
        else:
            return "/".join((*route, REST))
    return "/".join(route)
