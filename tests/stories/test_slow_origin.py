"""An origin whose responses come too slowly, or not at all: they do not hold the seats for good."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest

from proxy.origin.bodies import LeastRate
from tests.house import House, house
from tests.scripted_origin import FRAME, SERIES, Asked, Reply, ScriptedOrigin, codestream, frame_of, honest

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


@asynccontextmanager
async def leaver(home: House, path: str) -> AsyncIterator[None]:
    """A viewer that asks for the first bytes of a frame, and leaves at the end of the `with`."""
    host, port = home.viewer.base_url.host, home.viewer.base_url.port
    _, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: {host}:{port}\r\nrange: {FIRST}\r\n\r\n".encode())
    try:
        yield
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("sent", [0, 1000], ids=["a head", "some bytes"])
async def test_a_seat_comes_back_as_soon_as_nobody_waits_for_a_silent_response(sent: int) -> None:
    origin = ScriptedOrigin({FRAME: BODY})
    async with house(origin) as home:
        origin.script = lambda asked: trickle(BODY, asked, sent)
        async with leaver(home, FRAME), leaver(home, FRAME):
            await home.until_inside(2)
            await home.until(lambda: origin.requests_of(FRAME) == 2)  # the completion needs the head only
            fill = next(iter(home.app.fills._table.values()))
            await home.until(lambda: fill.size == sent)
        await home.until_idle()
        gate = home.app.suppliers["pacs"].gate
        await home.until(lambda: free_seats(home) == home.app.settings.origins[0].limits.in_flight)
        assert gate.account.total == 0
        origin.script = None
        assert (await home.viewer.get(FRAME, headers=SINGLE)).content == BODY


async def test_what_waits_for_a_seat_is_dropped_with_its_last_viewer() -> None:
    bodies = [codestream(50_000, seed) for seed in range(SEATS + 1)]
    origin, barrier = ScriptedOrigin().with_series(bodies), asyncio.Event()
    origin.script = lambda asked: honest(origin.frames[asked.path], asked, before=(barrier,))
    async with house(origin, wait=False, origin={"limits": {"in_flight": SEATS}}) as home:
        waiting = home.app.suppliers["pacs"].gate.waiting
        async with AsyncExitStack() as stack:
            for image in range(SEATS):
                await stack.enter_async_context(leaver(home, frame_of(image)))
            await home.until(lambda: len(origin.frame_requests) == SEATS)
            async with leaver(home, frame_of(SEATS)):
                await home.until(lambda: len(waiting) == 1)
            await home.until(lambda: len(waiting) == 0)
            assert len(home.app.fills) == SEATS
            barrier.set()
            await home.until_idle()
        assert origin.requests_of(frame_of(SEATS)) == 0


async def test_a_request_that_has_gone_out_keeps_its_seat_until_it_is_answered() -> None:
    """The origin works on it. If the seat were free, viewers that come and go could ask for any number."""
    origin = ScriptedOrigin({FRAME: BODY})
    async with house(origin) as home:
        gate = home.app.suppliers["pacs"].gate
        origin.door = asyncio.Event()
        async with leaver(home, FRAME):
            await home.until(lambda: origin.requests_of(FRAME) == 1)
        await home.until_inside(0)
        assert len(gate.running) == 1
        origin.door.set()
        await home.until_idle()
        await home.until(lambda: not gate.running)
        assert origin.ranges == [FIRST]


BESIDE = f"{SERIES}/metadata"
OTHERS: dict[str, dict[str, Any]] = {
    "kept": {},
    "too long to be kept": {"cache": {"study_bytes": 8}},
    "never kept": {"cache": {"study_bytes": 0}},
}


@pytest.mark.parametrize("settings", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("headers", [{}, {"range": "bytes=0-99999"}], ids=["whole", "range"])
async def test_what_trickles_beside_the_frames_holds_no_place_for_good(
    settings: dict[str, Any], headers: dict[str, str]
) -> None:
    async def read() -> bytes:
        async with home.viewer.stream("GET", BESIDE, headers=headers) as answer:
            return await answer.aread()

    def script(asked: Asked) -> Reply | None:
        length = {"content-type": "application/dicom+json", "content-length": "100000"}
        return Reply(200, length, (b"[         ", asyncio.Event())) if asked.path == BESIDE else None

    async with house(ScriptedOrigin(script=script), bounds={"waiting": 1}, **settings) as home:
        set_rate(home, TOO_HIGH)
        with pytest.raises(httpx.HTTPError):
            await read()
        await home.until(lambda: home.app.places.waiting.taken == 0)
        await home.until(lambda: not len(home.app.resources))
