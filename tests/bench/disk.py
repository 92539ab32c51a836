"""A restart with a disk behind memory, on loopback: first pictures and whole frames from either.

One client asks for one frame after the other. The disk's files are in the page cache, as they are for nginx.
"""

import http.client
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from proxy.commands.processes import Children
from tests.bench.program import program
from tests.bench.shared import FIRST, NotInstalled, frame_path, nginx, print_row, run_origin, start

FRAMES, SIZE = 1000, 300_000
LARGE, LARGE_SIZE = 20, 11_000_000
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
        try:
            with nginx(origin) as url:
                _seconds(url, larges)
                _say("11 MB from nginx (slice 64k)", _seconds(url, larges), LARGE_SIZE)
        except NotInstalled as missing:
            print(missing)
