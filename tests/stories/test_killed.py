"""The program is killed again and again under load: no byte is wrong, and what it had stored is there."""

import asyncio
import math
import os
import random
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.cache.tier import SMALL
from tests.house import STORY, cache_did
from tests.many import PATIENT, SINGLE, Many, many
from tests.scripted_origin import ScriptedOrigin, codestream, frame_of, running
from tests.valkey_server import running_valkey, settings_with

pytestmark = pytest.mark.anyio

KILLS = int(os.environ.get("KILLS", "12"))
"""How often the program is killed. `CONTRIBUTING.md` names the variable."""
VIEWERS = 4
MOST = 24
"""Most frames that viewers get before the program is killed."""
READ_AGAIN = 12
"""Frames of earlier rounds that are read again after each start."""
EACH_KILL = 60
"""Seconds that a round may take on a busy machine; more is a program that hangs."""
PUTS = 3
"""Most writes to a tier for one frame: after its first fetch, after its completion, and at its end."""
LOST_DISK = 4
"""One round in so many loses its disk, so that only the shared tier can be warm."""


def size_of(number: int) -> int:
    """Frames that fit into a first fetch, frames in one row of the index, and frames with a file."""
    return (30_000, 180_000, 700_000)[number % 3]


def body_of(number: int) -> bytes:
    return codestream(size_of(number), seed=number)


@dataclass
class Round:
    """The frames that one process was asked for."""

    known: list[int]
    """Frames of earlier rounds."""
    read: list[int] = field(default_factory=list)
    """Frames that viewers have got whole."""
    others: dict[str, int] = field(default_factory=dict)
    """Frames of earlier rounds that may have been written again, by tier."""
    stored: dict[str, int] = field(default_factory=dict)
    """Writes that the program reported, by tier."""

    def surely_in(self, tier: str) -> int:
        """The least number of new frames that a tier must have."""
        return max(0, math.ceil(self.stored.get(tier, 0) / PUTS) - self.others.get(tier, 0))


async def get(service: Many, number: int) -> httpx.Response:
    """A frame. Every byte that comes has to be right."""
    answer = await service.viewer.get(frame_of(number), headers=SINGLE)
    assert answer.status_code == 200
    assert answer.content == body_of(number)
    return answer


async def stored_in(service: Many) -> dict[str, int]:
    tiers = ("disk", "shared")
    counts = [await service.metric("tier_writes_total", tier=tier, outcome="stored") for tier in tiers]
    return dict(zip(tiers, map(int, counts), strict=True))


async def warm(
    service: Many, origin: ScriptedOrigin, before: Round, dice: random.Random, *, has_disk: bool
) -> Round:
    """Reads what the process before had, and looks where it comes from."""
    origin.asked.clear()
    earlier = dice.sample(before.known, min(READ_AGAIN, len(before.known)))
    came = {
        number: cache_did(await get(service, number)).rpartition("=")[2]
        for number in (*before.read, *earlier)
    }
    found = Counter(came[number] for number in before.read)
    if has_disk:
        assert found["disk"] >= before.surely_in("disk")
    else:
        assert found["disk"] == 0
        assert found["shared"] >= before.surely_in("shared")
    others = Counter[str]()
    for number, place in came.items():
        is_again = size_of(number) > SMALL or origin.requests_of(frame_of(number)) > 0  # it is put again
        others.update(disk=is_again or place != "disk", shared=is_again)
    return Round([*before.known, *before.read], others=others)


async def used(service: Many, this: Round, dice: random.Random, numbers: Iterator[int]) -> None:
    """Viewers read new frames until the program is killed in the middle."""
    enough = asyncio.Event()
    most = dice.randrange(1, MOST)

    async def view() -> None:
        for number in numbers:
            this.read.append(number)  # also if it does not come: it may be stored, and is read again
            with suppress(httpx.TransportError):  # the program is killed
                await get(service, number)
            if len(this.read) >= most:
                enough.set()
            if service.process.returncode is not None:
                return

    viewing = [asyncio.create_task(view()) for _ in range(VIEWERS)]
    await enough.wait()
    await asyncio.sleep(dice.random() * 0.05)  # a moment of its own within a frame
    this.stored = await stored_in(service)
    await asyncio.sleep(dice.random() * 0.01)
    service.process.kill()
    await service.process.wait()
    await asyncio.gather(*viewing)


@asynccontextmanager
async def started(folder: Path, origin: ScriptedOrigin, settings: dict[str, Any]) -> AsyncIterator[Many]:
    more = {"workers": {"http": 1}, "serve": PATIENT, "log": {"level": "info"}}
    async with many(folder, origin.url, **settings, **more) as service:
        yield service


@pytest.mark.slow
async def test_a_program_that_is_killed_loses_nothing_that_it_said_was_stored(tmp_path: Path) -> None:
    origin = ScriptedOrigin().with_series([body_of(number) for number in range(KILLS * (MOST + VIEWERS))])
    dice, numbers, last = random.Random(20), iter(range(len(origin.frames))), Round([])
    with running_valkey(tmp_path) as port:
        settings = settings_with(tmp_path, f"valkey://127.0.0.1:{port}", first_ms=STORY * 1000, wait_ms=0)
        settings["cache"] |= {"bytes": "64MiB", "disk": {"path": str(tmp_path / "disk"), "bytes": "4GiB"}}
        async with asyncio.timeout(STORY + EACH_KILL * KILLS), running(origin):
            is_sure, reported = dict.fromkeys(("disk", "shared"), 0), Counter[str]()
            for kill in range(KILLS):
                has_disk = kill % LOST_DISK != LOST_DISK - 1
                if not has_disk:
                    await asyncio.to_thread(shutil.rmtree, tmp_path / "disk")
                is_sure["disk" if has_disk else "shared"] += last.surely_in("disk" if has_disk else "shared")
                async with started(tmp_path, origin, settings) as service:
                    last = await warm(service, origin, last, dice, has_disk=has_disk)
                    await used(service, last, dice, numbers)
                    reported.update(last.stored)
            assert min(reported["disk"], reported["shared"]) > 0, "a tier never reported a write"
            assert sum(is_sure.values()) > 0, "nothing was ever surely stored"
