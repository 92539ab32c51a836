"""Everything that is not a frame, handed through to the origin and back as a stream.

Headers that belong to one connection are dropped both ways, with those that `Connection` names
(RFC 9110 7.6.1). A GET's body means nothing and is dropped too (RFC 9110 9.3.1). The path goes on as it
came, unless it could climb out of the origin's base.
"""

import re
from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from urllib.parse import unquote_to_bytes

from starlette.types import Receive, Send

from proxy.errors import BadRequest, BadResource
from proxy.origin.client import Origin
from proxy.wire.cookies import narrowed

MOST_RANGES = 3
"""Ranges of one request that are handed on; of more the origin gives the whole (RFC 9110 14.2)."""

_ONE_CONNECTION = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_BETWEEN = re.compile(rb"[/\\;]")
_OURS_TO_SAY = frozenset({"host", "expect"})
_SAID_HERE = frozenset({"date", "server", "via"})
_WITHOUT_BODY = frozenset({"GET", "HEAD"})
_NO_CONTENT = frozenset({204, 304})
"""Statuses of answers without a body; a length in one is none of it (RFC 9110 8.6)."""


def end_to_end(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers that are meant for the other end; names in lower case.

    >>> end_to_end([("accept", "*/*"), ("connection", "close, x-hop"), ("x-hop", "1")])
    [('accept', '*/*')]
    """
    pairs = [(name.lower(), value) for name, value in headers]
    named = {
        token.strip().lower() for name, value in pairs if name == "connection" for token in value.split(",")
    }
    return [(name, value) for name, value in pairs if name not in _ONE_CONNECTION | named]


def checked_target(path: str, query: str) -> str:
    """Path and query below the origin's base. Raises `BadResource` for one that could leave it."""
    # As the most careless of origins would read it: unquoted, with backslashes and parameters.
    for segment in _BETWEEN.split(unquote_to_bytes(path)):
        if segment in (b".", b".."):
            raise BadResource("path: dot segments are not taken")
    # In a query a backslash is one character of many, and browsers leave it as it is.
    if "\\" in path or any(ord(c) <= 0x20 or ord(c) >= 0x7F or c == "#" for c in path + query):
        raise BadResource("path: a character that no URL may hold")
    return f"{path}?{query}" if query else path


async def forward(
    origin: Origin,
    method: str,
    target: str,
    headers: list[tuple[str, str]],
    receive: Receive,
    send: Send,
    unless: Collection[int] = (),
    served: str | None = None,
) -> int:
    """Sends a request on, and its answer back unless it has one of these statuses; its status.

    `served` is the path of the request here; None if there is no other origin that this one's cookies must be
    kept from. Raises `OriginError`, or `BadRequest` if the viewer ends inside the body.
    """
    kept = [(name, value) for name, value in end_to_end(headers) if name not in _OURS_TO_SAY]
    if sum(value.count(",") + 1 for name, value in kept if name == "range") > MOST_RANGES:
        kept = [(name, value) for name, value in kept if name != "range"]
    has_body = method not in _WITHOUT_BODY and any(
        name == "transfer-encoding" or (name == "content-length" and value != "0") for name, value in headers
    )
    if not has_body:
        kept = [(name, value) for name, value in kept if name != "content-length"]
    response = await origin.plain.forward(method, target, kept, _body_of(receive) if has_body else None)
    try:
        if response.status_code in unless:
            return response.status_code
        back = end_to_end((n.decode("latin-1"), v.decode("utf-8")) for n, v in response.headers.raw)
        if served is not None:
            back = [*_with_own_cookies(back, origin, served)]
        dropped = _SAID_HERE | {"content-length"} if response.status_code in _NO_CONTENT else _SAID_HERE
        raw = [(n.encode("latin-1"), v.encode("utf-8")) for n, v in back if n not in dropped]
        protocol = response.http_version.removeprefix("HTTP/")
        raw.append((b"via", origin.via.after(response.headers.get("via"), protocol).encode("utf-8")))
        await send({"type": "http.response.start", "status": response.status_code, "headers": raw})
        async for chunk in origin.plain.body_of(response):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        await response.aclose()
    return response.status_code


def _with_own_cookies(
    headers: Iterable[tuple[str, str]], origin: Origin, served: str
) -> Iterator[tuple[str, str]]:
    """The headers, with cookies that a browser returns to this origin and to no other.

    A cookie of the default origin, set at a path without its name, is limited to the first segment of that
    path, which is no other origin's.
    """
    base, first = origin.base_path, served.partition("/")[0] or origin.name
    if first != origin.name:
        base += f"/{first}"
    for name, value in headers:
        kept = narrowed(value, base, f"/{first}") if name == "set-cookie" else value
        if kept is not None:
            yield name, kept


async def _body_of(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise BadRequest("the body ended before it was whole")
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body"):
            return
