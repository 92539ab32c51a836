"""A viewer's request, from what the server read; pure.

Viewers append arguments to URLs that have some already, so a second `?` counts as `&`. Two arguments
are ours: `accept`, which goes before the header (PS3.18 8.3.3.1), and `profile`. All others are the
origin's business and stay as they came.
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
    """What is asked."""

    method: str
    """In capitals."""
    path: str
    """As it came, without its leading slash."""
    query: str
    """As it came."""
    others: str
    """The query without our own arguments."""
    profile: str | None
    """The argument `profile`."""
    accept: str | None
    """The argument `accept`, else the header."""
    pairs: tuple[tuple[str, str], ...]
    """All headers, names in lower case, in order."""
    fields: Mapping[str, str]
    """The same by name; several of one name are joined (RFC 9110 5.3)."""

    @property
    def wanted_profile(self) -> str | None:
        """Name of the profile that the URL or a header asks for."""
        return self.profile or self.header("retrieve-profile")

    def header(self, name: str) -> str | None:
        """The value of a header."""
        return self.fields.get(name)


def read_request(
    method: str, raw_path: bytes, raw_query: bytes, headers: Iterable[tuple[bytes, bytes]]
) -> Request:
    """The request. Raises `BadResource` for a path that is no path.

    >>> read_request("GET", b"/a/jpip", b"target=1?accept=image%2Fjphc", []).accept
    'image/jphc'
    """
    if not raw_path.startswith(b"/") or not (raw_path + raw_query).isascii():
        raise BadResource("path: plain ASCII from a slash on")
    path, query = raw_path.decode("ascii")[1:], raw_query.decode("ascii")
    ours, others = own_arguments(query)
    pairs = read_headers(headers)
    fields = joined(pairs, ", ".join)
    accept = ours.get("accept") or fields.get("accept") or None
    return Request(method.upper(), path, query, others, ours.get("profile"), accept, pairs, fields)


def own_arguments(query: str) -> tuple[dict[str, str], str]:
    """The arguments that are ours, and the others as they came.

    >>> own_arguments("accept=image/jphc&imageSetId=a?x=1")
    ({'accept': 'image/jphc'}, 'imageSetId=a&x=1')
    """
    ours, others = arguments(query, ("accept", "profile"))
    ours = {name: unquote(value) for name, value in ours.items()}
    if "accept" in ours:
        ours["accept"] = meant(ours["accept"])
    return ours, others


def split_url(url: str) -> tuple[str, dict[str, str], str]:
    """Path, our own arguments and the other ones of a URL as a viewer puts it together.

    >>> split_url("a/jpip?target=4?fsiz=128,128&accept=image/jphc")
    ('a/jpip', {'accept': 'image/jphc'}, 'target=4&fsiz=128,128')
    """
    path, _, query = url.partition("?")
    return path, *own_arguments(query)


def arguments(query: str, names: Collection[str]) -> tuple[dict[str, str], str]:
    """The arguments of these names, the first where there are several, and the others; all as they came."""
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
    """Headers as text, names in lower case."""
    return tuple((name.decode("latin-1").lower(), _text(value)) for name, value in headers)


def _text(value: bytes) -> str:
    """A header's value; browsers send cookies in UTF-8 that others set so."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")
