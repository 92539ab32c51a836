"""Viewers at one origin: whose rest goes first."""

import asyncio

import pytest

from tests.house import House, house
from tests.scripted_origin import Asked, Reply, ScriptedOrigin, codestream, frame_of, honest

pytestmark = pytest.mark.anyio

FIRST, REST = "bytes=0-65535", "bytes=65536-"
SEATS = {"limits": {"in_flight": 8}}
"""Six for completions, two more for first fetches."""
STANDING = 6


def standing(barrier: asyncio.Event, *slow: int) -> ScriptedOrigin:
    """A series whose rests have no byte before the barrier; of the `slow` images nothing has."""
    origin = ScriptedOrigin().with_series([codestream(66_000, seed) for seed in range(9)])
    stands = {frame_of(image) for image in slow}

    def script(asked: Asked) -> Reply | None:
        body = origin.frames.get(asked.path)
        if body is None or (asked.range != REST and asked.path not in stands):
            return None
        return honest(body, asked, before=(barrier,))

    origin.script = script
    return origin


def rests(origin: ScriptedOrigin) -> list[str]:
    """Frames whose rest was asked for, in order."""
    return [asked.path for asked in origin.frame_requests if asked.range == REST]


async def see(home: House, *images: int) -> None:
    """A viewer asks for the first bytes; their rests are fetched unasked."""
    for image in images:
        answer = await home.viewer.get(frame_of(image), headers={"range": FIRST})
        assert answer.status_code == 206


async def test_of_two_viewers_who_read_on_whoever_asked_first_goes_first() -> None:
    barrier = asyncio.Event()
    origin = standing(barrier)
    async with house(origin, origin=SEATS) as home:
        await see(home, *range(STANDING), 6)
        await home.until(lambda: len(rests(origin)) == STANDING)
        whole = asyncio.ensure_future(home.viewer.get(frame_of(7)))
        await home.until(lambda: origin.requests_of(frame_of(7)) == 1)
        await home.until_inside(1)
        rest = asyncio.ensure_future(home.viewer.get(frame_of(6), headers={"range": REST}))
        await home.until_inside(2)
        assert len(rests(origin)) == STANDING
        barrier.set()
        assert [(await answer).status_code for answer in (whole, rest)] == [200, 206]
        assert rests(origin)[STANDING:] == [frame_of(7), frame_of(6)]


async def test_whoever_reads_the_first_bytes_does_not_hurry_the_rest() -> None:
    barrier = asyncio.Event()
    origin = standing(barrier, 6)
    async with house(origin, origin=SEATS) as home:
        await see(home, *range(STANDING))
        await home.until(lambda: len(rests(origin)) == STANDING)
        first = asyncio.ensure_future(see(home, 6))
        await home.until(lambda: origin.requests_of(frame_of(6)) == 1)
        whole = asyncio.ensure_future(home.viewer.get(frame_of(7)))
        await home.until(lambda: origin.requests_of(frame_of(7)) == 1)
        await home.until(lambda: len(home.app.fills) == STANDING + 2)
        assert len(rests(origin)) == STANDING
        barrier.set()
        assert (await whole).status_code == 200
        await first
        await home.until_idle()
        assert rests(origin)[STANDING:] == [frame_of(7), frame_of(6)]
