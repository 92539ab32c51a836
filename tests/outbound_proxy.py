"""An HTTP proxy on the way to an origin, on real sockets: absolute-form requests and tunnels, with a login.

Only it knows the origins' names, so whoever reaches an origin by its name came through here.
"""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.streams import streams

BUSY = 64 * 1024
"""Bytes of one read."""


@dataclass(frozen=True)
class Passed:
    """The head of a request to the HTTP proxy, as it arrived."""

    method: str
    target: str
    headers: dict[str, str]


@dataclass
class OutboundProxy:
    """The server, the ports that its names lead to, and what it has seen."""

    names: dict[str, int]
    """Ports on loopback by `host:port`; another name gets 403."""
    login: str = ""
    """`user:password` that it wants; empty wants none."""
    passed: list[Passed] = field(default_factory=list)
    tunnelled: bytearray = field(default_factory=bytearray)
    """The bytes that went into tunnels."""
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection, from which one leads to the origin."""
        async with AsyncExitStack() as stack:
            stack.callback(writer.close)
            behind: asyncio.StreamWriter | None = None
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                    at = self._let_through(head, writer)
                    if at is None:
                        continue
                    if behind is None:
                        behind = await self._connected(at, writer, stack)
                    if head.startswith("CONNECT "):
                        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                        await _copied(reader, behind, self.tunnelled)
                        return
                    behind.write(_as_the_origin_reads(head))
                    behind.write(
                        await reader.readexactly(int(self.passed[-1].headers.get("content-length", 0)))
                    )

    def _let_through(self, head: str, writer: asyncio.StreamWriter) -> str | None:
        """The origin's host and port; None if the request was refused."""
        first, *lines = head.split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self.passed.append(Passed(method, target, headers))
        wanted = f"Basic {b64encode(self.login.encode()).decode()}" if self.login else None
        if headers.get("proxy-authorization") != wanted:
            writer.write(_refusal(407, "Proxy-Authenticate: Basic realm=hospital\r\n"))
            return None
        at = target if method == "CONNECT" else f"{urlsplit(target).hostname}:{urlsplit(target).port or 80}"
        if at in self.names:
            return at
        writer.write(_refusal(403))
        return None

    async def _connected(
        self, at: str, writer: asyncio.StreamWriter, stack: AsyncExitStack
    ) -> asyncio.StreamWriter:
        """A connection to the origin, whose bytes go back as they arrive."""
        reader, behind = await asyncio.open_connection("127.0.0.1", self.names[at])
        stack.callback(behind.close)

        async def back() -> None:
            await _copied(reader, writer, bytearray())
            writer.close()

        task = asyncio.ensure_future(back())
        stack.callback(task.cancel)
        return behind


def _as_the_origin_reads(head: str) -> bytes:
    """The head with a path instead of a URL, and without the login."""
    first, *lines = head.split("\r\n")
    method, target, version = first.split(" ")
    url = urlsplit(target)
    path = url.path + (f"?{url.query}" if url.query else "")
    kept = [line for line in lines if not line.lower().startswith("proxy-authorization:")]
    return "\r\n".join([f"{method} {path} {version}", *kept]).encode("latin-1")


def _refusal(status: int, header: str = "") -> bytes:
    return f"HTTP/1.1 {status} No\r\n{header}Content-Length: 6\r\n\r\nhidden".encode()


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: bytearray) -> None:
    while piece := await reader.read(BUSY):
        seen += piece
        writer.write(piece)
        await writer.drain()


@asynccontextmanager
async def outbound_proxy(names: dict[str, int], login: str = "") -> AsyncIterator[OutboundProxy]:
    """Runs an HTTP proxy on a free port of the loopback interface."""
    proxy = OutboundProxy(names, login)
    async with streams(proxy.serve) as port:
        proxy.url = f"http://127.0.0.1:{port}"
        yield proxy
