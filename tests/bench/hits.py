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
from typing import ClassVar, NamedTuple
from urllib.parse import urlsplit

import httptools
import uvloop

from proxy.commands.processes import Children
from tests.bench.asking import ask, head_of
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
    client = "wrk" if shutil.which("wrk") else "An asyncio client"
    print(
        f"Each server has one worker and one warm frame. {client}"
        f" has {CONNECTIONS} connections.\n"
        f"Medians of {ROUNDS} rounds of {SECONDS} s. In each the servers take turns, on the same cores.\n"
        "Bare server: the same uvicorn with the same bytes, without a cache or logic.\n"
        "Bare protocol: httptools and bytes at hand, without uvicorn. It is the limit of one\n"
        "worker in Python. µs: the server's own processor time for a hit, in all its processes.\n"
        f"({versions()})"
    )
    with Children() as children, ExitStack() as stack:
        origin = start(children, "origin", run_origin)
        bare = start(children, "bare protocol", serve_bare)
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
            _show(case, measured(case, urls))


class Hits(NamedTuple):
    """Hits of one server; medians."""

    rate: float
    """A second."""
    spent: float
    """Seconds of the server's processor for each."""


def measured(case: Case, urls: dict[str, str], rounds: int = ROUNDS) -> dict[str, Hits]:
    """Measures the servers in turn, and names each as `urls` does."""
    client: Client = _wrk if shutil.which("wrk") else _own
    for url in urls.values():
        asyncio.run(_warmed(url, case))
    seen: dict[str, list[Hits]] = {name: [] for name in urls}
    servers = {name: processes(url) for name, url in urls.items()}
    for _ in range(rounds):
        for name, url in urls.items():
            before = processor_time(servers[name])
            rate = client(f"{url}/{frame_path('1.1', 0, case.size)}", case)
            seen[name].append(Hits(rate, (processor_time(servers[name]) - before) / (rate * SECONDS)))
    return {name: Hits(*map(median, zip(*each, strict=True))) for name, each in seen.items()}


def _show(case: Case, found: dict[str, Hits]) -> None:
    print(f"\n{case.title}")
    print_row(("", "hits/s", "µs", "× server", "× protocol", "× nginx", "× Varnish"), WIDTHS)
    for name, (rate, spent) in found.items():
        against = (found.get(other) for other in (SERVER, PROTOCOL, NGINX, VARNISH))
        ratios = [f"{rate / others.rate:.2f}" if others else "–" for others in against]
        print_row((name, f"{rate:,.0f}", f"{spent * 1e6:.0f}", *ratios), WIDTHS)


def processes(url: str) -> list[Path]:
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


def processor_time(processes: list[Path]) -> float:
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


def serve_bare(listener: socket.socket) -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(_Bare, sock=listener)
        await server.serve_forever()

    uvloop.run(serve())


async def _warmed(url: str, case: Case) -> None:
    """Requests the frame until it is complete in the cache. The responses are checked."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    target = f"{url}/{frame_path('1.1', 0, case.size)}"
    await ask(reader, writer, head_of(target))
    answer = await ask(reader, writer, head_of(target, case.span))
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
    head, parts, ended = head_of(url, case.span), urlsplit(url), 0

    async def ask_on(until: float) -> None:
        nonlocal ended
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 20)
        while time.perf_counter() < until:
            await ask(reader, writer, head)
            ended += 1
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(ask_on(began + SECONDS) for _ in range(CONNECTIONS)))
    return ended / (time.perf_counter() - began)
