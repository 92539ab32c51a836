"""Evaluates a request's conditions and range for a stored representation (RFC 9110 13 and 14).

Starlette answers ranges. This module decides what has to be decided, or removed, before that.
"""

import re
from email.utils import parsedate_to_datetime

from starlette.datastructures import Headers

_TAG = re.compile(r'(?:W/)?("[^"]*")')
_ONE = r"(?:[0-9]{1,99}-[0-9]{0,99}|-[0-9]{1,99})"
_RANGES = re.compile(rf"bytes=[ \t]*{_ONE}[ \t]*(?:,[ \t]*{_ONE}[ \t]*)*", re.ASCII | re.IGNORECASE)


def is_not_modified(request: Headers, etag: str, last_modified: str) -> bool:
    """True if the viewer already holds this representation, so that the response is 304 (RFC 9110 13.2.2)."""
    tags = request.get("if-none-match")
    if tags is not None:
        return tags.strip() == "*" or etag in _TAG.findall(tags)
    since = request.get("if-modified-since")
    if since is None:
        return False
    try:
        return parsedate_to_datetime(last_modified) <= parsedate_to_datetime(since)
    except (TypeError, ValueError):
        return False


def is_range_to_answer(method: str, value: str) -> bool:
    """True if the origin must evaluate the Range: a well-formed one in bytes, on a GET (RFC 9110 14.2).

    >>> is_range_to_answer("GET", "bytes=0-65535")
    True
    >>> is_range_to_answer("HEAD", "bytes=0-65535") or is_range_to_answer("GET", "pixels=0-5")
    False
    """
    if method != "GET" or _RANGES.fullmatch(value.strip()) is None:
        return False
    ends = (one.strip().partition("-") for one in value.partition("=")[2].split(","))
    return all(not first or not last or int(first) <= int(last) for first, _, last in ends)
