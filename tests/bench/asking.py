"""A small HTTP/1.1 client that costs next to nothing, so that it measures the server."""

import asyncio
import re
import time
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

MOST = 1 << 20
"""Bytes that are read at once."""


class Arrived(NamedTuple):
    """One response, in seconds from a common start."""

    asked: float
    first: float
    """When its head was in."""
    ended: float


def head_of(url: str, span: str = "", accept: str = "image/jphc") -> bytes:
    """The head of a request; `span` is the value of `Range`."""
    parts = urlsplit(url)
    ranged = f"Range: {span}\r\n" if span else ""
    return f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: {accept}\r\n{ranged}\r\n".encode()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> bytes:
    """Sends a request, discards the body of the response, and returns its head."""
    answer = await begin(reader, writer, head)
    await discard(reader, answer)
    return answer


async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> bytes:
    """Sends a request, and returns the head of the response."""
    writer.write(head)
    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.split(b" ", 2)[1] in (b"200", b"206"), answer
    return answer


async def discard(reader: asyncio.StreamReader, answer: bytes) -> None:
    """Reads the body of a response with this head."""
    length = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", answer)
    assert length, answer
    left = int(length[1])
    while left:
        chunk = await reader.read(min(left, MOST))
        assert chunk, "the response was truncated"
        left -= len(chunk)


async def ask_all(url: str, heads: Iterable[bytes], connections: int) -> list[Arrived]:
    """Sends all requests over so many connections, which are open before the first one."""
    parts, waiting, arrived = urlsplit(url), iter(heads), list[Arrived]()
    opened = [
        await asyncio.open_connection(parts.hostname, parts.port, limit=MOST) for _ in range(connections)
    ]
    began = time.perf_counter()

    async def ask_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for head in waiting:
            asked = time.perf_counter() - began
            answer = await begin(reader, writer, head)
            first = time.perf_counter() - began
            await discard(reader, answer)
            arrived.append(Arrived(asked, first, time.perf_counter() - began))
        writer.close()

    await asyncio.gather(*(ask_on(*each) for each in opened))
    return arrived
