"""Viewers that come together, join late and leave: always one first fetch and one completion."""

import asyncio
import hashlib

import httpx
import pytest

from tests.house import House, cache_did, house, read_until
from tests.scripted_origin import FRAME, Asked, Reply, ScriptedOrigin, codestream, honest

pytestmark = pytest.mark.anyio

FIRST = 65536
SINGLE = {"accept": "image/jphc"}
BODY = codestream(1_000_000)


def stops_in_completion(at: int, barrier: asyncio.Event) -> ScriptedOrigin:
    """An origin that holds the completion at a barrier after `at` bytes."""

    def script(asked: Asked) -> Reply | None:
        if asked.range != f"bytes={FIRST}-":
            return None
        reply = honest(BODY, asked)
        rest = reply.pieces[0]
        assert isinstance(rest, bytes)
        return Reply(
            206,
            reply.headers | {"content-length": str(len(rest))},
            (rest[:at], barrier, rest[at:]),
        )

    return ScriptedOrigin({FRAME: BODY}, script)


async def test_two_viewers_one_fetch() -> None:
    barrier = asyncio.Event()

    def script(asked: Asked) -> Reply | None:
        return honest(BODY, asked, before=(barrier,)) if asked.range == "bytes=0-65535" else None

    async with house(ScriptedOrigin({FRAME: BODY}, script)) as home:
        both = [asyncio.ensure_future(home.viewer.get(FRAME, headers=SINGLE)) for _ in range(2)]
        await home.until_inside(2)
        barrier.set()
        answers = await asyncio.gather(*both)
        assert [answer.content for answer in answers] == [BODY, BODY]
        assert sorted(map(cache_did, answers)) == ["fwd=miss; collapsed", "fwd=miss; stored"]
        assert home.origin.ranges == ["bytes=0-65535", "bytes=65536-"]


async def test_a_late_viewer_gets_the_prefix_at_once() -> None:
    barrier = asyncio.Event()
    async with house(stops_in_completion(100_000, barrier)) as home:
        early = asyncio.ensure_future(home.viewer.get(FRAME, headers=SINGLE))
        await home.until_inside(1)
        async with home.viewer.stream("GET", FRAME, headers=SINGLE) as late:
            chunks = late.aiter_raw()
            got = await read_until(chunks, FIRST + 100_000)  # while the origin waits at its barrier
            assert late.headers["content-length"] == str(len(BODY))
            assert got == BODY[: len(got)]
            barrier.set()
            got += b"".join([chunk async for chunk in chunks])
        assert got == (await early).content == BODY
        assert len(home.origin.frame_requests) == 2


async def test_a_viewer_who_leaves_does_not_stop_the_fill() -> None:
    barrier = asyncio.Event()
    async with house(stops_in_completion(1000, barrier)) as home:
        async with home.viewer.stream("GET", FRAME, headers=SINGLE) as leaver:
            await read_until(leaver.aiter_raw(), FIRST)
        await home.until_inside(0)
        assert home.metric("cut_answers_total", reason="viewer_left") == 1
        barrier.set()
        await home.until_idle()
        stayed = await home.viewer.get(FRAME, headers=SINGLE)
        assert stayed.content == BODY
        assert cache_did(stayed) == "hit"
        assert home.origin.ranges == ["bytes=0-65535", "bytes=65536-"]


async def test_a_completion_goes_on_after_a_first_range() -> None:
    async with house(ScriptedOrigin({FRAME: BODY})) as home:
        first = await home.viewer.get(FRAME, headers=SINGLE | {"range": "bytes=0-65535"})
        assert (first.status_code, first.content) == (206, BODY[:FIRST])
        await home.until_idle()
        rest = await home.viewer.get(FRAME, headers=SINGLE | {"range": "bytes=65536-"})
        assert (rest.status_code, rest.content, cache_did(rest)) == (206, BODY[FIRST:], "hit")
        assert home.origin.ranges == ["bytes=0-65535", "bytes=65536-"]


async def test_on_demand_fetches_no_more_than_viewers_ask() -> None:
    profiles = {"lazy": {"first": "64KiB", "complete": "on-demand"}}
    async with house(ScriptedOrigin({FRAME: BODY}), profiles=profiles, profile="lazy") as home:
        for wanted in ("bytes=0-65535", "bytes=0-999", "bytes=100000-199999", "bytes=-1"):
            answer = await home.viewer.get(FRAME, headers=SINGLE | {"range": wanted})
            assert answer.status_code == 206
            await home.until_idle()
        assert home.origin.ranges == ["bytes=0-65535", "bytes=65536-199999", "bytes=200000-"]


async def test_a_hundred_viewers_on_one_cold_frame_of_which_half_hang_up() -> None:
    body = codestream(11_000_000)
    barrier = asyncio.Event()

    def script(asked: Asked) -> Reply | None:
        if asked.range != "bytes=65536-":
            return None
        reply, size = honest(body, asked), len(body) - FIRST
        return Reply(
            206,
            reply.headers | {"content-length": str(size)},
            (body[FIRST:5_000_000], barrier, body[5_000_000:]),
        )

    async with house(ScriptedOrigin({FRAME: body}, script)) as home:
        leavers = [asyncio.ensure_future(_leave_in_the_middle(home)) for _ in range(50)]
        stayers = [asyncio.ensure_future(_digest(home.viewer)) for _ in range(50)]
        await asyncio.gather(*leavers)
        await home.until_inside(50)
        barrier.set()
        digests = await asyncio.gather(*stayers)
        assert set(digests) == {hashlib.sha256(body).hexdigest()}
        assert home.origin.ranges == ["bytes=0-65535", "bytes=65536-"]


async def _leave_in_the_middle(home: House) -> None:
    async with home.viewer.stream("GET", FRAME, headers=SINGLE) as answer:
        await read_until(answer.aiter_raw(), 1_000_000)


async def _digest(viewer: httpx.AsyncClient) -> str:
    seen = hashlib.sha256()
    async with viewer.stream("GET", FRAME, headers=SINGLE) as answer:
        async for chunk in answer.aiter_raw():
            seen.update(chunk)
    return seen.hexdigest()


async def test_one_credential_never_finds_what_another_fetched() -> None:
    def script(asked: Asked) -> Reply | None:
        is_known = asked.headers.get("authorization") in ("Bearer a", "Bearer b")
        return (
            None if is_known or "/frames/" not in asked.path else Reply(401, {"www-authenticate": "Bearer"})
        )

    async with house(ScriptedOrigin({FRAME: BODY}, script), access="credential") as home:
        for token, requests in (("a", 2), ("a", 2), ("b", 4)):
            answer = await home.viewer.get(FRAME, headers=SINGLE | {"authorization": f"Bearer {token}"})
            assert answer.content == BODY
            assert len(home.origin.frame_requests) == requests
        for headers in (SINGLE, SINGLE | {"authorization": "Bearer c"}, SINGLE | {"cookie": "session=a"}):
            refused = await home.viewer.get(FRAME, headers=headers)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
            assert BODY[:100] not in refused.content


async def test_shared_access_serves_everybody_from_one_fetch() -> None:
    async with house(ScriptedOrigin({FRAME: BODY}), access="shared") as home:
        for token in ("a", "b"):
            answer = await home.viewer.get(FRAME, headers=SINGLE | {"authorization": token})
            assert answer.content == BODY
        assert len(home.origin.frame_requests) == 2
