"""A restart with a disk behind memory, on loopback: first pictures and whole frames from either.

One client asks for one frame after the other. The disk's files are in the page cache, as they are for nginx.
Then the same start with a million more entries in the index, which are put there by SQL.
"""

import http.client
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from proxy.cache.sealed import LEVELS
from proxy.commands.processes import Children
from proxy.frame.kinds import KINDS
from tests.bench.program import program
from tests.bench.shared import FIRST, NotInstalled, frame_path, nginx, print_row, run_origin, start

FRAMES, SIZE = 1000, 300_000
LARGE, LARGE_SIZE = 20, 11_000_000
SMALL, SMALL_SIZE = 10_000, 20_000
OTHERS = 1_000_000
"""Entries of other frames in a crowded index."""
WIDTHS = (34, 12, 12, 12)


def _paths(count: int, size: int) -> list[str]:
    return [f"/{frame_path('1.1', number, size)}" for number in range(count)]


def _seconds(url: str, paths: list[str], span: str = "") -> list[float]:
    """Seconds of each request on one connection, to its last byte."""
    at = urlsplit(url)
    connection = http.client.HTTPConnection(at.hostname or "", at.port or 0)
    headers = {"accept": "image/jphc"} | ({"range": span} if span else {})
    took = []
    for path in paths:
        began = time.perf_counter()
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        took.append(time.perf_counter() - began)
        assert answer.status in (200, 206)
    connection.close()
    return took


@contextmanager
def _proxy(origin: str, folder: Path, disk: dict[str, Any]) -> Iterator[tuple[str, str]]:
    key = folder / "key"
    key.write_bytes(b"k" * 32)
    config = {
        "origins": [{"name": "pacs", "url": origin}],
        "access": {"key_file": str(key)},
        "cache": {"bytes": "1GiB", "disk": {"path": str(folder / "disk"), "bytes": "4GiB", **disk}},
    }
    with program(config) as found:
        yield found.url, found.admin


def _written(admin: str) -> int:
    text = httpx.get(f"{admin}/metrics", trust_env=False).text
    name = 'tier_writes_total{outcome="stored",tier="disk"}'
    return int(next(float(line.rpartition(" ")[2]) for line in text.splitlines() if name in line))


def _until_written(admin: str) -> None:
    before = -1
    while (now := _written(admin)) != before:
        before = now
        time.sleep(1)


def _say(name: str, took: list[float], size: int) -> None:
    took = sorted(took)
    p50, p99 = (took[int(len(took) * q)] * 1000 for q in (0.5, 0.99))
    print_row((name, f"{p50:.2f}", f"{p99:.2f}", f"{size / 1e6 / (p50 / 1000):,.0f}"), WIDTHS)


def _starts(origin: str, folder: Path) -> None:
    paths = _paths(SMALL, SMALL_SIZE)
    (place := folder / "crowded").mkdir()
    with _proxy(origin, place, {"bytes": "64GiB"}) as (url, admin):
        _seconds(url, paths)
        _until_written(admin)
    for others in (0, OTHERS):
        if others:
            _crowd(place / "disk" / "frames" / "index.sqlite", others)
        began = time.perf_counter()
        with _proxy(origin, place, {"bytes": "64GiB"}) as (url, _):
            ready = time.perf_counter() - began
            took = _seconds(url, paths)
            first = sum(took[:100]) / 100 * 1000
            print(
                f"{SMALL + others:,} entries: ready after {ready:.2f} s, the first 100 frames "
                f"{first:.2f} ms each, {SMALL:,} frames in {sum(took):.1f} s"
            )


def _crowd(path: Path, others: int) -> None:
    """Adds entries that no request names."""
    columns = ("name", *LEVELS, "version", "kind", "record", "begin", "held", "used", "expires", "first_size")
    now = time.time()
    with closing(sqlite3.connect(path, isolation_level=None)) as index:
        index.execute("PRAGMA journal_mode = OFF")
        (trigger,) = index.execute("SELECT sql FROM sqlite_schema WHERE name = 'added'").fetchone()
        index.execute("DROP TRIGGER added")  # it sums up each row; here it is done once
        index.execute("BEGIN")
        index.executemany(
            f"INSERT INTO frames ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
            (
                (
                    n.to_bytes(16),
                    1,
                    n // 300,
                    n // 300,
                    n,
                    n,
                    1,
                    1,
                    "v" * 32,
                    KINDS[0],
                    b"r" * 300,
                    300,
                    300,
                    now,
                    now + 1e6,
                    0,
                )
                for n in range(others)
            ),
        )
        index.execute(trigger)
        index.execute("COMMIT")
        index.execute("PRAGMA journal_mode = WAL")


def run() -> None:
    firsts, larges = _paths(FRAMES, SIZE), _paths(LARGE, LARGE_SIZE)
    span = f"bytes=0-{FIRST - 1}"
    with Children() as children, tempfile.TemporaryDirectory(prefix="bench-disk-") as folder:
        origin = start(children, "origin", run_origin)
        secret = Path(folder, "secret")
        secret.write_bytes(b"s" * 32)
        print_row(("", "p50, ms", "p99, ms", "MB/s at p50"), WIDTHS)
        for name, disk in (("", {}), (" encrypted", {"encryption_key_file": str(secret)})):
            place = Path(folder, f"proxy{name}")
            place.mkdir()
            with _proxy(origin, place, disk) as (url, admin):
                _seconds(url, [*firsts, *larges])
                _until_written(admin)
            began = time.perf_counter()
            with _proxy(origin, place, disk) as (url, admin):
                print(
                    f"ready {time.perf_counter() - began:.2f} s after its start, with {FRAMES + LARGE} frames"
                )
                for source in ("disk" + name, "memory"):
                    _say(f"first 64 KiB from {source}", _seconds(url, firsts, span), FIRST)
                for source in ("disk" + name, "memory"):
                    _say(f"11 MB from {source}", _seconds(url, larges), LARGE_SIZE)
        _starts(origin, Path(folder))
        try:
            with nginx(origin) as url:
                _seconds(url, larges)
                _say("11 MB from nginx (slice 64k)", _seconds(url, larges), LARGE_SIZE)
        except NotInstalled as missing:
            print(missing)
