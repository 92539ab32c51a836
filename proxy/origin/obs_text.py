"""The values of headers that have bytes beyond ASCII (obs-text, RFC 9110 5.5), such as the name of a realm.

pyreqwest hands out only values that are ASCII. It sends the others on as they are, though. So the headers in
question go to a socket of this process, as those of a request, and are read there. That takes a millisecond,
and only responses with such headers take it. The socket is on loopback and serves one request, whose path
nobody else knows. No value has a line break, since the HTTP parser refuses a response with one.
"""

import asyncio
import secrets
import socket
from contextlib import suppress
from datetime import timedelta
from functools import cache

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PyreqwestError
from pyreqwest.http import HeaderMap

SECONDS = 2.0
"""Time for one request. After it the headers are left out."""
MOST_BYTES = 256 * 1024
"""Bytes of the headers of a request; more are left out."""
_OF_A_MESSAGE = frozenset({"connection", "content-length", "host", "te", "transfer-encoding", "upgrade"})
"""Headers that are about one message. Those of a response have no business in a request."""
_UNUSED = frozenset({"date", "server", "via"})
"""Headers of which the proxy sends its own."""
_ANSWER = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"


async def beyond_ascii(headers: HeaderMap) -> list[tuple[bytes, bytes]]:
    """The headers whose values pyreqwest does not hand out; empty if they can't be had."""
    names = {name for name in headers if not _is_text(headers, name)} - _OF_A_MESSAGE - _UNUSED
    if not names:
        return []
    only = headers.copy()
    for name in set(headers) - names:
        del only[name]
    try:
        async with asyncio.timeout(SECONDS):
            lines = await _sent_here(only)
    except (TimeoutError, OSError, PyreqwestError):
        return []
    pairs = [
        (name.lower(), value.strip(b" \t")) for name, _, value in (line.partition(b":") for line in lines)
    ]
    return [(name, value) for name, value in pairs if name.decode("latin-1") in names]


def _is_text(headers: HeaderMap, name: str) -> bool:
    try:
        headers.getall(name)
    except ValueError:
        return False
    return True


@cache
def _client() -> Client:
    builder = ClientBuilder().no_proxy().http1_only().follow_redirects(False).pool_max_idle_per_host(0)
    return builder.timeout(timedelta(seconds=SECONDS)).build()


async def _sent_here(headers: HeaderMap) -> list[bytes]:
    """The lines of these headers as pyreqwest sends them."""
    loop, path = asyncio.get_running_loop(), f"/{secrets.token_urlsafe()}"
    with socket.create_server(("127.0.0.1", 0), backlog=8) as listening:
        listening.setblocking(False)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}{path}"
        sending = asyncio.ensure_future(_client().get(url).headers(headers).build().send())
        try:
            while True:
                line, _ = await loop.sock_accept(listening)
                with line:
                    first, *lines = (await _head(line)).split(b"\r\n")
                    if first.split(b" ")[1:2] == [path.encode()]:
                        await loop.sock_sendall(line, _ANSWER)
                        return lines
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError, PyreqwestError):
                await sending


async def _head(line: socket.socket) -> bytes:
    loop, head = asyncio.get_running_loop(), b""
    line.setblocking(False)
    while b"\r\n\r\n" not in head and len(head) < MOST_BYTES:
        chunk = await loop.sock_recv(line, 65536)
        if not chunk:
            break
        head += chunk
    return head.partition(b"\r\n\r\n")[0]
