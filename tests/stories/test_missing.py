"""A frame that the origin does not have costs one request there, for all viewers of one caller."""

import asyncio

import pytest

from tests.house import House, house
from tests.scripted_origin import SERIES, Asked, Reply, ScriptedOrigin, codestream, frame_of

pytestmark = pytest.mark.anyio

SINGLE = {"accept": "image/jphc"}
BODY = codestream(100_000)
THERE, LACKING = frame_of(0), frame_of(1)


async def get(home: House, path: str = LACKING, caller: str = "one") -> int:
    answer = await home.viewer.get(path, headers=SINGLE | {"authorization": caller})
    await home.until_idle()
    return answer.status_code


def remember(home: House) -> None:
    """However slow the machine is, nothing is forgotten before the test ends."""
    home.app.origins["pacs"].missing.kept = 3600.0


def origin_without(status: int = 404) -> ScriptedOrigin:
    """An origin that has the first frame of a series, and answers with this status to others."""
    origin = ScriptedOrigin().with_series([BODY])
    origin.script = lambda asked: None if asked.path not in (LACKING,) else Reply(status, {})
    return origin


@pytest.mark.parametrize(("status", "times"), [(404, 2), (410, 1)])
async def test_ten_viewers_of_one_caller_ask_once(status: int, times: int) -> None:
    """A 404 may refuse the form of the request only, so the proxy asks in one other form."""
    origin = origin_without(status)
    async with house(origin) as home:
        remember(home)
        assert await get(home, THERE) == 200
        assert [await get(home) for _ in range(5)] == [status] * 5
        assert await asyncio.gather(*(get(home) for _ in range(5))) == [status] * 5
        assert origin.requests_of(LACKING) == times


async def test_another_caller_asks_for_itself() -> None:
    """An origin may hide a frame from one caller and give it to another."""
    origin = ScriptedOrigin().with_series([BODY, BODY])

    def script(asked: Asked) -> Reply | None:
        is_hidden = asked.path == LACKING and asked.headers.get("authorization") == "one"
        return Reply(404, {}) if is_hidden else None

    origin.script = script
    async with house(origin, access="shared") as home:
        remember(home)
        assert [await get(home, THERE), await get(home), await get(home, caller="two")] == [200, 404, 200]


async def test_a_plan_does_not_ask_again_either() -> None:
    origin = ScriptedOrigin().with_series([BODY, BODY])
    origin.script = lambda asked: Reply(404, {}) if asked.path == LACKING else None
    async with house(origin) as home:
        remember(home)
        assert await get(home, THERE) == 200
        assert await get(home) == 404
        before = origin.requests_of(LACKING)
        headers = {"authorization": "one"}
        plan = await home.ask_plan("sequential", headers=headers)
        await home.events(plan.headers["location"], headers)
        assert origin.requests_of(LACKING) == before


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_a_change_through_the_proxy_makes_it_ask_again(method: str) -> None:
    origin = origin_without()
    lacking = origin.script

    def script(asked: Asked) -> Reply | None:
        return Reply(200, {}) if asked.method == method else (lacking(asked) if lacking else None)

    origin.script = script
    async with house(origin) as home:
        remember(home)
        assert [await get(home, THERE), await get(home)] == [200, 404]
        path = SERIES.partition("/series")[0] if method == "POST" else LACKING.partition("/frames")[0]
        changed = await home.viewer.request(method, path, headers={"authorization": "one"})
        assert changed.status_code == 200
        origin.frames[LACKING], origin.script = BODY, None
        assert await get(home) == 200


async def test_a_refusal_that_is_remembered_drops_nothing_of_others() -> None:
    """The origin's own 404 drops a frame for all; what the proxy repeats is not the origin's word."""
    origin = ScriptedOrigin().with_series([BODY, BODY])

    def script(asked: Asked) -> Reply | None:
        is_hidden = asked.path == LACKING and asked.headers.get("authorization") == "one"
        return Reply(404, {}) if is_hidden else None

    origin.script = script
    async with house(origin, access="credential") as home:
        remember(home)
        assert [await get(home, THERE), await get(home)] == [200, 404]
        assert await get(home, caller="two") == 200
        before = origin.requests_of(LACKING)
        assert [await get(home), await get(home, caller="two")] == [404, 200]
        assert origin.requests_of(LACKING) == before


async def test_a_frame_that_is_stored_in_another_form_is_found_whoever_asked_before() -> None:
    """A tree of files answers 404 to a form in which it has no file."""
    origin = ScriptedOrigin().with_series([BODY, BODY, BODY])

    def script(asked: Asked) -> Reply | None:
        if asked.path == LACKING and asked.headers.get("authorization") in ("x", "y"):
            return Reply(404, {})
        return Reply(404, {}) if asked.path == LACKING and asked.headers["accept"] == "image/jphc" else None

    origin.script = script
    async with house(origin) as home:
        remember(home)
        assert [await get(home, THERE), await get(home, caller="x"), await get(home, caller="y")] == [
            200,
            404,
            404,
        ]
        assert await get(home) == 200
