"""Several frames in one answer: parts in order, each as soon as it is whole."""

import asyncio

import httpx
import pytest

from tests.codestreams import PARTS, htj2k, picture
from tests.house import house, read_until
from tests.scripted_origin import FRAME, Asked, Reply, ScriptedOrigin, honest

pytestmark = pytest.mark.anyio

BODIES = {n: htj2k(picture(400, 400, seed=n), **PARTS) for n in range(1, 10)}
MULTIPART = {"accept": "multipart/related; type=application/octet-stream; transfer-syntax=*"}


def path_of(numbers: str) -> str:
    return FRAME.removesuffix("1") + numbers


def origin() -> ScriptedOrigin:
    return ScriptedOrigin({path_of(str(n)): body for n, body in BODIES.items()})


@pytest.mark.parametrize("numbers", [[1, 2], [9, 1, 5], [2, 2], list(range(1, 10))])
async def test_frames_come_in_the_order_in_which_they_are_asked(numbers: list[int]) -> None:
    async with house(origin()) as home:
        for _ in range(2):  # cold and hot
            answer = await home.viewer.get(path_of(",".join(map(str, numbers))), headers=MULTIPART)
            assert answer.status_code == 200
            delimiter = answer.content.split(b"\r\n", 1)[0]
            parts = [part.split(b"\r\n\r\n", 1)[1] for part in answer.content.split(delimiter)[1:-1]]
            assert [part.removesuffix(b"\r\n") for part in parts] == [BODIES[n] for n in numbers]
            assert answer.content.endswith(b"\r\n" + delimiter + b"--")
        await home.until_idle()
        for number in numbers:
            first, *rest = home.origin.ranges_of(path_of(str(number)))
            stop = int((first or "").removeprefix("bytes=0-")) + 1
            # No rest where it was known by then how short they are.
            assert rest == ([] if stop >= len(BODIES[number]) else [f"bytes={stop}-"])


async def test_a_part_leaves_as_soon_as_it_is_whole() -> None:
    barrier, given = asyncio.Event(), origin()

    def script(asked: Asked) -> Reply | None:
        if asked.path == path_of("2"):
            return honest(BODIES[2], asked, before=(barrier,))
        return None

    given.script = script
    async with (
        house(given) as home,
        home.viewer.stream("GET", path_of("1,2,3"), headers=MULTIPART) as answer,
    ):
        chunks = answer.aiter_raw()
        got = await read_until(chunks, len(BODIES[1]))
        assert BODIES[1] in got
        barrier.set()
        got += b"".join([chunk async for chunk in chunks])
        assert [got.index(BODIES[n]) for n in (1, 2, 3)] == sorted(got.index(BODIES[n]) for n in (1, 2, 3))


async def test_what_fails_first_is_an_error_and_what_fails_later_ends_the_answer() -> None:
    async with house(origin()) as home:
        assert (await home.viewer.get(path_of("77,1"), headers=MULTIPART)).status_code == 404
        with pytest.raises(httpx.TransportError):
            await home.viewer.get(path_of("1,77"), headers=MULTIPART)
        await home.until_idle()
        assert home.metric("cut_answers_total", reason="OriginRefused") == 1


async def test_several_frames_are_no_single_part_and_a_head_has_no_body() -> None:
    async with house(origin()) as home:
        refused = await home.viewer.get(path_of("1,2"), headers={"accept": "image/jphc"})
        assert (refused.status_code, refused.json()["title"]) == (406, "NotAcceptable")
        head = await home.viewer.head(path_of("1,2"), headers=MULTIPART)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"].startswith("multipart/related")
