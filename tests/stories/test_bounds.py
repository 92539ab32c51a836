"""Beyond a bound a request is refused at once, while hits of others and health go on."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.guarded_origin import SINGLE
from tests.house import House, cache_did, house
from tests.scripted_origin import FRAME, Asked, Reply, ScriptedOrigin, codestream, frame_of, honest

pytestmark = pytest.mark.anyio

LARGE = FRAME.replace(".3/frames", ".9/frames")
BODIES = [codestream(100_000, seed=number) for number in range(8)]
LARGER_THAN_BUFFERS = 8_000_000
"""Bytes that the kernel does not take at once for a viewer with a small buffer that reads nothing."""
HELD, SLOW = frame_of(0), [frame_of(number) for number in range(1, 8)]


class Stalling(ScriptedOrigin):
    """Answers for the frames in `SLOW` and for searches only once its gate is open."""

    def __init__(self) -> None:
        super().__init__(script=self._script)
        self.with_series(BODIES)
        self.gate = asyncio.Event()

    def _script(self, asked: Asked) -> Reply | None:
        if asked.path in SLOW:
            return honest(self.frames[asked.path], asked, before=(self.gate,))
        if asked.path == "/studies?slow":
            return Reply(200, {"content-length": "2"}, (self.gate, b"[]"))
        return None


def of(who: str) -> dict[str, str]:
    return SINGLE | ({"authorization": f"Bearer {who}"} if who else {})


@asynccontextmanager
async def bounded(**settings: Any) -> AsyncIterator[House]:
    """A house in which the frame `HELD` is held, and `a` and `b` may read it."""
    origin = Stalling()
    settings = {"profile": "single", "access": "credential"} | settings
    async with house(origin, **settings) as home:
        for who in ("", "a", "b"):
            assert (await home.viewer.get(HELD, headers=of(who))).status_code == 200
        await home.until_inside(0)
        yield home
        origin.gate.set()


async def is_well(home: House) -> None:
    """A hit, whoever asks, and health."""
    for who in ("", "a", "b"):
        answer = await home.viewer.get(HELD, headers=of(who) | {"range": "bytes=0-"})
        assert (answer.status_code, cache_did(answer)) == (206, "hit")
    assert (await home.admin.get("/livez")).status_code == 200


def is_refused(answer: httpx.Response, status: int, bound: str, home: House) -> None:
    assert answer.status_code == status
    assert answer.headers["retry-after"] == "1"
    assert f"bounds.{bound}:" in answer.json()["detail"]
    assert home.metric("over_bounds_total", bound=bound) == 1


@asynccontextmanager
async def waiting(home: House, who: str, number: int, path: str = "") -> AsyncIterator[None]:
    """So many requests of a caller that wait."""
    async with asyncio.TaskGroup() as group:
        places = home.app.places.waiting
        then = places.taken + number
        for each in range(number):
            group.create_task(home.viewer.get(path or SLOW[each], headers=of(who)))
        await home.until(lambda: places.taken == then)
        yield
        home.origin.gate.set()  # type: ignore[attr-defined]  # the origin of this story


async def line_of(home: House, who: str, path: str) -> socket.socket:
    """A connection of a viewer that has sent a request and reads nothing."""
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await asyncio.to_thread(line.connect, (home.viewer.base_url.host, home.viewer.base_url.port))
    line.send(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {who}\r\n\r\n".encode())
    return line


@pytest.mark.parametrize("path", ["", "/studies?slow"])
async def test_a_caller_with_too_many_that_wait_is_refused_and_nobody_else(path: str) -> None:
    async with bounded(bounds={"waiting_per_caller": 3}) as home, waiting(home, "a", 3, path):
        refused = await home.viewer.get(SLOW[5], headers=of("a"))
        is_refused(refused, 429, "waiting_per_caller", home)
        assert SLOW[5] not in [asked.path for asked in home.origin.asked]
        await is_well(home)
        async with waiting(home, "b", 1):
            pass


async def test_beyond_the_bound_of_all_everybody_who_would_wait_is_refused() -> None:
    async with bounded(bounds={"waiting": 3}) as home, waiting(home, "a", 3):
        is_refused(await home.viewer.get(SLOW[5], headers=of("b")), 503, "waiting", home)
        ranged = await home.viewer.get(SLOW[5], headers=of("b") | {"range": "bytes=0-99"})
        assert (ranged.status_code, ranged.content) == (503, b"")
        await is_well(home)


async def test_viewers_without_a_credential_are_not_one_caller() -> None:
    settings = {"waiting_per_caller": 1, "sending_per_caller": 1, "uploads_per_caller": 1}
    async with bounded(bounds=settings) as home, waiting(home, "", 5):
        assert home.metric("over_bounds_total", bound="waiting_per_caller") == 0


async def test_a_place_is_free_again_after_the_response() -> None:
    async with bounded(bounds={"waiting": 1}) as home:
        home.origin.gate.set()  # type: ignore[attr-defined]
        for path in SLOW:
            answer = await home.viewer.get(path, headers=of("a"))
            assert (answer.status_code, cache_did(answer)) == (200, "fwd=miss; stored")
            await home.until_inside(0)


async def test_a_place_is_free_again_after_the_viewer_left() -> None:
    async with bounded(bounds={"waiting": 1}) as home:
        line = await line_of(home, "a", SLOW[0])
        await home.until(lambda: home.app.places.waiting.taken == 1)
        line.close()
        await home.until(lambda: home.app.places.waiting.taken == 0)
        async with waiting(home, "b", 1):
            pass


async def test_large_responses_in_delivery_have_a_bound() -> None:
    async with bounded(bounds={"sending_per_caller": 1}) as home:
        home.origin.frames[LARGE] = codestream(LARGER_THAN_BUFFERS)
        for who in ("a", "b"):
            assert (await home.viewer.get(LARGE, headers=of(who))).status_code == 200
        line = await line_of(home, "a", LARGE)
        await home.until(lambda: home.app.places.sending.taken == 1)
        is_refused(await home.viewer.get(LARGE, headers=of("a")), 429, "sending_per_caller", home)
        assert (await home.viewer.get(LARGE, headers=of("b"))).status_code == 200
        await is_well(home)
        line.close()
        await home.until(lambda: home.app.places.sending.taken == 0)


async def test_uploads_have_a_bound() -> None:
    gate = asyncio.Event()

    async def upload() -> AsyncIterator[bytes]:
        yield b"o"
        await gate.wait()

    async with bounded(bounds={"uploads_per_caller": 1}) as home, asyncio.TaskGroup() as group:
        group.create_task(home.viewer.post("/studies", content=upload(), headers=of("a")))
        await home.until(lambda: home.app.places.uploads.taken == 1)
        refused = await home.viewer.post("/studies", content=b"more", headers=of("a"))
        is_refused(refused, 429, "uploads_per_caller", home)
        assert (await home.viewer.post("/studies", content=b"more", headers=of("b"))).status_code == 404
        await is_well(home)
        gate.set()


async def test_requests_that_wait_for_a_probe_have_a_bound() -> None:
    origin, gate = ScriptedOrigin(), asyncio.Event()
    origin.with_series(BODIES)

    def script(asked: Asked) -> Reply | None:
        is_probe = asked.headers.get("authorization") == "Bearer b"
        return honest(origin.frames[asked.path], asked, before=(gate,)) if is_probe else None

    origin.script = script
    async with house(origin, profile="single", bounds={"waiting_per_caller": 2}) as home:
        first = {"range": "bytes=0-999"}
        assert (await home.viewer.get(HELD, headers=of("a"))).status_code == 200
        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(home.viewer.get(HELD, headers=of("b") | first)) for _ in range(2)]
            await home.until(lambda: home.app.places.waiting.taken == 2)
            is_refused(await home.viewer.get(HELD, headers=of("b")), 429, "waiting_per_caller", home)
            assert cache_did(await home.viewer.get(HELD, headers=of("a") | first)) == "hit"
            gate.set()
        assert {cache_did(await each) for each in asking} == {"hit"}


async def test_a_list_has_one_place_although_the_origin_is_asked_for_each_frame() -> None:
    origin = ScriptedOrigin()
    origin.with_series(BODIES)
    listed = HELD.replace("frames/1", "frames/1,1,1")
    settings: dict[str, Any] = {"access": {"ttl": 0}, "bounds": {"waiting": 1}, "profile": "single"}
    async with house(origin, **settings) as home:
        for _ in range(2):
            headers = of("a") | {"accept": "multipart/related; type=image/jphc"}
            assert (await home.viewer.get(listed, headers=headers)).status_code == 200
            await home.until_inside(0)
        assert home.metric("over_bounds_total", bound="waiting") == 0
        assert home.metric("access_probes_total", outcome="yes") >= 3
