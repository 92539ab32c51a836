"""One worker beside two: hits per second, processor time, bytes fetched once, memory, and 1,000 viewers."""

import asyncio
import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import httpx

from proxy.commands.processes import Children
from proxy.service.allocator import RETURNED_EVERY
from proxy.service.several.owners import Owners
from tests.bench.program import Program, program
from tests.bench.shared import FIRST, frame_path, installed, print_row, run_origin, start
from tests.many import children_of

COUNTS = (1, 2)
"""Workers of the services that are compared."""
SIZE = 1_000_000
"""Bytes of a warm frame."""
SECONDS, ROUNDS = 3, 5
"""Seconds of one measurement, and rounds in which the services take turns."""
CONNECTIONS = 4
"""Connections of each of the clients, one client for a study."""
VOLUME, PART = 174, 131_072
"""Frames of a cold volume, and bytes of each."""
VIEWERS = 1000
CACHE = 256 * 1024 * 1024
TICKS = os.sysconf("SC_CLK_TCK")
WIDTHS = (26, 9, 9, 10, 14, 9)
HEADERS = ("Accept: image/jphc", f"Range: bytes=0-{FIRST - 1}")


def run() -> None:
    wrk = installed("wrk", "wrk")
    print(
        f"wrk has {CONNECTIONS} connections for each of four studies, and runs on the same cores.\n"
        f"Medians of {ROUNDS} rounds of {SECONDS} s, in which one worker and two take turns.\n"
        "ms each: of the processor, for a hit, in all processes of the proxy. A core each: hits per second\n"
        "if each worker had a core to itself, which follows from that."
    )
    with Children() as children, ExitStack() as stack:
        origin = start(children, "origin", run_origin)
        services = {count: stack.enter_context(_service(origin, count)) for count in COUNTS}
        _hits(services, wrk)
        for count, service in services.items():
            _cold(origin, count, service)
        _memory(services)


@contextmanager
def _service(origin: str, count: int) -> Iterator[Program]:
    config: dict[str, Any] = {"origins": [{"url": origin}], "cache": {"bytes": CACHE}}
    with program({**config, "workers": {"http": count}}) as service:
        yield service


def _studies(each: int, salt: str) -> list[str]:
    """Studies, so many for each of two workers."""
    owners, found = Owners((0, 1)), list[str]()
    for number in (0, 1):
        named = (f"{salt}.{n}" for n in range(1000))
        found += [uid for uid in named if owners.of(uid.encode()) == number][:each]
    return found


def _hits(services: dict[int, Program], wrk: str) -> None:
    paths = [frame_path(study, 0, SIZE) for study in _studies(2, "1.1")]
    for service in services.values():
        asyncio.run(_read(service.url, [[path, path] for path in paths]))
    print("\n64 KiB hits")
    print_row(("", "hits/s", "× one", "ms each", "a core each", "× one"), WIDTHS)
    with TemporaryDirectory(prefix="bench-workers-") as folder:
        mixed = Path(folder, "mixed.lua")
        listed = ", ".join(f'"/{path}"' for path in paths)
        mixed.write_text(
            f"local paths, n = {{{listed}}}, 0\n"
            "function request() n = n + 1; return wrk.format(nil, paths[n % #paths + 1]) end\n"
        )
        for title, clients in {
            "a study each": [[f"-c{CONNECTIONS}", path] for path in paths],
            "all mixed": [[f"-c{4 * CONNECTIONS}", "-s", str(mixed), ""]],
        }.items():
            _compare(title, services, wrk, clients)


def _compare(title: str, services: dict[int, Program], wrk: str, clients: list[list[str]]) -> None:
    rates: dict[int, list[tuple[float, float]]] = {count: [] for count in services}
    for _ in range(ROUNDS):
        for count, service in services.items():
            before = _processor(service)
            hits = _wrk(wrk, service.url, clients)
            rates[count].append((hits, _processor(service) - before))
    best = 0.0
    one = median(hits for hits, _ in rates[COUNTS[0]])
    for count, measured in rates.items():
        hits = median(hits for hits, _ in measured)
        each = median(used / hits for hits, used in measured)
        most = count / each
        best = best or most
        shown = (f"{hits / SECONDS:,.0f}", f"{hits / one:.2f}", f"{1000 * each:.3f}", f"{most:,.0f}")
        print_row((f"{title}, {count} worker{'s' * (count > 1)}", *shown, f"{most / best:.2f}"), WIDTHS)


