"""Ten thousand random sequences of viewers, origin behaviour and evictions (`tests.sequences`).

They take minutes, so they run only if they are named. `SEQUENCES=100` plays fewer, `FIRST_SEED=500` others.
"""

import asyncio
import logging
import os
import time
from collections.abc import Iterator
from random import Random

import uvloop

from tests.sequences.theatre import Theatre, theatre
from tests.sequences.values import sequence_of

COUNT = int(os.environ.get("SEQUENCES", "10000"))
FIRST_SEED = int(os.environ.get("FIRST_SEED", "0"))
AT_ONCE = 8
"""Sequences that are played at once."""


def run() -> None:
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # it logs every response that is aborted
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    uvloop.run(_run())


async def _run() -> None:
    seeds, failed, began = iter(range(FIRST_SEED, FIRST_SEED + COUNT)), list[int](), time.perf_counter()
    async with theatre() as open_theatre, asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(_play_some(open_theatre, seeds, failed))
    took = time.perf_counter() - began
    for what, times in sorted(open_theatre.seen.items()):
        print(f"{times:9,}  {what}")
    print(f"{COUNT:,} sequences in {took:.0f} s; {len(failed)} failed{': seeds ' * bool(failed)}", *failed)


async def _play_some(open_theatre: Theatre, seeds: Iterator[int], failed: list[int]) -> None:
    for seed in seeds:
        try:
            await open_theatre.play(sequence_of(Random(seed)))
        except AssertionError as error:
            failed.append(seed)
            print(f"seed {seed}: {error}", *error.__notes__, sep="\n", flush=True)
