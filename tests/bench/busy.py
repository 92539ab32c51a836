"""A server that others keep busy: first bytes over new and over kept connections, and `/livez` meanwhile."""

import asyncio
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from urllib.parse import urlsplit

import uvloop

from proxy.commands.processes import Children
from tests.bench.livez import probed, said
from tests.bench.shared import (
    FIRST,
    RIVALS,
    NotInstalled,
    frame_path,
    installed,
    print_row,
    proxy_and_admin,
    run_origin,
    start,
)

BUSY, LARGE = 40, 10_000_000
"""Connections that fetch a frame again and again, and its bytes."""
NEW, SMALL = 100, 1_000_000
"""Connections that ask at once for the first 64 KiB of a frame, and its bytes."""
ROUNDS = 100
WIDTHS = (22, 12, 12, 12, 12, 10)


def run() -> None:
    print(
        f"{BUSY} connections of wrk fetch a warm frame of 10 MB. {NEW} more ask at once for 64 KiB of a\n"
        "warm frame; then the same connections ask again. Milliseconds from a request to its first\n"
        f"byte, medians of {ROUNDS} rounds.\n"
    )
    print_row(("", "new, p50", "new, max", "kept, p50", "kept, max", "new/kept"), WIDTHS)
    with Children() as children:
        origin = start(children, "origin", run_origin)
        with proxy_and_admin(origin) as (url, admin):
            _show("progressive-proxy", url, admin)
        for name, front in RIVALS.items():
            try:
                with front(origin) as url:
                    _show(name, url)
            except NotInstalled as missing:
                print(f"{name:{WIDTHS[0]}}{missing}")


def _show(name: str, url: str, admin: str = "") -> None:
    with _kept_busy(url), probed(admin) as alive:
        rounds = uvloop.run(_measured(url))
    cells = [median(each) for each in zip(*rounds, strict=True)]
    print_row((name, *(f"{1000 * each:.0f}" for each in cells), f"{cells[1] / cells[3]:.2f}"), WIDTHS)
    if alive:
        print(f"  {said(alive)}")


@contextmanager
def _kept_busy(url: str) -> Iterator[None]:
    target = f"{url}/{frame_path('1', 0, LARGE)}"
    command = [installed("wrk", "wrk"), "-t1", f"-c{BUSY}", "-d600s", "-H", "Accept: image/jphc", target]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as busy:
        try:
            time.sleep(2)
            yield
        finally:
            busy.kill()


async def _measured(url: str) -> list[tuple[float, ...]]:
    """For each round p50 and maximum over new and over kept connections."""
    rounds = []
    for _ in range(ROUNDS):
        found: list[float] = []
        connections = [_Connection(url) for _ in range(NEW)]
        for _ in ("new", "kept"):
            seen = sorted(await asyncio.gather(*(each.first_byte() for each in connections)))
            found += (median(seen), seen[-1])
        rounds.append(tuple(found))
        for each in connections:
            each.close()
    return rounds


class _Connection:
    """Sends the same request again and again over one connection, which is opened when it is needed."""

    def __init__(self, url: str) -> None:
        self._at = urlsplit(url)
        fields = f"Host: {self._at.netloc}\r\nAccept: image/jphc\r\nRange: bytes=0-{FIRST - 1}\r\n"
        self._head = f"GET /{frame_path('1', 1, SMALL)} HTTP/1.1\r\n{fields}\r\n".encode()
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def first_byte(self) -> float:
        """Seconds until the first byte of the response; reads all of it."""
        if self._open is None:  # the kernel opens it; the server has still to accept it
            self._open = await asyncio.open_connection(self._at.hostname, self._at.port)
        reader, writer = self._open
        began = time.perf_counter()
        writer.write(self._head)
        head = await reader.readexactly(1)
        seen = time.perf_counter() - began
        head += await reader.readuntil(b"\r\n\r\n")
        length = head.lower().split(b"content-length:")[1].split(b"\r\n")[0]
        await reader.readexactly(int(length))
        return seen

    def close(self) -> None:
        if self._open is not None:
            self._open[1].close()
