"""Viewers at one origin, and the order in which their completions go out."""

import asyncio

import httpx
import pytest

from tests.house import STORY, House, house
from tests.scripted_origin import Asked, Reply, ScriptedOrigin, codestream, frame_of, honest

pytestmark = pytest.mark.anyio

FIRST, REST = "bytes=0-65535", "bytes=65536-"
SEATS = {"limits": {"in_flight": 8}}
"""Six seats for completions, and two more for first fetches."""
STANDING, LONGER = 6, 8


def standing(barrier: asyncio.Event, *slow: int) -> ScriptedOrigin:
    """A series whose completions wait for the barrier, and the first fetches of the `slow` images too.

    One image is longer than the others, so its first fetch and its completion differ from theirs.
    """
    bodies = [codestream(100_000 if seed == LONGER else 66_000, seed) for seed in range(9)]
    origin = ScriptedOrigin().with_series(bodies)
    stands = {frame_of(image) for image in slow}

    def script(asked: Asked) -> Reply | None:
        body = origin.frames.get(asked.path)
        if body is None or (asked.range != REST and asked.path not in stands):
            return None
        return honest(body, asked, before=(barrier,))

    origin.script = script
    return origin


def rests(origin: ScriptedOrigin) -> list[str]:
    """Paths of the frames whose rest was requested, in order."""
    return [asked.path for asked in origin.frame_requests if asked.range == REST]


async def see(home: House, *images: int) -> None:
    """Requests first bytes as a viewer. The proxy then fetches the rest without a request."""
    for image in images:
        answer = await home.viewer.get(frame_of(image), headers={"range": FIRST})
        assert answer.status_code == 206


async def read_on(home: House, image: int) -> httpx.Response:
    """Requests the rest as a viewer that has the first bytes. Returns once the response's head arrives."""
    request = home.viewer.build_request("GET", frame_of(image), headers={"range": REST})
    answer = await home.viewer.send(request, stream=True)
    assert answer.status_code == 206
    return answer


async def test_of_two_viewers_who_read_on_whoever_asked_first_goes_first() -> None:
    barrier = asyncio.Event()
    origin = standing(barrier)
    async with house(origin, origin=SEATS) as home:
        await see(home, *range(STANDING), 6, 7)
        await home.until(lambda: len(rests(origin)) == STANDING)
        answers = [await read_on(home, image) for image in (7, 6)]
        assert len(rests(origin)) == STANDING
        barrier.set()
        for answer in answers:
            await answer.aread()
        assert rests(origin)[STANDING:] == [frame_of(7), frame_of(6)]


async def test_whoever_reads_the_first_bytes_does_not_hurry_the_rest() -> None:
    barrier = asyncio.Event()
    origin = standing(barrier, 6)
    async with house(origin, origin=SEATS) as home:
        await see(home, *range(STANDING))
        await home.until(lambda: len(rests(origin)) == STANDING)
        first = asyncio.ensure_future(see(home, 6))
        await home.until(lambda: origin.requests_of(frame_of(6)) == 1)
        await see(home, 7)
        rest = await read_on(home, 7)
        assert len(rests(origin)) == STANDING
        barrier.set()
        await rest.aread()
        await first
        await home.until_idle()
        assert rests(origin)[STANDING:] == [frame_of(7), frame_of(6)]


async def test_a_whole_short_frame_waits_for_no_rest_of_another() -> None:
    barrier = asyncio.Event()
    origin = standing(barrier)
    async with house(origin, origin=SEATS) as home:
        await see(home, *range(STANDING), 6)
        await home.until(lambda: len(rests(origin)) == STANDING)
        whole = await home.viewer.get(frame_of(LONGER))
        assert whole.status_code == 200
        assert origin.requests_of(frame_of(LONGER)) == 2
        assert len(rests(origin)) == STANDING
        barrier.set()


SHORT, LARGE = 100_000, 400_000


@pytest.mark.parametrize(
    ("size", "order"),
    [
        pytest.param(SHORT, [(0, FIRST), (1, FIRST), (0, REST), (1, REST)], id="short"),
        pytest.param(LARGE, [(0, FIRST), (1, FIRST), (2, FIRST), (3, FIRST)], id="large"),
    ],
)
async def test_whole_frames_come_one_after_the_other_if_they_are_short(
    size: int, order: list[tuple[int, str]]
) -> None:
    barrier = asyncio.Event()
    origin = ScriptedOrigin().with_series([codestream(size, seed) for seed in range(4)])

    def script(asked: Asked) -> Reply | None:
        body = origin.frames.get(asked.path)
        return None if body is None else honest(body, asked, before=(barrier,))

    origin.script = script
    async with house(origin) as home:
        gate = home.app.suppliers["pacs"].gate
        gate.patience = STORY  # on a slow machine nobody goes out of turn
        origin.door = asyncio.Event()  # else a completion may be ready before the last viewer comes
        viewers = []
        for image in range(4):
            viewers.append(asyncio.ensure_future(home.viewer.get(frame_of(image))))
            await home.until_inside(image + 1)
        # Two first fetches exceed the window. Once their responses have begun, both completions wait too.
        await home.until(lambda: len(gate.waiting) == 2)
        origin.door.set()
        await home.until(lambda: len(gate.waiting) == 4)
        assert origin.ranges == [FIRST, FIRST]
        barrier.set()
        assert [(await viewer).status_code for viewer in viewers] == [200] * 4
        asked = [(each.path, each.range) for each in origin.frame_requests]
        assert asked[:4] == [(frame_of(image), range_) for image, range_ in order]


async def test_where_frames_are_short_whoever_wants_one_whole_gets_it_by_one_request() -> None:
    sizes = (SHORT, SHORT + 1000, SHORT, 120_000, LARGE, SHORT)
    bodies = [codestream(size, seed) for seed, size in enumerate(sizes)]
    origin = ScriptedOrigin().with_series(bodies)
    async with house(origin) as home:
        for image, body in enumerate(bodies):
            is_whole = image != 2
            answer = await home.viewer.get(frame_of(image), headers={} if is_whole else {"range": FIRST})
            assert not is_whole or body in answer.content
            await home.until_idle()
        asked = [origin.ranges_of(frame_of(image)) for image in range(len(sizes))]
    assert asked == [
        [FIRST, REST],  # the first frame of the series
        ["bytes=0-103124"],  # the length of that frame, plus 1/32
        [FIRST, REST],  # a viewer wanted the first bytes
        ["bytes=0-104155", "bytes=104156-"],  # longer than expected
        ["bytes=0-123749", "bytes=123750-"],
        [FIRST, REST],  # one of the last frames was not short
    ]
