"""Frames that together are larger than the cache, read by slow viewers: memory stays within the budget."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from starlette.types import Message

from proxy.cache.room import STRETCH
from proxy.frame.scope import FrameScope
from tests.house import House, house
from tests.scripted_origin import FRAME, Asked, Reply, ScriptedOrigin, codestream, honest

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024
FIRST = 65536
SINGLE = {"accept": "image/jphc"}
PATHS = [FRAME.replace("frames/1", f"frames/{n}") for n in range(1, 7)]
BODIES = {path: codestream(3_000_000, seed) for seed, path in enumerate(PATHS)}
FLOOR = FIRST + 3 * STRETCH
"""Bytes that a reader needs in any case: a first piece, the piece that is sent, and the next two."""
PARTS = ("first", "rest", "overhead", "filling", "lent")


class SlowViewer:
    """A viewer without a socket, so without buffers: a piece is sent when the story takes it."""

    def __init__(self, home: House, path: str) -> None:
        self._home = home
        self._path = path
        self._sent: asyncio.Queue[Message] = asyncio.Queue()
        self._taken = asyncio.Semaphore(0)
        self.body = b""
        self.answering = asyncio.create_task(self._answer())

    async def _answer(self) -> None:
        headers = [(b"host", b"127.0.0.1"), (b"accept", b"image/jphc")]
        scope = {"type": "http", "method": "GET", "path": self._path, "raw_path": self._path.encode()}
        scope |= {"query_string": b"", "headers": headers, "client": ("127.0.0.1", 1), "scheme": "http"}
        await self._home.app.viewers(scope, self._receive, self._send)

    async def _receive(self) -> Message:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def _send(self, message: Message) -> None:
        self._sent.put_nowait(message)
        await self._taken.acquire()

    async def take(self, size: int = 1) -> None:
        """Reads on until `size` more bytes have come, or all."""
        stop = min(len(self.body) + size, len(BODIES[self._path]))
        while len(self.body) < stop:
            self.body += (await self._sent.get()).get("body", b"")
            self._taken.release()
        assert BODIES[self._path].startswith(self.body)

    @property
    def has_all(self) -> bool:
        return self.body == BODIES[self._path]


@asynccontextmanager
async def slow_viewer(home: House, path: str) -> AsyncIterator[SlowViewer]:
    viewer = SlowViewer(home, path)
    try:
        yield viewer
    finally:
        viewer.answering.cancel()
        await asyncio.gather(viewer.answering, return_exceptions=True)


def counted(home: House) -> float:
    return sum(home.metric("cache_bytes", part=part) for part in PARTS)


@asynccontextmanager
async def beside(home: House, path: str) -> AsyncIterator[SlowViewer]:
    """A slow viewer of another frame, once the first is in the cache and the other's fill has stopped."""
    await home.until_idle()
    async with slow_viewer(home, path) as viewer:
        await viewer.take()
        await home.until(lambda: home.app.fills.waiting == 1)
        yield viewer


async def test_slow_viewers_of_more_than_the_budget_get_every_byte_within_it() -> None:
    budget, most = 4 * MIB, 0.0
    async with (
        house(ScriptedOrigin(dict(BODIES)), cache={"bytes": budget}) as home,
        AsyncExitStack() as stack,
    ):
        viewers = [await stack.enter_async_context(slow_viewer(home, path)) for path in PATHS]
        while not all(viewer.has_all for viewer in viewers):
            for viewer in viewers:
                await viewer.take(100_000)
                most = max(most, counted(home))
        assert budget - MIB < most <= budget + len(PATHS) * FLOOR
        await stack.aclose()
        assert home.metric("cache_bytes", part="filling") == home.metric("cache_bytes", part="lent") == 0
        assert counted(home) <= budget


async def test_a_fill_far_ahead_of_its_reader_stops_and_goes_on_when_the_reader_comes() -> None:
    async with house(ScriptedOrigin(dict(BODIES)), cache={"bytes": 4 * MIB}) as home:
        async with slow_viewer(home, PATHS[0]) as first, beside(home, PATHS[1]) as second:
            await second.take(len(BODIES[PATHS[1]]))
            assert second.has_all
            await first.take(len(BODIES[PATHS[0]]))
            assert first.has_all
        await home.until_idle()
        assert home.origin.requests_of(PATHS[0]) == 2


