"""The head of a request, as a server has read it: whether it can be read in one way only. Pure."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TypeVar

from proxy.errors import BadMethod, BadRequest

Fields = Mapping[bytes, bytes]
"""Headers by their names in lower case; several of one name are joined (RFC 9110 5.3)."""

Text = TypeVar("Text", bytes, str)

_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+;=%-]+)(:[0-9]*)?")
_AUTHORITY = re.compile(rb"\Ahttps?://([^/?#]*)", re.IGNORECASE)
_is_host = lru_cache(256)(_HOST.fullmatch)


def joined(headers: Sequence[tuple[Text, Text]], join: Callable[[list[Text]], Text]) -> dict[Text, Text]:
    """Headers, whose names are in lower case, by their names; `join` makes one value of several.

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
    """Bytes that headers took on the wire, at least."""
    return sum(len(name) + len(value) + len(b":\r\n") for name, value in headers)


def check_head(version: str, method: bytes, url: bytes, fields: Fields) -> None:
    """Raises `BadRequest` or `BadMethod` for a request that is not to be answered.

    Another server could find another end, or another host, in what is refused here (RFC 9112 11.2).
    """
    if version not in ("1.0", "1.1"):
        raise BadRequest("HTTP/1.1 and HTTP/1.0 are spoken here")
    if method in (b"TRACE", b"CONNECT"):
        raise BadMethod("neither TRACE nor CONNECT is answered here")
    host = fields.get(b"host")
    if host is None and version == "1.1":
        raise BadRequest("Host: is missing")
    if host is not None and not _is_host(host):  # two of them, too
        raise BadRequest("Host: one name or address, and a port")
    coding = fields.get(b"transfer-encoding")
    if coding is not None and (version == "1.0" or coding.strip().lower() != b"chunked"):
        raise BadRequest("Transfer-Encoding: chunked, in HTTP/1.1")
    if not url.startswith(b"/") and url != b"*":  # RFC 9112 3.2.2
        authority = _AUTHORITY.match(url)
        if authority is None or authority[1].lower() != (host or b"").lower():
            raise BadRequest("URL: a path, or with the authority that Host says")


def split_target(url: bytes) -> tuple[bytes, bytes]:
    """Path and query of a URL that was checked.

    >>> split_target(b"/a%2f?b#c"), split_target(b"http://localhost/a")
    ((b'/a%2f', b'b'), (b'/a', b''))
    """
    if not url.startswith(b"/"):
        url = _AUTHORITY.sub(b"", url)
    path, _, query = url.partition(b"#")[0].partition(b"?")
    return path, query
