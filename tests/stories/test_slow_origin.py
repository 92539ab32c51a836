"""An origin whose responses come too slowly, or not at all: they do not hold the seats for good."""

import asyncio

import pytest

from proxy.origin.bodies import LeastRate
from tests.house import House, house
from tests.scripted_origin import FRAME, Asked, Reply, ScriptedOrigin, codestream, frame_of, honest

pytestmark = pytest.mark.anyio

BODY = codestream(200_000)
SINGLE = {"accept": "image/jphc"}
FIRST, REST = "bytes=0-65535", "bytes=65536-"
TOO_HIGH = LeastRate(1 << 60, 0.0)
"""A rate at which no body comes that goes on after its first chunk."""
SEATS = 4


def set_rate(home: House, rate: LeastRate) -> None:
    home.app.origins["pacs"]._bodies._least = rate


def trickle(body: bytes, asked: Asked, size: int) -> Reply:
    """A correct head, the first bytes, and nothing more."""
    reply = honest(body, asked)
    [part] = reply.pieces
    assert isinstance(part, bytes)
    length = {"content-length": str(len(part))}
    return Reply(reply.status, reply.headers | length, (part[:size], asyncio.Event()))


def free_seats(home: House) -> int:
    return home.app.suppliers["pacs"].gate._free


async def test_a_completion_that_comes_too_slowly_goes_on_with_another_request() -> None:
    def script(asked: Asked) -> Reply | None:
        set_rate(home, TOO_HIGH if asked.range == REST else LeastRate())
        return trickle(BODY, asked, 464) if asked.range == REST else None

    origin = ScriptedOrigin({FRAME: BODY})
    async with house(origin) as home:
        origin.script = script
        answer = await home.viewer.get(FRAME, headers=SINGLE)
        assert (answer.status_code, answer.content) == (200, BODY)
        assert origin.ranges == [FIRST, REST, "bytes=66000-"]
        assert home.metric("resumes_total", origin="pacs") == 1
        labels = {"origin": "pacs", "stage": "completion", "outcome": "stalled"}
        assert home.metric("origin_requests_total", **labels) == 1


async def test_answers_that_trickle_do_not_hold_the_seats_for_good() -> None:
    bodies = [codestream(50_000, seed) for seed in range(SEATS + 1)]
    origin = ScriptedOrigin().with_series(bodies)

    def script(asked: Asked) -> Reply | None:
        body = origin.frames.get(asked.path)
        return None if body is None or asked.path == frame_of(SEATS) else trickle(body, asked, 1)

    origin.script = script
    async with house(origin, origin={"limits": {"in_flight": SEATS}}) as home:
        set_rate(home, TOO_HIGH)
        asked = [home.viewer.get(frame_of(image), headers={"range": FIRST}) for image in range(SEATS)]
        answers = await asyncio.gather(*asked)
        assert [answer.status_code for answer in answers] == [504] * SEATS
        await home.until_idle()
        assert free_seats(home) == SEATS
        set_rate(home, LeastRate())
        assert (await home.viewer.get(frame_of(SEATS), headers=SINGLE)).content == bodies[SEATS]
