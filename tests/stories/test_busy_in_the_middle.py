"""An origin that is busy in the middle of a frame: a response that has begun waits, others hear of it."""

import asyncio

import httpx
import pytest

from tests.house import cache_did, house
from tests.scripted_origin import FRAME, Asked, Reply, ScriptedOrigin, codestream, honest

pytestmark = pytest.mark.anyio

BODY = codestream(300_000)
SINGLE = {"accept": "image/jphc"}
BUSY = Reply(429, {"retry-after": "1"})
FAILED = Reply(500, {})
FIRST = "bytes=0-65535"


def busy(times: int, reply: Reply = BUSY, *, is_first_late: asyncio.Event | None = None) -> ScriptedOrigin:
    """An origin that refuses the first completions with this reply."""
    refused = 0

    def script(asked: Asked) -> Reply | None:
        nonlocal refused
        if asked.path != FRAME:
            return None
        if asked.range == FIRST:
            return honest(BODY, asked, before=(is_first_late,) if is_first_late else ())
        refused += 1
        return reply if refused <= times else honest(BODY, asked)

    return ScriptedOrigin({FRAME: BODY}, script)


async def test_a_response_that_has_begun_waits_and_goes_on() -> None:
    async with house(busy(1)) as home:
        answer = await home.viewer.get(FRAME, headers=SINGLE)
        assert (answer.status_code, answer.content) == (200, BODY)
        assert home.origin.ranges == [FIRST, "bytes=65536-", "bytes=65536-"]
        assert home.metric("asked_again_total", origin="pacs") == 1


async def test_a_completion_that_is_refused_before_the_first_bytes_are_in_waits_for_them() -> None:
    late = asyncio.Event()
    async with house(busy(1, is_first_late=late)) as home:
        asking = asyncio.create_task(home.viewer.get(FRAME, headers=SINGLE))
        await home.until(lambda: len(home.origin.frame_requests) == 2)
        late.set()
        assert (await asking).content == BODY


async def test_without_a_retry_after_the_pauses_grow() -> None:
    async with house(busy(4, Reply(503, {}))) as home:
        assert (await home.viewer.get(FRAME, headers=SINGLE)).content == BODY
        assert len(home.origin.frame_requests) == 6


async def test_no_response_waits_longer_than_a_response_of_the_origin_may_stall() -> None:
    origin = busy(1, Reply(503, {"retry-after": "8"}))
    async with house(origin, origin={"timeouts": {"stall": 7.0}}) as home:
        with pytest.raises(httpx.TransportError):  # it ends before its last byte
            await home.viewer.get(FRAME, headers=SINGLE)
        assert len(origin.frame_requests) == 2


async def test_after_a_500_in_the_middle_the_proxy_tries_once_more() -> None:
    async with house(busy(1, FAILED)) as home:
        answer = await home.viewer.get(FRAME, headers=SINGLE)
        assert (answer.status_code, answer.content) == (200, BODY)
        assert home.origin.ranges == [FIRST, "bytes=65536-", "bytes=65536-"]


async def test_a_second_500_in_the_middle_ends_the_response() -> None:
    async with house(busy(2, FAILED)) as home:
        with pytest.raises(httpx.TransportError):
            await home.viewer.get(FRAME, headers=SINGLE)
        assert len(home.origin.frame_requests) == 3


async def test_a_500_for_which_no_viewer_waits_is_not_retried() -> None:
    async with house(busy(1, FAILED)) as home:
        first = await home.viewer.get(FRAME, headers=SINGLE | {"range": FIRST})
        await home.until_idle()
        assert (first.content, home.origin.ranges) == (BODY[:65536], [FIRST, "bytes=65536-"])


async def test_a_viewer_that_has_no_byte_yet_hears_that_the_origin_is_busy() -> None:
    async with house(busy(2)) as home:
        first = await home.viewer.get(FRAME, headers=SINGLE | {"range": FIRST})
        await home.until_idle()
        rest = await home.viewer.get(FRAME, headers=SINGLE | {"range": "bytes=65536-"})
        assert (first.content, rest.status_code) == (BODY[:65536], 429)
        assert rest.headers["retry-after"] == "1"


async def test_a_viewer_that_joins_a_fill_of_others_waits_too() -> None:
    """The first viewer wants only the first bytes. The second one joins its fill, and wants the rest too."""
    late = asyncio.Event()
    async with house(busy(1, is_first_late=late)) as home:
        first = asyncio.create_task(home.viewer.get(FRAME, headers=SINGLE | {"range": FIRST}))
        await home.until(lambda: len(home.origin.frame_requests) == 2)
        second = asyncio.create_task(home.viewer.get(FRAME, headers=SINGLE))
        await home.until_inside(2)
        late.set()
        assert (await first).content == BODY[:65536]
        assert ((await second).content, cache_did(await second)) == (BODY, "fwd=miss; collapsed")
        assert home.origin.ranges == [FIRST, "bytes=65536-", "bytes=65536-"]


async def test_a_list_that_has_begun_waits_for_a_frame_that_comes_later() -> None:
    path, seen = FRAME[:-1], set[str]()
    bodies = {f"{path}{number}": codestream(80_000, number) for number in range(1, 10)}

    def script(asked: Asked) -> Reply | None:
        is_refused = asked.path == f"{path}8" and asked.path not in seen
        seen.add(asked.path)
        return BUSY if is_refused else None

    async with house(ScriptedOrigin(bodies, script)) as home:
        related = {"accept": "multipart/related; type=image/jphc"}
        answer = await home.viewer.get(f"{path}1,2,3,4,5,6,7,8,9", headers=related)
        assert answer.status_code == 200
        assert all(body in answer.content for body in bodies.values())


async def test_a_frame_that_failed_before_its_list_began_is_asked_for_once_more() -> None:
    path, late, refused = FRAME[:-1], asyncio.Event(), 0
    bodies = {f"{path}{number}": codestream(40_000, number) for number in (1, 2, 3)}

    def script(asked: Asked) -> Reply | None:
        nonlocal refused
        if asked.path == f"{path}1":
            return honest(bodies[asked.path], asked, before=(late,))
        if asked.path == f"{path}2":
            refused += 1
            return Reply(503, {"retry-after": "30"}) if refused == 1 else None
        return None

    async with house(ScriptedOrigin(bodies, script)) as home:
        related = {"accept": "multipart/related; type=image/jphc"}
        asking = asyncio.create_task(home.viewer.get(f"{path}1,2,3", headers=related))
        await home.until(lambda: asking.done() or (refused == 1 and len(home.app.fills) == 1))
        late.set()
        answer = await asking
        assert answer.status_code == 200
        assert all(body in answer.content for body in bodies.values())
        assert refused == 2
