"""Memory of one proxy with a full cache, for `docs/deploy/sizing.md`."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

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


def run() -> None:
    """One proxy for each size of frames."""
    print(f"A cache of {BUDGET >> 20} MiB, filled with frames of one size by {VIEWERS} viewers. MiB of RSS.")
    print_row(("frame bytes", "frames", "before", "cache full"), WIDTHS)
    rows = []
    for size in SIZES:
        count = int(OVER * BUDGET / size) + 1
        with _proxy() as proxy:
            before = _resident(proxy.process)
            _fetch(proxy.url, size, count)
            after = _resident(proxy.process)
        rows.append({"frame_bytes": size, "frames": count, "before_mib": before, "full_mib": after})
        print_row((f"{size:,}", f"{count:,}", str(before), str(after)), WIDTHS)
    save("memory", "python -m tests.bench memory", rows)


@contextmanager
def _proxy() -> Iterator[Program]:
    with Children() as children:
        origins = [{"url": start(children, "origin", run_origin)}]
        with program({"origins": origins, "cache": {"bytes": BUDGET}}) as found:
            yield found


def _fetch(url: str, size: int, count: int) -> None:
    def fetch(number: int) -> None:
        path = f"{url}/{frame_path(str(number), 1, size)}"
        assert len(client.get(path, headers={"accept": "image/jphc"}).content) == size

    with httpx.Client(trust_env=False, timeout=60) as client, ThreadPoolExecutor(VIEWERS) as viewers:
        list(viewers.map(fetch, range(1, count + 1)))


def _resident(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text("utf-8")
    return int(status.split("VmRSS:")[1].split()[0]) // 1024
