"""Cache hits per second of one worker, compared with rivals and with two servers that do nothing.

The *bare server* is the same uvicorn with the same bytes, and has neither a cache nor logic. The *bare
protocol* has no uvicorn either: it parses a request with httptools, and writes bytes that are at hand, on the
same event loop.
"""

import asyncio
import multiprocessing
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import ClassVar
from urllib.parse import urlsplit

import httptools
import uvloop

from proxy.commands.processes import Children
from tests.bench.shared import (
    FIRST,
    PIECE,
    RIVALS,
    Front,
    NotInstalled,
    frame_bytes,
    frame_path,
    print_row,
    proxy,
    run_origin,
    start,
    versions,
)

CONNECTIONS = 16
"""Connections of the client."""
SECONDS, ROUNDS = 2, 3
"""Seconds of one measurement, and rounds in which the servers take turns."""
ATTEMPTS = 100
"""Most requests in a row until a server has cached the frame."""
SERVER, PROTOCOL, NGINX, VARNISH = "bare server", "bare protocol", "nginx slice 64k", "Varnish"
WIDTHS = (18, 9, 8, 10, 12, 9, 11)


@dataclass(frozen=True, slots=True)
class Case:
    """The kind of request."""

    title: str
    """Title in the table."""
    size: int
    """Bytes of the frame."""
    span: str
    """Value of the Range header. Empty for none."""


CASES = (
    Case("64 KiB, the first range of a frame of 1 MB", 1_000_000, f"bytes=0-{FIRST - 1}"),
    Case("1 MB, a whole frame", 1_000_000, ""),
    Case("10 MB, a whole frame", 10_000_000, ""),
)

Client = Callable[[str, Case], float]


def run() -> None:
    client: Client = _wrk if shutil.which("wrk") else _own
    print(
        f"Each server has one worker and one warm frame. {'wrk' if client is _wrk else 'An asyncio client'}"
        f" has {CONNECTIONS} connections.\n"
        f"Medians of {ROUNDS} rounds of {SECONDS} s. In each the servers take turns, on the same cores.\n"
        "Bare server: the same uvicorn with the same bytes, without a cache or logic.\n"
        "Bare protocol: httptools and bytes at hand, without uvicorn. It is the limit of one\n"
        "worker in Python. µs: the server's own processor time for a hit, in all its processes.\n"
        f"({versions()})"
    )
    with Children() as children, ExitStack() as stack:
        origin = start(children, "origin", run_origin)
        bare = start(children, "bare protocol", _serve_bare)
        urls: dict[str, str] = {}
        fronts: dict[str, Front] = {
            SERVER: nullcontext,
            PROTOCOL: lambda _: nullcontext(bare),
            "progressive-proxy": proxy,
            **RIVALS,
        }
        for name, front in fronts.items():
            try:
                urls[name] = stack.enter_context(front(origin))
            except NotInstalled as missing:
                print(f"{name:{WIDTHS[0]}}{missing}")
        for case in CASES:
            _measure(case, urls, client)


def _measure(case: Case, urls: dict[str, str], client: Client) -> None:
    for url in urls.values():
        asyncio.run(_warmed(url, case))
    rates: dict[str, list[float]] = {name: [] for name in urls}
    spent: dict[str, list[float]] = {name: [] for name in urls}
    servers = {name: _processes(url) for name, url in urls.items()}
    for _ in range(ROUNDS):
        for name, url in urls.items():
            before = _processor_time(servers[name])
            rate = client(f"{url}/{frame_path('1.1', 0, case.size)}", case)
            rates[name].append(rate)
            spent[name].append((_processor_time(servers[name]) - before) / (rate * SECONDS))
    print(f"\n{case.title}")
    print_row(("", "hits/s", "µs", "× server", "× protocol", "× nginx", "× Varnish"), WIDTHS)
    for name, measured in rates.items():
        rate = median(measured)
        against = (rates.get(other) for other in (SERVER, PROTOCOL, NGINX, VARNISH))
        ratios = [f"{rate / median(others):.2f}" if others else "–" for others in against]
        own = f"{median(spent[name]) * 1e6:.0f}"
        print_row((name, f"{rate:,.0f}", own, *ratios), WIDTHS)


