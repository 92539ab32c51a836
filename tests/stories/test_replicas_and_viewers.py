"""Three replicas with a shared tier, as processes of their own, and 300 viewers of one volume."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from valkey.asyncio import Valkey

from proxy.cache.record import VERSION
from tests.house import STORY
from tests.many import PATIENT, SINGLE, Many, many
from tests.scripted_origin import Asked, Reply, ScriptedOrigin, codestream, frame_of, honest, running
from tests.valkey_server import running_valkey, settings_with

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

REPLICAS, VIEWERS, FRAMES = 3, 300, 120
SIZE = 300_000
"""Bytes of a frame, more than a tier keeps as one value."""
EACH = 4
"""Frames that a viewer reads: the first bytes of all but the last, of which it reads all."""
EARLY = FRAMES // 3
"""Frames that come before a replica is killed."""
TOLERANCE = 0.01
SEAL = 28
"""Bytes of a value beside those of its frame."""
FIRST = SINGLE | {"range": "bytes=0-65535"}
BODIES = [codestream(SIZE, seed=number) for number in range(FRAMES)]


@dataclass
class Fleet:
    """Replicas and their viewers."""

    origin: ScriptedOrigin
    port: int
    live: list[Many]

    async def view(self, viewer: int) -> None:
        """One viewer. If its replica dies, it goes on at another one."""
        numbers = [(7 * viewer + 13 * turn) % FRAMES for turn in range(EACH)]
        for number in numbers:
            is_last = number == numbers[-1]
            answer = await self._get(viewer, number, SINGLE if is_last else FIRST)
            assert answer.content == (BODIES[number] if is_last else BODIES[number][:65536])

    async def _get(self, viewer: int, number: int, headers: dict[str, str]) -> httpx.Response:
        while True:
            service = self.live[viewer % len(self.live)]
            try:
                answer = await service.viewer.get(frame_of(number), headers=headers)
            except httpx.TransportError:
                assert service not in self.live, "only a replica that was killed may fail"
                continue
            assert answer.status_code in (200, 206)
            return answer

    async def all_read(self) -> None:
        await asyncio.gather(*(self.view(viewer) for viewer in range(VIEWERS)))

    async def shared(self) -> tuple[int, int]:
        """Frames that the server has something of, and the bytes of frames that it has."""
        async with Valkey(port=self.port) as server:
            keys = [key async for key in server.scan_iter(b"pp%d:*" % VERSION, count=1000)]
            values = [key for key in keys if key.endswith((b":first", b":0"))]
            sizes = [await server.strlen(key) - SEAL for key in values]
        return sum(key.endswith(b":first") for key in values), sum(sizes)

    def sent(self) -> Counter[str]:
        """Bytes of each frame that the origin sent."""
        sent = Counter[str]()
        for asked in self.origin.frame_requests:
            pieces = honest(self.origin.frames[asked.path], asked).pieces
            sent[asked.path] += sum(len(piece) for piece in pieces if isinstance(piece, bytes))
        return sent


@asynccontextmanager
async def fleet(folder: Path) -> AsyncIterator[Fleet]:
    origin = ScriptedOrigin().with_series(BODIES)
    with running_valkey(folder) as port:
        settings = settings_with(
            folder, f"valkey://127.0.0.1:{port}", first_ms=STORY * 1000, wait_ms=STORY * 1000
        )
        settings |= {"workers": {"http": 1}, "cache": settings["cache"] | {"bytes": "128MiB"}}
        async with asyncio.timeout(2 * STORY), running(origin), AsyncExitStack() as stack:
            live = []
            for number in range(REPLICAS):
                (place := folder / str(number)).mkdir()
                service = many(place, origin.url, serve=PATIENT, **settings)
                live.append(await stack.enter_async_context(service))
            yield Fleet(origin, port, live)


async def test_each_byte_comes_from_the_origin_once(tmp_path: Path) -> None:
    async with fleet(tmp_path) as these:
        await these.all_read()
        sent = these.sent()
        assert len(sent) == FRAMES
        assert sent.total() == pytest.approx(FRAMES * SIZE, rel=TOLERANCE)


async def test_a_replica_that_is_killed_costs_only_what_it_had_not_shared(tmp_path: Path) -> None:
    async with fleet(tmp_path) as these:
        held = held_after(these.origin, EARLY)
        reading = asyncio.create_task(these.all_read())
        while (shared := await these.shared())[0] < EARLY:
            await asyncio.sleep(0.01)
        killed = these.live.pop(0)
        killed.process.kill()
        before = these.sent().total()  # as if all that it had asked for had come
        held.set()
        await reading
        sent = these.sent()
        assert len(sent) == FRAMES
        again = sent.total() - FRAMES * SIZE
        assert 0 <= again <= before - shared[1] + TOLERANCE * FRAMES * SIZE


def held_after(origin: ScriptedOrigin, count: int) -> asyncio.Event:
    """Lets the origin answer for so many frames. The others wait for the event."""
    event, early = asyncio.Event(), set[str]()

    def script(asked: Asked) -> Reply | None:
        body = origin.frames.get(asked.path)
        if body is None:
            return None
        if len(early) < count:
            early.add(asked.path)
        return honest(body, asked, before=() if asked.path in early else (event,))

    origin.script = script
    return event
