"""The head of an origin's response for a resource that is not a frame, as it is kept and handed on; pure.

A response is kept only if it is a whole 200 that the origin lets a cache store, and if it can be what was
asked for: a page to log in, sent with 200, is not.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from proxy.cache.representation import Head, Pairs, weak
from proxy.errors import OriginFailed
from proxy.frame.identity import Lease
from proxy.origin.answer import ends_with_connection, strong_validator
from proxy.origin.codings import is_foreign, plain_name
from proxy.origin.freshness import condition_of, directives, lease_of
from proxy.wire.head import joined
from proxy.wire.media import parse_media_type
from proxy.wire.passing import end_to_end

_SAID_HERE = frozenset(
    {"date", "server", "via", "content-length", "content-encoding", "etag", "accept-ranges"}
)
_CACHING = frozenset({"cache-control", "expires", "age", "pragma", "vary"})
_ALWAYS_APART = _SAID_HERE | _CACHING | {"set-cookie"}
_OF_PARTS = frozenset({"content-range"})
_DIGESTS = frozenset({"content-digest", "repr-digest", "digest", "content-md5"})
"""Headers with digests of the very bytes (RFC 9530)."""
_PAGES = ("text/", "application/xhtml")
_XML = "text/xml"
_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]*"')
_LENGTH = re.compile(r"[0-9]{1,15}", re.ASCII)
_OF_CALLER = (401, 403)
_STRICT = frozenset({"must-revalidate", "proxy-revalidate", "no-cache"})


def head_of(
    status: int,
    raw: Sequence[tuple[bytes, bytes]],
    version: str,
    *,
    is_trusted: bool,
    is_personal: bool,
) -> Head:
    """The head of a response. Raises `OriginFailed` if a header is not text.

    If the origin `is_trusted`, only its `no-store` counts. `is_personal` says that callers need a credential.
    Otherwise a private response is not kept, nor one that begins a session by a cookie.
    """
    try:
        pairs = end_to_end((name.decode("latin-1"), value.decode("utf-8")) for name, value in raw)
    except UnicodeDecodeError as error:
        raise OriginFailed("a header of the origin's response is not text") from error
    fields = joined(pairs, ", ".join)
    lease = lease_of(fields, condition_of(fields, strong_validator(fields)), is_trusted=is_trusted)
    said, etag = fields.get("content-length", ""), fields.get("etag", "")
    coding = plain_name(fields.get("content-encoding", ""))
    is_page = not _is_expected(fields)
    is_whole = not ends_with_connection(dict(raw_fields(raw)), version)
    is_sound = not is_page and is_whole and not is_foreign(coding)
    is_for_one = lease.is_personal or "set-cookie" in fields
    may_be_kept = status == 200 and lease.is_storable and (is_personal or not is_for_one) and is_sound
    directive_names = directives(fields.get("cache-control", ""))
    return Head(
        status,
        _without(pairs, _ALWAYS_APART | (_OF_PARTS if status == 200 else frozenset())),
        etag if _ETAG.fullmatch(etag) else "",
        coding,
        length=int(said) if _LENGTH.fullmatch(said) else None,
        lease=lease,
        is_kept=may_be_kept,
        is_page=is_page,
        is_shared=may_be_kept or not (status == 200 or status in _OF_CALLER or 300 <= status < 400),
        may_be_stale=is_trusted or not (_STRICT & directive_names.keys()),
        caching=tuple(pair for pair in pairs if pair[0] in _CACHING),
        cookies=tuple(pair for pair in pairs if pair[0] == "set-cookie"),
    )


def can_be_compressed(head: Head) -> bool:
    """True if the proxy may compress the body (RFC 9110 7.7)."""
    said = [value for name, value in head.caching if name == "cache-control"]
    return not head.coding and not any("no-transform" in directives(value) for value in said)


def as_compressed(head: Head, coding: str) -> Head:
    """The head of the same response with a body that the proxy compresses."""
    headers = tuple(pair for pair in head.headers if pair[0] not in _DIGESTS)
    etag = weak(head.etag)
    return replace(head, headers=headers, coding=coding, is_coded_here=True, length=None, etag=etag)


def confirmed(head: Head, held: Head) -> tuple[Lease, bool]:
    """The lease after a 304 to a condition, and if it may be used a while longer (RFC 9111 4.3.4)."""
    lease = replace(head.lease, condition=held.lease.condition)
    is_told = any(name == "cache-control" for name, _ in head.caching)
    return (lease, head.may_be_stale) if is_told else (lease.within(held.lease), held.may_be_stale)


def raw_fields(raw: Sequence[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """All headers with lower-case names, the ones of this connection too."""
    return [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw]


def _is_expected(fields: dict[str, str]) -> bool:
    name = parse_media_type(fields.get("content-type", "")).name
    return name == _XML or not name.startswith(_PAGES)


def _without(pairs: Sequence[tuple[str, str]], names: frozenset[str]) -> Pairs:
    return tuple(pair for pair in pairs if pair[0] not in names)
