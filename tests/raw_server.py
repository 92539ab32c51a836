"""A server on real sockets that sends raw bytes: a function of the test reads a request and writes freely."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import httpx

from proxy.origin.transport import Tls, Transport, TransportLimits
from tests.house import STORY
from tests.streams import streams

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PATIENT = TransportLimits(STORY, STORY, STORY)
"""Limits that no test reaches on a busy machine."""


class HangUp(Exception):
    """Raised by the test's function to end a connection without sending another byte."""


@dataclass(frozen=True)
class Asked:
    """One request exactly as it arrived."""

    connection: int
    """0-based number of the connection."""
    turn: int
    """0-based number of the request within its connection."""
    method: str
    target: str
    headers: dict[str, str]
    """Headers by name in lower case. If a name is repeated, the last one counts."""
    body: bytes
    peer: str
    """Common name of the client's certificate. Empty if it has none."""
    reader: asyncio.StreamReader = field(repr=False)
    """Stream of the bytes after the head of the request."""


Answer = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class RawServer:
    """The server, with its address and the requests that it has received."""

    answer: Answer
    scheme: str
    url: str = ""
    connections: int = 0
    open: int = 0
    """Connections that have not ended."""
    asked: list[Asked] = field(default_factory=list)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, turn = self.connections, 0
        self.connections += 1
        self.open += 1
        try:
            while True:
                asked = await _read(reader, writer, number, turn)
                self.asked.append(asked)
                await self.answer(asked, writer)
                await writer.drain()
                turn += 1
        except (asyncio.IncompleteReadError, ConnectionError, HangUp, ssl.SSLError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError, ssl.SSLError, TimeoutError):
                await writer.wait_closed()
            self.open -= 1


async def _read(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int, turn: int
) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    if headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    names = dict(pair[0] for pair in (writer.get_extra_info("peercert") or {}).get("subject", ()))
    return Asked(connection, turn, method, target, headers, body, names.get("commonName", ""), reader)


@asynccontextmanager
async def serving(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """Runs a server that answers with the test's function, until the `with` ends."""
    server = RawServer(answer, "https" if tls else "http")
    async with asyncio.timeout(STORY), streams(server.handle, tls=tls) as port:
        server.url = f"{server.scheme}://localhost:{port}"
        yield server


@asynccontextmanager
async def client_of(
    server: str, limits: TransportLimits | None = None, tls: Tls | None = None, auth: httpx.Auth | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the settings that the proxy uses for an origin."""
    transport = await asyncio.to_thread(Transport, limits or PATIENT, tls)
    async with httpx.AsyncClient(base_url=server, transport=transport, timeout=None, auth=auth) as client:
        yield client


async def says_ok(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(OK)