def _processes(url: str) -> list[Path]:
    """All processes that have the socket at which a server listens."""
    port = f":{urlsplit(url).port:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    sockets = {f"socket:[{line[9]}]" for line in lines if line[1].endswith(port) and line[3] == "0A"}
    found = set()
    for each in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if str(each.readlink()) in sockets and each.parts[2] != str(os.getpid()):
                found.add(each.parents[1])
    return sorted(found)


def _processor_time(processes: list[Path]) -> float:
    """Seconds that all threads of these processes have run."""
    times = (path.read_text() for process in processes for path in process.glob("task/*/schedstat"))
    return sum(int(line.split()[0]) for line in times) / 1e9


class _Bare(asyncio.Protocol):
    """Parses requests, and answers each with bytes that are at hand."""

    answers: ClassVar[dict[tuple[bytes, bytes], list[bytes]]] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)
        self._url = self._range = b""

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._url = self._range = b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"range":
            self._range = value

    def on_message_complete(self) -> None:
        asked = self._url, self._range
        if asked not in self.answers:
            self.answers[asked] = _at_hand(*asked)
        self._transport.writelines(self.answers[asked])


def _at_hand(url: bytes, span: bytes) -> list[bytes]:
    number, size = map(int, url.decode().split("/")[6].split(".")[1:])
    body, status = frame_bytes(number, size), b"200 OK"
    if span:
        first, last = map(int, span.removeprefix(b"bytes=").split(b"-"))
        body, status = body[first : last + 1], b"206 Partial Content"
    head = b"HTTP/1.1 %s\r\ncontent-type: image/jphc\r\ncontent-length: %d\r\n\r\n" % (status, len(body))
    return [head, *(body[at : at + PIECE] for at in range(0, len(body), PIECE))]


def _serve_bare(listener: socket.socket) -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(_Bare, sock=listener)
        await server.serve_forever()

    uvloop.run(serve())


def _head(url: str, case: Case) -> bytes:
    parts = urlsplit(url)
    ranged = f"Range: {case.span}\r\n" if case.span else ""
    return f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: image/jphc\r\n{ranged}\r\n".encode()


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> bytes:
    """Sends a request, discards the body of the response, and returns its head."""
    writer.write(head)
    answer = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", answer)
    assert answer.split(b" ", 2)[1] in (b"200", b"206"), answer
    assert length, answer
    left = int(length[1])
    while left:
        chunk = await reader.read(min(left, 1 << 20))
        assert chunk, "the response was truncated"
        left -= len(chunk)
    return answer


async def _warmed(url: str, case: Case) -> None:
    """Requests the frame until it is complete in the cache. The responses are checked."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    target = f"{url}/{frame_path('1.1', 0, case.size)}"
    await _ask(reader, writer, _head(target, Case(case.title, case.size, "")))
    answer = await _ask(reader, writer, _head(target, case))
    length = f"content-length: {FIRST if case.span else case.size}\r\n".encode()
    assert length in answer.lower(), answer
    writer.close()
    await writer.wait_closed()


def _wrk(url: str, case: Case) -> float:
    headers = ["-H", "Accept: image/jphc", *(["-H", f"Range: {case.span}"] if case.span else [])]
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--timeout", "30s", *headers, url]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert not re.search("Non-2xx|Socket errors", said), said
    found = re.search(r"Requests/sec: *([0-9.]+)", said)
    assert found, said
    return float(found[1])


def _own(url: str, case: Case) -> float:
    """The same measurement without wrk, in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_count, args=(theirs, url, case), daemon=True)
    process.start()
    rate = ours.recv()
    process.join()
    assert isinstance(rate, float)
    return rate


def _count(result: Connection, url: str, case: Case) -> None:
    result.send(asyncio.run(_rate(url, case)))


async def _rate(url: str, case: Case) -> float:
    head, parts, ended = _head(url, case), urlsplit(url), 0

    async def ask_on(until: float) -> None:
        nonlocal ended
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 20)
        while time.perf_counter() < until:
            await _ask(reader, writer, head)
            ended += 1
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(ask_on(began + SECONDS) for _ in range(CONNECTIONS)))
    return ended / (time.perf_counter() - began)