def _wrk(wrk: str, url: str, clients: list[list[str]]) -> float:
    """Requests that all clients together got answered."""
    told = [argument for header in HEADERS for argument in ("-H", header)]
    running = [
        subprocess.Popen(
            [wrk, "-t1", f"-d{SECONDS}s", "--timeout", "30s", *told, *options, f"{url}/{path}"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for *options, path in clients
    ]
    said = [process.communicate()[0] for process in running]
    assert not re.search("Non-2xx|Socket errors", "".join(said)), said
    found = [re.search(r"([0-9]+) requests in", each) for each in said]
    return sum(float(each[1]) for each in found if each)


def _processes(service: Program) -> list[int]:
    """The parent, the fork server and the workers; only the first with one worker."""
    servers = children_of(service.process)
    return [service.process, *servers, *(worker for each in servers for worker in children_of(each))]


def _processor(service: Program) -> float:
    """Seconds of the processor that the service has used."""
    used = 0
    for process in _processes(service):
        fields = Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()
        used += int(fields[11]) + int(fields[12])
    return used / TICKS


def _cold(origin: str, count: int, service: Program) -> None:
    """A volume, read by 1,000 viewers at once, each of whom has a connection of its own."""
    studies = _studies(2, f"1.2.{count}")
    paths = [frame_path(study, number, PART) for study in studies for number in range(VOLUME)]
    wanted = [[paths[(viewer + 7 * turn) % len(paths)] for turn in range(3)] for viewer in range(VIEWERS)]
    asyncio.run(_read(service.url, wanted))
    asyncio.run(_read(service.url, [paths[place::16] for place in range(16)]))
    asked = Counter[str]()
    for study in studies:
        asked.update(httpx.get(f"{origin}/asked/{study}", trust_env=False).json()[0])
    metrics = httpx.get(f"{service.admin}/metrics", trust_env=False, timeout=60).text
    moved = re.findall(r'moved_connections_total\{outcome="(\w+)"\} ([0-9.e+]+)', metrics)
    print(
        f"\n{len(studies)} cold volumes, {VIEWERS:,} viewers, {count} worker{'s' * (count > 1)}\n"
        f"frames {len(paths)}; asked for at the origin: {dict(sorted(asked.items()))}\n"
        f"connections: {', '.join(f'{number} {outcome}' for outcome, number in moved)}"
    )


async def _read(url: str, wanted: list[list[str]]) -> None:
    """Each viewer reads its frames, one after the other, on a connection of its own."""
    parts = urlsplit(url)

    async def view(paths: list[str]) -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 20)
        for path in paths:
            asked = f"GET /{path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: image/jphc\r\n\r\n"
            writer.write(asked.encode())
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200 "), answer
            size = int(path.split("/")[5].split(".")[-1])
            assert len(await reader.readexactly(size)) == size
        writer.close()

    await asyncio.gather(*map(view, wanted))


def _memory(services: dict[int, Program]) -> None:
    """Proportional set size of all processes, after the cache was filled with 1.25 times its budget."""
    frames = CACHE * 5 // 4 // SIZE
    for service in services.values():
        paths = [frame_path(f"1.3.{number % 40}", number, SIZE) for number in range(frames)]
        asyncio.run(_read(service.url, [paths[place::6] for place in range(6)]))
    for after in (0.0, RETURNED_EVERY + 2):
        time.sleep(after)
        print(f"\nMemory with a full cache of 256 MiB, after {after:.0f} s, MiB")
        print_row(("", "all", "others", "each worker"), (26, 9, 9, 17))
        for count, service in services.items():
            held = [_held(process) for process in _processes(service)]
            others, workers = sum(held[:-count]), ", ".join(f"{each:.0f}" for each in held[-count:])
            name = f"{count} worker{'s' * (count > 1)}"
            print_row((name, f"{sum(held):.0f}", f"{others:.0f}", workers), (26, 9, 9, 17))


def _held(process: int) -> float:
    text = Path(f"/proc/{process}/smaps_rollup").read_text("utf-8")
    found = re.search(r"^Pss: +([0-9]+) kB", text, re.MULTILINE)
    assert found
    return int(found[1]) / 1024
