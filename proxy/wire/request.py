"""Reads a viewer's request from what the server parsed. Pure.

Viewers append arguments to URLs that already have some, so a second `?` counts as `&`. The proxy has two
arguments of its own: `accept`, which takes precedence over the header (PS3.18 8.3.3.1), and `profile`. It
passes all other arguments to the origin unchanged.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from proxy.errors import BadResource
from proxy.wire.head import joined
from proxy.wire.media import meant

_BETWEEN = re.compile(r"[?&]")


@dataclass(frozen=True, slots=True)
class Request:
    """A viewer's request."""

    method: str
    """Upper-case method."""
    path: str
    """Path as received, without the leading slash."""
    query: str
    """Query as received."""
    others: str
    """Query without the proxy's own arguments."""
    profile: str | None
    """The argument `profile`."""
    accept: str | None
    """The argument `accept`, else the Accept header."""
    pairs: tuple[tuple[str, str], ...]
    """All headers in order, with lower-case names."""
    fields: Mapping[str, str]
    """Headers by name; values of a repeated name are joined (RFC 9110 5.3)."""
    scheme: str = "http"
    """`http` or `https`, as the connection is."""

    @property
    def wanted_profile(self) -> str | None:
        """Name of the profile that the URL or a header asks for."""
        return self.profile or self.header("retrieve-profile")

    def header(self, name: str) -> str | None:
        """Returns a header's value; None if the request lacks it."""
        return self.fields.get(name)


def read_request(
    method: str,
    raw_path: bytes,
    raw_query: bytes,
    headers: Iterable[tuple[bytes, bytes]],
    scheme: str = "http",
) -> Request:
    """Builds the request. Raises `BadResource` if path and query are not ASCII or the path lacks its slash.

    >>> read_request("GET", b"/a/jpip", b"target=1?accept=image%2Fjphc", []).accept
    'image/jphc'
    """
    if not raw_path.startswith(b"/") or not (raw_path + raw_query).isascii():
        raise BadResource("the path must be ASCII and start with a slash")
    path, query = raw_path.decode("ascii")[1:], raw_query.decode("ascii")
    ours, others = own_arguments(query)
    pairs = read_headers(headers)
    fields = joined(pairs, ", ".join)
    accept = ours.get("accept") or fields.get("accept") or None
    return Request(method.upper(), path, query, others, ours.get("profile"), accept, pairs, fields, scheme)


def own_arguments(query: str) -> tuple[dict[str, str], str]:
    """Splits a query into the proxy's own arguments and the others, which stay as received.

    >>> own_arguments("accept=image/jphc&imageSetId=a?x=1")
    ({'accept': 'image/jphc'}, 'imageSetId=a&x=1')
    """
    ours, others = arguments(query, ("accept", "profile"))
    ours = {name: unquote(value) for name, value in ours.items()}
    if "accept" in ours:
        ours["accept"] = meant(ours["accept"])
    return ours, others


def split_url(url: str) -> tuple[str, dict[str, str], str]:
    """Splits a URL as a viewer assembles it into path, the proxy's own arguments, and the other ones.

    >>> split_url("a/jpip?target=4?fsiz=128,128&accept=image/jphc")
    ('a/jpip', {'accept': 'image/jphc'}, 'target=4&fsiz=128,128')
    """
    path, _, query = url.partition("?")
    return path, *own_arguments(query)


def arguments(query: str, names: Collection[str]) -> tuple[dict[str, str], str]:
    """Splits a query into the arguments in `names`, first value each, and the others; nothing is unquoted."""
    found: dict[str, str] = {}
    others: list[str] = []
    for argument in filter(None, _BETWEEN.split(query)):
        name, _, value = argument.partition("=")
        if name in names:
            found.setdefault(name, value)
        else:
            others.append(argument)
    return found, "&".join(others)


def read_headers(headers: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
    """Returns headers as text with lower-case names."""
    return tuple((name.decode("latin-1").lower(), _text(value)) for name, value in headers)


def _text(value: bytes) -> str:
    """Decodes a header's value. Browsers send a cookie in UTF-8 if somebody else set it so."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")
