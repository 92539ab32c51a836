"""Requests that are not for frames, forwarded to the origin, with the response streamed back.

The proxy drops hop-by-hop headers both ways, and those that `Connection` names (RFC 9110 7.6.1). It also
drops the body of a GET, which has no meaning (RFC 9110 9.3.1). The path is forwarded unchanged. A path that
could lead out of the origin's base is refused.
"""

import re
from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from urllib.parse import unquote_to_bytes

from starlette.types import Receive, Send

from proxy.errors import BadRequest, BadResource
from proxy.origin.client import Origin
from proxy.wire.cookies import narrowed
from proxy.wire.passing import end_to_end

MOST_RANGES = 3
"""Most ranges that a forwarded request may have; if it has more, the Range is dropped (RFC 9110 14.2)."""

_BETWEEN = re.compile(rb"[/\\;]")
_OURS_TO_SAY = frozenset({"host", "expect"})
_SAID_HERE = frozenset({"date", "server", "via"})
_WITHOUT_BODY = frozenset({"GET", "HEAD"})
_NO_CONTENT = frozenset({204, 304})
"""Statuses of answers without a body; a length in one is none of it (RFC 9110 8.6)."""


def checked_target(path: str, query: str) -> str:
    """Path and query below the origin's base. Raises `BadResource` if the path could leave the base."""
    # Read as the most careless origin would: unquoted, with backslashes and parameters as separators.
    for segment in _BETWEEN.split(unquote_to_bytes(path)):
        if segment in (b".", b".."):
            raise BadResource("path: dot segments are not allowed")
    # A backslash in a query has no special meaning, and browsers send it unquoted.
    if "\\" in path or any(ord(c) <= 0x20 or ord(c) >= 0x7F or c == "#" for c in path + query):
        raise BadResource("path: has a character that is not allowed in a URL")
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
    """Forwards a request, and sends the response unless its status is in `unless`. Returns the status.

    `served` is the path of the request at the proxy. It is None if there is only one origin, so that cookies
    need not be kept apart. Raises `OriginError`, and `BadRequest` if the viewer leaves before the body ends.
    """
    kept = [(name, value) for name, value in end_to_end(headers) if name not in _OURS_TO_SAY]
    if sum(value.count(",") + 1 for name, value in kept if name == "range") > MOST_RANGES:
        kept = [(name, value) for name, value in kept if name != "range"]
    has_body = method not in _WITHOUT_BODY and any(
        name == "transfer-encoding" or (name == "content-length" and value != "0") for name, value in headers
    )
    if not has_body:
        kept = [(name, value) for name, value in kept if name != "content-length"]
    body = _body_of(receive) if has_body else None
    async with origin.plain.forward(method, target, kept, body) as response:
        if response.status_code in unless:
            return response.status_code
        back = end_to_end((n.decode("latin-1"), v.decode("utf-8")) for n, v in response.headers.raw)
        back = [*with_own_cookies(origin, served, back)]
        dropped = _SAID_HERE | {"content-length"} if response.status_code in _NO_CONTENT else _SAID_HERE
        raw = [(n.encode("latin-1"), v.encode("utf-8")) for n, v in back if n not in dropped]
        protocol = response.http_version.removeprefix("HTTP/")
        raw.append((b"via", origin.via.after(response.headers.get("via"), protocol).encode("utf-8")))
        await send({"type": "http.response.start", "status": response.status_code, "headers": raw})
        async for chunk in origin.plain.body_of(response):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    return response.status_code


def with_own_cookies(
    origin: Origin, served: str | None, headers: Iterable[tuple[str, str]]
) -> Iterator[tuple[str, str]]:
    """The headers, with cookies narrowed so that a browser returns them to this origin only.

    `served` is the path of the request at the proxy. If it is None, there is only one origin.
    If the default origin sets a cookie at a path without its name, the cookie is narrowed to the first
    segment of that path. No other origin has that segment as its name.
    """
    if served is None:
        yield from headers
        return
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
            raise BadRequest("the body ended before it was complete")
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body"):
            return
