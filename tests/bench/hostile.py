"""Broken and malicious frames: the workers' results for them, and their cost."""

import asyncio
import time
from collections import Counter

from proxy.codecs.workers import Workers
from tests.bench.shared import print_row
from tests.hostile import Outcomes, jobs, outcomes, wholes

JOBS = 2_000
AT_ONCE = 4
NUMBER, MEMORY, SECONDS = 2, 2 << 30, 30.0
"""Number of workers, memory and time limits. These are the defaults."""
WIDTHS = (40, 10)


def run() -> None:
    syntaxes = Counter(each.syntax for each in wholes())
    print(
        f"{JOBS:,} jobs of {len(wholes())} frames in {len(syntaxes)} transfer syntaxes, one in ten valid.\n"
        f"{NUMBER} workers with {MEMORY >> 30} GiB and {SECONDS:.0f} s per job. {AT_ONCE} jobs at once."
    )
    began = time.perf_counter()
    found, left = asyncio.run(_all())
    took = time.perf_counter() - began
    for name, count in sorted(found.counts.items()):
        print_row((name, f"{count:,}"), WIDTHS)
    print_row(("pictures of the wrong size", str(len(found.wrong))), WIDTHS)
    print_row(("workers lost", str(len(found.lost))), WIDTHS)
    print_row(("workers left behind", str(left)), WIDTHS)
    print_row(("seconds", f"{took:.1f}"), WIDTHS)
    print_row(("seconds of the slowest job", f"{found.slowest:.2f}"), WIDTHS)


async def _all() -> tuple[Outcomes, int]:
    async with Workers(NUMBER, MEMORY, SECONDS) as workers:
        found = await outcomes(workers, jobs(JOBS), AT_ONCE)
    return found, len(workers.running)
