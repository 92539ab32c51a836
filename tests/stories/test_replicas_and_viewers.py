"""Three replicas with a shared tier, as processes of their own, and 300 viewers of one volume."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from valkey.asyncio import Valkey

from proxy.cache.record import VERSION
from proxy.cache.tier import piece_end
from tests.house import STORY
from tests.many import PATIENT, SINGLE, Many, many
from tests.scripted_origin import Asked, Reply, ScriptedOrigin, codestream, frame_of, honest, running
from tests.valkey_server import running_valkey, settings_with

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

REPLICAS, VIEWERS, FRAMES = 3, 300, 120
SIZE = 320_000
"""Bytes of a frame: more than a tier keeps as one value, and so few that no completion is held back."""
IN_FLIGHT = 4
"""Requests of a replica that the origin answers at once."""
EACH = 4
"""Frames that a viewer reads: the first bytes of all but the last, of which it reads all."""
EARLY = FRAMES // 3
"""Frames of which all bytes come before a replica is killed. All others stop at `STOP` until then."""
STOP = SIZE - 5000
WRITTEN = piece_end(piece_end(65536))
"""The end of the last piece before `STOP`."""
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
                if service in self.live:
                    raise
                continue
            assert answer.status_code in (200, 206)
            return answer

    async def all_read(self) -> None:
        await asyncio.gather(*(self.view(viewer) for viewer in range(VIEWERS)))

    async def shared(self) -> tuple[int, int]:
        """Frames that the server has something of, and the bytes of frames that it has."""
        async with Valkey(port=self.port, socket_timeout=STORY) as server:
            keys = [key async for key in server.scan_iter(b"pp%d:*" % VERSION, count=1000)]
            firsts = [key for key in keys if key.endswith(b":first")]
            pieces = [key for key in keys if len(last := key.rpartition(b":")[2]) < 16 and last.isdigit()]
            sizes = server.pipeline(transaction=False)
            for key in firsts + pieces:
                sizes.strlen(key)
            return len(firsts), sum(await sizes.execute()) - SEAL * len(firsts + pieces)

    def sent(self) -> int:
        """Bytes of frames that the origin sent."""
        pieces = (
            honest(self.origin.frames[asked.path], asked).pieces for asked in self.origin.frame_requests
        )
        return sum(len(piece) for each in pieces for piece in each if isinstance(piece, bytes))


@asynccontextmanager
async def fleet(folder: Path) -> AsyncIterator[Fleet]:
    origin = ScriptedOrigin().with_series(BODIES)
    with running_valkey(folder) as port:
        settings = settings_with(
            folder, f"valkey://127.0.0.1:{port}", first_ms=STORY * 1000, wait_ms=STORY * 1000
        )
        settings |= {"workers": {"http": 1}, "cache": settings["cache"] | {"bytes": "128MiB"}}
        timeouts = dict.fromkeys(("connect", "first_byte", "stall"), STORY)
        settings["at_origin"] = {"limits": {"in_flight": IN_FLIGHT}, "timeouts": timeouts}
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
        assert these.sent() == pytest.approx(FRAMES * SIZE, rel=TOLERANCE)


async def test_if_a_replica_is_killed_in_the_middle_each_byte_comes_once_but_for_pieces_under_way(
    tmp_path: Path,
) -> None:
    async with fleet(tmp_path) as these:
        stopped, goes_on = stops_after(these.origin, EARLY)
        reading = asyncio.create_task(these.all_read())
        while len(stopped) < IN_FLIGHT or await these.shared() != (FRAMES, all_of(stopped)):
            assert not reading.done()
            await asyncio.sleep(0.05)
        killed = these.live.pop(0)
        killed.process.kill()
        goes_on.set()
        await reading
        taken_over = [path for path in stopped if these.origin.requests_of(path) > 2]
        for path in these.origin.frames:
            more = [f"bytes={WRITTEN}-"] if path in taken_over else []
            assert these.origin.ranges_of(path) == ["bytes=0-65535", "bytes=65536-", *more]
        assert len(taken_over) <= IN_FLIGHT
        sent = these.sent() - len(taken_over) * (SIZE - STOP)  # these bytes never went out to the dead one
        assert sent == pytest.approx(FRAMES * SIZE, rel=TOLERANCE)


def all_of(stopped: set[str]) -> int:
    """Bytes that the server has once it has all pieces that have come."""
    return EARLY * SIZE + len(stopped) * WRITTEN + (FRAMES - EARLY - len(stopped)) * 65536


def stops_after(origin: ScriptedOrigin, count: int) -> tuple[set[str], asyncio.Event]:
    """Lets the origin complete so many frames. Others stop at `STOP` until the event; they are in the set."""
    event, early, stopped = asyncio.Event(), set[str](), set[str]()

    def script(asked: Asked) -> Reply | None:
        if asked.path not in origin.frames or asked.range == "bytes=0-65535" or event.is_set():
            return None
        if len(early) < count:
            early.add(asked.path)
            return None
        stopped.add(asked.path)
        reply = honest(origin.frames[asked.path], asked)
        (content,) = reply.pieces
        assert isinstance(content, bytes)
        last = SIZE - STOP
        return replace(reply, pieces=(content[:-last], event, content[-last:]))

    origin.script = script
    return stopped, event
