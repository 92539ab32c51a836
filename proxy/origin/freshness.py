"""How long an origin allows its response to be reused (RFC 9111 4.2, 5.2.2); pure.

If a response does not say, the cache's own limit applies. The proxy is a private cache to each credential,
and a shared cache to all callers without credentials.
"""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from math import inf

from proxy.frame.identity import Lease

_DIRECTIVE = re.compile(r'([!#$%&\'*+.^_`|~0-9A-Za-z-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,;"]*)))?')
_SECONDS = re.compile(r"[0-9]+", re.ASCII)
_NEVER = Lease(own=0.0, shared=0.0)
_FOR_ONE = Lease(own=0.0, shared=0.0, is_personal=True)


def lease_of(headers: Mapping[str, str], *, is_trusted: bool = False) -> Lease:
    """The lease from the headers of a 200 or 206. If the origin `is_trusted`, only `no-store` counts.

    >>> lease_of({"cache-control": "private, max-age=60", "age": "20"})
    Lease(own=60.0, shared=0.0, is_personal=True, age=20.0, since=None)
    """
    said = directives(headers.get("cache-control", ""))
    if "no-store" in said:
        return _FOR_ONE
    if is_trusted:
        return Lease()
    varies = [name.strip() for name in headers.get("vary", "").split(",")]
    is_personal = "private" in said
    if "no-cache" in said or "*" in varies:
        return _FOR_ONE if is_personal else _NEVER
    own = _least(said["max-age"]) if "max-age" in said else _until_expires(headers)
    shared = _least(said["s-maxage"]) if "s-maxage" in said else own
    age = headers.get("age", "").partition(",")[0].strip()
    is_age = _SECONDS.fullmatch(age) is not None
    shared = 0.0 if is_personal else shared
    return Lease(own, shared, is_personal, min(float(age), 2.0**31) if is_age else 0.0)


def directives(value: str) -> dict[str, list[str]]:
    """The directives of Cache-Control, by name in lower case, each with all its values.

    >>> directives('Private="set-cookie", max-age=5')
    {'private': ['set-cookie'], 'max-age': ['5']}
    """
    found: dict[str, list[str]] = {}
    for name, quoted, plain in _DIRECTIVE.findall(value):
        found.setdefault(name.lower(), []).append(quoted or plain)
    return found


def _least(values: list[str]) -> float:
    """The least of several values; a value that is not a number counts as 0 seconds (RFC 9111 4.2.1)."""
    return min(float(value) if _SECONDS.fullmatch(value) else 0.0 for value in values)


def _until_expires(headers: Mapping[str, str]) -> float:
    """Seconds from Date to Expires; 0 if Expires is not a date (RFC 9111 5.3), infinite without Expires."""
    if "expires" not in headers:
        return inf
    try:
        left = parsedate_to_datetime(headers["expires"]) - parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return max(0.0, left.total_seconds())
