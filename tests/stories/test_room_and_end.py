"""A cache that is full while a frame is filled, and a service that shuts down during a fill."""

import asyncio

import httpx
import pytest

from tests.house import House, cache_did, house, read_until
from tests.scripted_origin import FRAME, Asked, Reply, ScriptedOrigin, codestream, honest
from tests.stories.test_viewers import BODY, FIRST, SINGLE, stops_in_completion

pytestmark = pytest.mark.anyio


def ranges_of(home: House, path: str) -> list[str | None]:
    return [asked.range for asked in home.origin.frame_requests if asked.path == path]


async def test_a_frame_larger_than_the_cache_is_served_whole_and_its_first_bytes_are_kept() -> None:
    body = codestream(3_000_000)
    async with house(ScriptedOrigin({FRAME: body}), cache={"bytes": "1MiB"}) as home:
        assert (await home.viewer.get(FRAME, headers=SINGLE)).content == body
        assert home.metric("cache_bytes", part="first") == FIRST
        assert home.metric("cache_bytes", part="rest") == 0
        async with home.viewer.stream("GET", FRAME, headers=SINGLE | {"range": "bytes=0-65535"}) as again:
            assert cache_did(again) == "hit"
            assert await again.aread() == body[:FIRST]
        await home.until_idle()
        assert home.origin.ranges.count("bytes=0-65535") == 1


async def test_rests_go_before_first_bytes_while_frames_are_filled() -> None:
    paths = [FRAME.replace("frames/1", f"frames/{n}") for n in range(1, 9)]
    frames = {path: codestream(300_000, seed) for seed, path in enumerate(paths)}
    async with house(ScriptedOrigin(frames), cache={"bytes": "1MiB"}) as home:
        for path in paths:
            assert (await home.viewer.get(path, headers=SINGLE)).content == frames[path]
        await home.until_idle()
        assert home.metric("cache_bytes", part="first") == len(paths) * FIRST
        assert 0 < home.metric("cache_bytes", part="rest") <= 1024 * 1024 - len(paths) * FIRST


async def test_an_answer_that_runs_at_the_end_is_finished_within_grace() -> None:
    barrier = asyncio.Event()
    async with house(stops_in_completion(1000, barrier), listen={"grace": 30}) as home:
        async with home.viewer.stream("GET", FRAME, headers=SINGLE) as answer:
            chunks = answer.aiter_raw()
            got = await read_until(chunks, FIRST)
            home.app.readiness.end()
            home.stop.set()
            ready = await home.admin.get("/readyz")
            assert (ready.status_code, ready.json()) == (503, {"status": "ending"})
            barrier.set()
            got += b"".join([chunk async for chunk in chunks])
        assert got == BODY


async def test_a_service_that_ends_while_filling_cuts_the_answer_after_grace() -> None:
    barrier = asyncio.Event()
    async with house(stops_in_completion(1000, barrier), listen={"grace": 1}) as home:
        async with home.viewer.stream("GET", FRAME, headers=SINGLE) as answer:
            chunks = answer.aiter_raw()
            got = await read_until(chunks, FIRST + 1000)
            home.stop.set()
            with pytest.raises(httpx.ReadError):
                got += await anext(chunks)
        assert got == BODY[: len(got)]
    assert len(home.app.fills) == 0


async def test_whoever_has_no_answer_after_grace_hears_that_the_service_ends() -> None:
    def script(asked: Asked) -> Reply | None:
        return honest(BODY, asked, before=(asyncio.Event(),)) if asked.path == FRAME else None

    async with house(ScriptedOrigin({FRAME: BODY}, script), listen={"grace": 0.2}) as home:
        ranged = asyncio.create_task(home.viewer.get(FRAME, headers=SINGLE | {"range": "bytes=0-65535"}))
        plain = asyncio.create_task(home.viewer.get(FRAME, headers=SINGLE))
        await home.until_inside(2)
        home.stop.set()
        answers = await ranged, await plain
    assert [answer.status_code for answer in answers] == [503, 503]
    assert [answer.headers["retry-after"] for answer in answers] == ["1", "1"]
    assert (answers[0].headers["content-type"], answers[0].content) == ("multipart/related", b"")
    assert answers[1].json()["title"] == "ShuttingDown"


async def test_a_completion_waits_while_first_fetches_of_other_frames_run() -> None:
    other = FRAME.replace("frames/1", "frames/2")
    first_of_other, asked_of_other = asyncio.Event(), asyncio.Event()

    def script(asked: Asked) -> Reply | None:
        if asked.path.endswith("frames/2") and asked.range == "bytes=0-65535":
            asked_of_other.set()
            return honest(BODY, asked, before=(first_of_other,))
        return None

    async with house(ScriptedOrigin({FRAME: BODY, other: BODY}, script)) as home:
        second = asyncio.ensure_future(home.viewer.get(other, headers=SINGLE))
        await asked_of_other.wait()
        first = await home.viewer.get(FRAME, headers=SINGLE | {"range": "bytes=0-65535"})
        assert first.content == BODY[:FIRST]
        assert "bytes=65536-" not in ranges_of(home, FRAME)
        first_of_other.set()
        assert (await second).content == BODY
        await home.until_idle()
        assert ranges_of(home, FRAME) == ranges_of(home, other) == ["bytes=0-65535", "bytes=65536-"]
