"""Memory of one proxy with a full cache, and with many slow viewers, for `docs/deploy/sizing.md`."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from proxy.commands.processes import Children
from tests.bench.program import Program, program
from tests.bench.results import save
from tests.bench.shared import frame_path, print_row, run_origin, start

BUDGET = 256 * 1024 * 1024
"""Bytes of the cache."""
SIZES = (16_384, 131_072, 1_000_000, 11_000_000)
"""Bytes of the frames that fill it."""
OVER = 1.25
"""How many times its budget is fetched."""
VIEWERS = 6
"""Requests at once."""
WIDTHS = (14, 12, 16, 16)
RADIOGRAPH = 10_000_000
"""Bytes of the frame that each slow viewer reads."""
SLOW = ((1024, 100, 1_250_000, 8), (256, 100, 1_250_000, 8), (256, 200, 20_000, 20))
"""MiB of the cache, number of slow viewers, bytes per second of each, and seconds that they read."""
AFTER = 10.0
"""Seconds after the viewers have left, when memory is measured again."""
SIP = 65_536
"""Most bytes that a slow viewer reads at once."""


def run() -> None:
    """One proxy for each size of frames."""
    print(f"A cache of {BUDGET >> 20} MiB, filled with frames of one size by {VIEWERS} viewers. MiB of RSS.")
    print_row(("frame bytes", "frames", "before", "cache full"), WIDTHS)
    rows = []
    for size in SIZES:
        count = int(OVER * BUDGET / size) + 1
        with _proxy() as proxy:
            before = resident(proxy.process)
            _fetch(proxy.url, size, count)
            after = resident(proxy.process)
        rows.append({"frame_bytes": size, "frames": count, "before_mib": before, "full_mib": after})
        print_row((f"{size:,}", f"{count:,}", str(before), str(after)), WIDTHS)
    save("memory", "python -m tests.bench memory", rows)
    _run_slow()


def _run_slow() -> None:
    """One proxy for each crowd of slow viewers."""
    print(f"\nSlow viewers, each of which reads its own frame of {RADIOGRAPH:,} bytes. MiB of RSS.")
    print_row(("cache", "viewers", "bytes/s", "most", "10 s after"), (*WIDTHS, 12))
    rows = []
    for budget, viewers, rate, seconds in SLOW:
        with _proxy(budget << 20) as proxy:
            most = asyncio.run(_read_slowly(proxy.url, proxy.process, viewers, rate, seconds))
            time.sleep(AFTER)
            after = resident(proxy.process)
        rows.append({"budget_mib": budget, "viewers": viewers, "rate": rate, "most": most, "after": after})
        print_row((f"{budget} MiB", str(viewers), f"{rate:,}", str(most), str(after)), (*WIDTHS, 12))
    save("memory_slow", "python -m tests.bench memory", rows)


async def _read_slowly(url: str, process: int, viewers: int, rate: int, seconds: float) -> int:
    """Reads as slow viewers do. Returns the most MiB that the process had."""
    most = resident(process)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_sip(url, number, rate, seconds)) for number in range(viewers)]
        while not all(task.done() for task in tasks):
            most = max(most, resident(process))
            await asyncio.sleep(0.1)
    return most


async def _sip(url: str, number: int, rate: int, seconds: float) -> None:
    """Reads a frame at `rate` bytes per second, and leaves after some seconds or at its end."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port, limit=SIP)
    path = frame_path(f"1.{number}", 1, RADIOGRAPH)
    head = f"GET /{path} HTTP/1.1\r\nhost: {place.netloc}\r\naccept: image/jphc\r\n\r\n"
    writer.write(head.encode())
    status = await reader.readline()
    assert b" 200 " in status, status
    began, got, size = time.monotonic(), 0, min(SIP, rate // 4)
    while got < RADIOGRAPH and time.monotonic() - began < seconds:
        came = await reader.read(size)
        assert came, f"viewer {number} was cut off after {got:,} bytes"
        got += len(came)
        await asyncio.sleep(max(0.0, began + got / rate - time.monotonic()))
    writer.close()


@contextmanager
def _proxy(budget: int = BUDGET) -> Iterator[Program]:
    with Children() as children:
        origins = [{"url": start(children, "origin", run_origin)}]
        with program({"origins": origins, "cache": {"bytes": budget}}) as found:
            yield found


def _fetch(url: str, size: int, count: int) -> None:
    def fetch(number: int) -> None:
        path = f"{url}/{frame_path(str(number), 1, size)}"
        assert len(client.get(path, headers={"accept": "image/jphc"}).content) == size

    with httpx.Client(trust_env=False, timeout=60) as client, ThreadPoolExecutor(VIEWERS) as viewers:
        list(viewers.map(fetch, range(1, count + 1)))


def resident(process: int) -> int:
    """MiB that a process has."""
    status = Path(f"/proc/{process}/status").read_text("utf-8")
    return int(status.split("VmRSS:")[1].split()[0]) // 1024
