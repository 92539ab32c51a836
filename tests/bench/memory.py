"""Memory of one proxy with a full cache, for `docs/deploy/sizing.md`."""

import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryDirectory

import httpx

from proxy.commands.processes import Children
from tests.bench.results import save
from tests.bench.shared import frame_path, free_port, print_row, run_origin, start

PROGRAM = Path(sys.executable).parent / "progressive-proxy"
BUDGET = 256 * 1024 * 1024
"""Bytes of the cache."""
SIZES = (16_384, 131_072, 1_000_000, 11_000_000)
"""Bytes of the frames that fill it."""
OVER = 1.25
"""How many times its budget is fetched."""
VIEWERS = 6
"""Requests at once."""
GLIBC = {
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "MALLOC_TOP_PAD_": "16777216",
    "MALLOC_TRIM_THRESHOLD_": "33554432",
}
"""What image and chart set."""
WIDTHS = (14, 12, 16, 16)


def run() -> None:
    """One proxy for each size of frames."""
    print(f"A cache of {BUDGET >> 20} MiB, filled with frames of one size by {VIEWERS} viewers. MiB of RSS.")
    print_row(("frame bytes", "frames", "before", "cache full"), WIDTHS)
    rows = []
    for size in SIZES:
        count = int(OVER * BUDGET / size) + 1
        with _proxy() as (url, process):
            before = _resident(process)
            _fetch(url, size, count)
            after = _resident(process)
        rows.append({"frame_bytes": size, "frames": count, "before_mib": before, "full_mib": after})
        print_row((f"{size:,}", f"{count:,}", str(before), str(after)), WIDTHS)
    save("memory", "python -m tests.bench memory", rows)


@contextmanager
def _proxy() -> Iterator[tuple[str, int]]:
    port, admin = free_port(), free_port()
    with Children() as children, TemporaryDirectory(prefix="bench-memory-") as folder:
        config = {
            "listen": {"viewers": f"127.0.0.1:{port}", "admin": f"127.0.0.1:{admin}"},
            "origins": [{"url": start(children, "origin", run_origin)}],
            "log": {"level": "error"},
            "cache": {"bytes": BUDGET},
        }
        path = Path(folder, "config.yaml")
        path.write_text(json.dumps(config), "utf-8")  # which is YAML too
        with Popen([PROGRAM, "serve", "--config", path], env=os.environ | GLIBC) as process:
            try:
                _wait(port)
                yield f"http://127.0.0.1:{port}", process.pid
            finally:
                process.terminate()


def _wait(port: int) -> None:
    """Until the proxy has answered once."""
    for _ in range(600):
        try:
            httpx.get(f"http://127.0.0.1:{port}/studies", trust_env=False, timeout=60)
            return
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError("the proxy does not start")


def _fetch(url: str, size: int, count: int) -> None:
    def fetch(number: int) -> None:
        path = f"{url}/{frame_path(str(number), 1, size)}"
        assert len(client.get(path, headers={"accept": "image/jphc"}).content) == size

    with httpx.Client(trust_env=False, timeout=60) as client, ThreadPoolExecutor(VIEWERS) as viewers:
        list(viewers.map(fetch, range(1, count + 1)))


def _resident(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text("utf-8")
    return int(status.split("VmRSS:")[1].split()[0]) // 1024
