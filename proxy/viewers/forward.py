"""Requests that are not for frames, forwarded to the origin, with the response streamed back.

The proxy drops hop-by-hop headers both ways, and those that `Connection` names (RFC 9110 7.6.1). It also
drops the body of a GET, which has no meaning (RFC 9110 9.3.1). The path is forwarded unchanged. A path that
could lead out of the origin's base is refused.
"""

import re
from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from starlette.types import Receive, Send

from proxy.errors import BadRequest, BadResource
from proxy.origin.client import Origin
from proxy.viewers.published import Published
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


@dataclass(frozen=True, slots=True)
class Onward:
    """A request as it goes on to an origin."""

    method: str
    """Upper-case method."""
    target: str
    """Path and query below the origin's base."""
    headers: list[tuple[str, str]]
    """Headers, names in lower case."""
    served: str | None = None
    """Path at the proxy. None if there is only one origin, so that cookies need not be kept apart."""
    published: Published | None = None
    """How the origin's URLs are published; None if they stay as they are."""

    @property
    def has_body(self) -> bool:
        """True if a body comes with the request, and means something."""
        return self.method not in _WITHOUT_BODY and any(
            name == "transfer-encoding" or (name == "content-length" and value != "0")
            for name, value in self.headers
        )

    def headers_on(self) -> list[tuple[str, str]]:
        """The headers that the origin gets."""
        kept = [(name, value) for name, value in end_to_end(self.headers) if name not in _OURS_TO_SAY]
        if sum(value.count(",") + 1 for name, value in kept if name == "range") > MOST_RANGES:
            kept = [(name, value) for name, value in kept if name != "range"]
        if not self.has_body:
            kept = [(name, value) for name, value in kept if name != "content-length"]
        return kept if self.published is None else self.published.asked(kept)


async def forward(
    origin: Origin, asked: Onward, receive: Receive, send: Send, unless: Collection[int] = ()
) -> int:
    """Forwards a request, and sends the response unless its status is in `unless`. Returns the status.

    Raises `OriginError`, and `BadRequest` if the viewer leaves before the body ends.
    """
    body = _body_of(receive) if asked.has_body else None
    async with origin.plain.forward(asked.method, asked.target, asked.headers_on(), body) as response:
        if response.status_code in unless:
            return response.status_code
        back = end_to_end((n.decode("latin-1"), v.decode("utf-8")) for n, v in response.headers.raw)
        headers, rewritten = _headers_back(origin, asked, response.status_code, back)
        protocol = response.http_version.removeprefix("HTTP/")
        headers.append((b"via", origin.via.after(response.headers.get("via"), protocol).encode("utf-8")))
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        body = origin.plain.body_of(response, is_raw=rewritten is None)
        is_changed = rewritten is not None and asked.method != "HEAD"  # a coding of nothing has bytes
        async for piece in rewritten.body(body) if rewritten is not None and is_changed else body:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    return response.status_code


def _headers_back(
    origin: Origin, asked: Onward, status: int, back: list[tuple[str, str]]
) -> tuple[list[tuple[bytes, bytes]], Published | None]:
    """The headers for the viewer, but for Via, and how the body is rewritten; None if it stays."""
    is_rewritten = False
    back = [*with_own_cookies(origin, asked.served, back)]
    if asked.published is not None:
        back, is_rewritten = asked.published.answered(status, back)
    dropped = _SAID_HERE | {"content-length"} if status in _NO_CONTENT else _SAID_HERE
    headers = [(n.encode("latin-1"), v.encode("utf-8")) for n, v in back if n not in dropped]
    return headers, asked.published if is_rewritten else None


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
