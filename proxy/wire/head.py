"""Checks that the head of a request can be read in only one way. Pure."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TypeVar

from proxy.errors import BadMethod, BadRequest, ExpectationFailed

Fields = Mapping[bytes, bytes]
"""Headers by lower-case name; values of a repeated name are joined (RFC 9110 5.3)."""

Text = TypeVar("Text", bytes, str)

_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+;=%-]+)(:[0-9]*)?")
_AUTHORITY = re.compile(rb"\Ahttps?://([^/?#]*)", re.IGNORECASE)
_is_host = lru_cache(256)(_HOST.fullmatch)


def is_host(text: str) -> bool:
    """True if a text is a host with an optional port, as in the header Host.

    >>> is_host("[::1]:80"), is_host("a/b")
    (True, False)
    """
    return text.isascii() and _is_host(text.encode("ascii")) is not None


def joined(headers: Sequence[tuple[Text, Text]], join: Callable[[list[Text]], Text]) -> dict[Text, Text]:
    """Returns headers, whose names are lower-case, as a mapping; `join` combines repeated ones.

    >>> joined([("accept", "a"), ("accept", "b")], ", ".join)
    {'accept': 'a, b'}
    """
    names = dict(headers)
    if len(names) == len(headers):
        return names
    values = defaultdict[Text, list[Text]](list)
    for name, value in headers:
        values[name].append(value)
    return {name: join(several) for name, several in values.items()}


def size_of(headers: Sequence[tuple[bytes, bytes]]) -> int:
    """Bytes that the headers took on the wire, at least."""
    return sum(len(name) + len(value) + len(b":\r\n") for name, value in headers)


def check_head(version: str, method: bytes, url: bytes, fields: Fields) -> None:
    """Raises `BadRequest`, `BadMethod` or `ExpectationFailed` if the proxy must not answer the request.

    Another server could find a different end, or a different host, in a request that is refused here (RFC
    9112 11.2).
    """
    if version not in ("1.0", "1.1"):
        raise BadRequest("the proxy speaks only HTTP/1.1 and HTTP/1.0")
    if method in (b"TRACE", b"CONNECT"):
        raise BadMethod("the proxy answers neither TRACE nor CONNECT")
    host = fields.get(b"host")
    if host is None and version == "1.1":
        raise BadRequest("the Host header is missing")
    if host is not None and not _is_host(host):  # a repeated Host fails too
        raise BadRequest("Host must be one name or address, with an optional port")
    if fields.get(b"expect", b"").strip().lower() not in (b"", b"100-continue"):  # RFC 9110 10.1.1
        raise ExpectationFailed("Expect must be 100-continue")
    coding = fields.get(b"transfer-encoding")
    if coding is not None and (version == "1.0" or coding.strip().lower() != b"chunked"):
        raise BadRequest("Transfer-Encoding must be chunked, and only in HTTP/1.1")
    if not url.startswith(b"/") and url != b"*":  # RFC 9112 3.2.2
        authority = _AUTHORITY.match(url)
        if authority is None or authority[1].lower() != (host or b"").lower():
            raise BadRequest("the URL must be a path, or carry the same authority as Host")


def split_target(url: bytes) -> tuple[bytes, bytes]:
    """Splits a checked URL into path and query.

    >>> split_target(b"/a%2f?b#c"), split_target(b"http://localhost/a")
    ((b'/a%2f', b'b'), (b'/a', b''))
    """
    if not url.startswith(b"/"):
        url = _AUTHORITY.sub(b"", url)
    path, _, query = url.partition(b"#")[0].partition(b"?")
    return path, query