async def test_a_stopped_fill_goes_on_by_itself_when_others_have_left() -> None:
    async with (
        house(ScriptedOrigin(dict(BODIES)), cache={"bytes": 4 * MIB}) as home,
        AsyncExitStack() as stack,
    ):
        await stack.enter_async_context(slow_viewer(home, PATHS[0]))
        async with beside(home, PATHS[1]) as second:
            await stack.aclose()
            await home.until_idle()  # nobody reads the first frame any more, so the cache evicts it
            assert home.metric("cache_evictions_total", part="rest") == 1
            await second.take(len(BODIES[PATHS[1]]))
            assert second.has_all
        again = await home.viewer.get(PATHS[1], headers=SINGLE)
        assert again.headers["cache-status"].endswith("hit")


async def test_a_stopped_fill_that_everybody_leaves_ends_and_a_later_viewer_completes_it() -> None:
    async with house(ScriptedOrigin(dict(BODIES)), cache={"bytes": 4 * MIB}) as home:
        async with slow_viewer(home, PATHS[0]):
            async with beside(home, PATHS[1]):
                pass
            await home.until_idle()
            assert home.metric("cache_bytes", part="filling") == 0
        answer = await home.viewer.get(PATHS[1], headers=SINGLE)
        assert answer.content == BODIES[PATHS[1]]
        assert "partial" in answer.headers["cache-status"]


async def test_a_frame_in_use_is_not_evicted_and_counts_once() -> None:
    async with (
        house(ScriptedOrigin(dict(BODIES)), cache={"bytes": 4 * MIB}) as home,
        slow_viewer(home, PATHS[0]) as first,
    ):
        await first.take()
        await home.until_idle()
        assert home.metric("cache_bytes", part="rest") == len(BODIES[PATHS[0]]) - FIRST
        assert home.metric("cache_bytes", part="filling") == home.metric("cache_bytes", part="lent") == 0
        assert (await home.viewer.get(PATHS[1], headers=SINGLE)).content == BODIES[PATHS[1]]
        await home.until_idle()
        assert (await home.viewer.get(PATHS[0], headers=SINGLE)).headers["cache-status"].endswith("hit")
        await first.take(len(BODIES[PATHS[0]]))
        assert first.has_all


async def test_a_frame_that_is_dropped_while_it_is_read_counts_until_it_is_left() -> None:
    async with house(ScriptedOrigin(dict(BODIES)), cache={"bytes": 8 * MIB}) as home:
        async with slow_viewer(home, PATHS[0]) as first:
            await first.take()
            await home.until_idle()
            home.app.forget(FrameScope("pacs"))
            assert home.metric("cache_bytes", part="lent") == len(BODIES[PATHS[0]])
            assert home.metric("cache_bytes", part="rest") == 0
            await first.take(len(BODIES[PATHS[0]]))
            assert first.has_all
        assert home.metric("cache_bytes", part="lent") == 0


async def test_another_version_while_a_fill_is_stopped_cuts_the_answer_and_mixes_nothing() -> None:
    other = codestream(3_000_000, 99)
    is_replaced = False

    def script(asked: Asked) -> Reply | None:
        return honest(other, asked) if is_replaced and asked.path == PATHS[1] else None

    async with (
        house(ScriptedOrigin(dict(BODIES), script), cache={"bytes": 4 * MIB}) as home,
        slow_viewer(home, PATHS[0]),
        beside(home, PATHS[1]) as second,
    ):
        is_replaced = True
        reading = asyncio.create_task(second.take(len(BODIES[PATHS[1]])))
        await asyncio.wait({second.answering})  # `take` compares all that comes
        reading.cancel()
        assert FIRST < len(second.body) < len(BODIES[PATHS[1]])


@pytest.mark.parametrize("headers", [SINGLE, SINGLE | {"range": f"bytes=0-{FIRST - 1}"}])
async def test_a_fill_that_has_ended_is_freed_without_the_collector(headers: dict[str, str]) -> None:
    origin = ScriptedOrigin(frames={path: BODIES[path] for path in PATHS})
    async with house(origin) as home:
        gc.collect()
        gc.disable()
        try:
            origin.door = asyncio.Event()  # else the fill may be over before it is seen
            answering = asyncio.create_task(home.viewer.get(PATHS[0], headers=headers))
            await home.until(lambda: len(home.app.fills) == 1)
            (fill,) = (weakref.ref(each) for each in home.app.fills._table.values())
            origin.door.set()
            await answering
            await home.until_idle()
            await home.until(lambda: fill() is None)
        finally:
            gc.enable()
