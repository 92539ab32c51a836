"""How long an origin lets its response be reused, and how a 304 renews that (RFC 9111 4.2, 4.3, 5.2.2); pure.

If a response does not say, the cache's own limit applies. The proxy is a private cache to each credential,
and a shared cache to all callers without credentials.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime
from math import inf

from proxy.frame.identity import Condition, Lease

_DIRECTIVE = re.compile(r'([!#$%&\'*+.^_`|~0-9A-Za-z-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,;"]*)))?')
_SECONDS = re.compile(r"[0-9]+", re.ASCII)
_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]*"')
_NO_STORE = Lease(own=0.0, shared=0.0, is_personal=True, is_storable=False, if_error=0.0)
_NEVER_STALE = frozenset({"must-revalidate", "proxy-revalidate", "s-maxage", "no-cache"})
"""With these directives a stale response is not sent, even if the origin is down (RFC 9111 4.2.4)."""


def lease_of(
    headers: Mapping[str, str], condition: Condition | None = None, *, is_trusted: bool = False
) -> Lease:
    """The lease from the headers of a 200 or 206. If the origin `is_trusted`, only `no-store` counts.

    The `condition` revalidates the response.

    >>> lease = lease_of({"cache-control": "private, max-age=60, stale-if-error=600"})
    >>> lease.own, lease.shared, lease.is_personal, lease.if_error
    (60.0, 0.0, True, 600.0)
    """
    said = directives(headers.get("cache-control", ""))
    if "no-store" in said:
        return replace(_NO_STORE, condition=condition)
    if is_trusted:
        return Lease(condition=condition)
    if_error = _if_error(said)
    varies = [name.strip() for name in headers.get("vary", "").split(",")]
    is_personal = "private" in said
    if "no-cache" in said or "*" in varies:
        # A response that varies by everything fits no other request, not even revalidated (RFC 9111 4.1).
        is_storable = "*" not in varies
        return Lease(0.0, 0.0, is_personal, is_storable=is_storable, condition=condition, if_error=if_error)
    own = _least(said["max-age"]) if "max-age" in said else _until_expires(headers)
    shared = _least(said["s-maxage"]) if "s-maxage" in said else own
    age = headers.get("age", "").partition(",")[0].strip()
    is_age = _SECONDS.fullmatch(age) is not None
    shared = 0.0 if is_personal else shared
    age_now = min(float(age), 2.0**31) if is_age else 0.0
    return Lease(own, shared, is_personal, age_now, condition=condition, if_error=if_error)


def condition_of(headers: Mapping[str, str], validator: str | None) -> Condition | None:
    """The condition that revalidates a response (RFC 9111 4.3.1). `validator` is its strong one, if any.

    >>> condition_of({"etag": 'W/"a"'}, None)
    Condition(name='if-none-match', value='W/"a"')
    """
    etag = headers.get("etag", "")
    if etag:
        return Condition("if-none-match", etag) if _ETAG.fullmatch(etag) else None
    return Condition("if-modified-since", validator) if validator is not None else None


def is_same(headers: Mapping[str, str], condition: Condition) -> bool:
    """True if a 304 can concern the version that the request named (RFC 9111 4.3.4).

    >>> [is_same({"etag": tag}, Condition("if-none-match", 'W/"a"')) for tag in ('"a"', '"b"')]
    [True, False]
    """
    if "etag" in headers:
        is_equal = headers["etag"].removeprefix("W/") == condition.value.removeprefix("W/")
        return is_equal and not condition.is_by_date
    return not condition.is_by_date or headers.get("last-modified", condition.value) == condition.value


def renewed(lease: Lease, headers: Mapping[str, str], *, is_trusted: bool = False) -> Lease:
    """The lease after a 304, whose headers replace those of the stored response (RFC 9111 3.2)."""
    said = lease_of(headers, lease.condition, is_trusted=is_trusted)
    return said if "cache-control" in headers else said.within(lease)


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


def _if_error(said: Mapping[str, list[str]]) -> float:
    """Seconds after its lifetime for which a response may be used if the origin fails (RFC 5861 4)."""
    if said.keys() & _NEVER_STALE:
        return 0.0
    return _least(said["stale-if-error"]) if "stale-if-error" in said else inf


def _until_expires(headers: Mapping[str, str]) -> float:
    """Seconds from Date to Expires; 0 if Expires is not a date (RFC 9111 5.3), infinite without Expires."""
    if "expires" not in headers:
        return inf
    try:
        left = parsedate_to_datetime(headers["expires"]) - parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return max(0.0, left.total_seconds())
