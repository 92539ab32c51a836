"""Several frames in one response: the parts are in order, and each is sent as soon as it is complete."""

import asyncio
import json

import httpx
import pytest

from tests.codestreams import PARTS, htj2k, picture
from tests.house import House, house, read_until
from tests.scripted_origin import FRAME, Asked, Reply, ScriptedOrigin, honest, instance_of

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
        for _ in range(2):  # cold, then hot
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
            # No rest is requested if the proxy knew by then how short the frames are.
            assert rest == ([] if stop >= len(BODIES[number]) else [f"bytes={stop}-"])


async def test_a_list_matches_no_etag() -> None:
    async with house(origin()) as home:
        tag = (await home.viewer.get(path_of("1"), headers=MULTIPART)).headers["etag"]
        for value, status in ((tag, 412), ("*", 200), ("", 412)):
            answer = await home.viewer.get(path_of("1,2"), headers=MULTIPART | {"if-match": value})
            assert answer.status_code == status
        missing = await home.viewer.get(path_of("1,99"), headers=MULTIPART | {"if-match": tag})
        assert missing.status_code == 404  # conditions of a request that fails are ignored (RFC 9110 13.2.1)


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


async def test_what_fails_later_ends_the_answer() -> None:
    given = origin()
    given.script = lambda asked: Reply(403, {}) if asked.path == path_of("2") else None
    async with house(given) as home:
        with pytest.raises(httpx.TransportError):
            await home.viewer.get(path_of("1,2,9"), headers=MULTIPART)
        await home.until_idle()
        assert home.metric("cut_answers_total", reason="OriginRefused") == 1


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("numbers", ["77,1", "1,77", "1,2,77", "1,77,2", "1,2,3,4,5,6,7,8,9,77"])
async def test_a_list_with_a_frame_that_there_is_not_is_404_before_its_first_byte(
    numbers: str, method: str
) -> None:
    async with house(origin()) as home:
        for _ in range(2):
            answer = await home.viewer.request(method, path_of(numbers), headers=MULTIPART)
            assert answer.status_code == 404
        await home.until_idle()
        assert not any(
            home.metric("cut_answers_total", reason=why) for why in ("OriginRefused", "viewer_left")
        )


def described(frames: int | None) -> ScriptedOrigin:
    """An origin whose metadata gives the number of frames, unless it is None."""
    given, (_, _, study, _, series, _, instance, _, _) = origin(), FRAME.split("/")
    said = instance_of(instance, **({} if frames is None else {"frames": frames}))
    given.metadata[f"/studies/{study}/series/{series}/metadata"] = json.dumps([said]).encode()
    return given


async def know(home: House) -> None:
    """Makes the proxy read the metadata: a plan does so before it finds that its profile does not exist."""
    assert (await home.ask_plan("none such")).status_code == 404
    home.origin.asked.clear()


@pytest.mark.parametrize("numbers", ["1,2,10", "10,1", "1,2,3,4,5,6,7,8,9,10"])
async def test_where_the_metadata_says_how_many_there_are_nothing_is_asked(numbers: str) -> None:
    async with house(described(9)) as home:
        await know(home)
        answer = await home.viewer.get(path_of(numbers), headers=MULTIPART)
        assert (answer.status_code, answer.json()["title"]) == (404, "UnknownFrame")
        assert home.origin.asked == []


async def test_where_the_metadata_says_that_all_are_there_nothing_waits_for_the_last() -> None:
    barrier, given = asyncio.Event(), described(9)
    given.script = lambda asked: (
        honest(BODIES[9], asked, before=(barrier,)) if asked.path == path_of("9") else None
    )
    async with house(given) as home:
        await know(home)
        async with home.viewer.stream("GET", path_of("1,9"), headers=MULTIPART) as answer:
            chunks = answer.aiter_raw()
            got = await read_until(chunks, len(BODIES[1]))
            assert BODIES[1] in got
            barrier.set()
            got += b"".join([chunk async for chunk in chunks])
            assert BODIES[9] in got


@pytest.mark.parametrize("frames", [None, 1])
async def test_metadata_that_may_not_know_better_refuses_nothing(frames: int | None) -> None:
    async with house(described(frames)) as home:
        await know(home)
        answer = await home.viewer.get(path_of("1,9"), headers=MULTIPART)
        assert (answer.status_code, BODIES[9] in answer.content) == (200, True)


async def test_a_list_is_as_quick_as_its_frames_and_the_last_is_asked_for_with_the_first() -> None:
    """Without metadata, the last frame's first bytes arrive in the meantime. No frame is requested twice."""
    barrier, given, numbers = asyncio.Event(), origin(), "1,2,3,4,5,6,7,8,9"
    given.script = lambda asked: (
        honest(BODIES[9], asked, before=(barrier,)) if asked.path == path_of("9") else None
    )
    async with house(given) as home:
        asking = asyncio.create_task(home.viewer.get(path_of(numbers), headers=MULTIPART))
        await home.until(lambda: {path_of(n) for n in "1234569"} <= {a.path for a in given.frame_requests})
        barrier.set()
        answer = await asking
        assert answer.status_code == 200
        assert all(body in answer.content for body in BODIES.values())
        await home.until_idle()
        begun = [a.path for a in given.frame_requests if (a.range or "bytes=0-").startswith("bytes=0-")]
        assert sorted(begun) == [path_of(str(n)) for n in range(1, 10)]


async def test_several_frames_are_no_single_part_and_a_head_has_no_body() -> None:
    async with house(origin()) as home:
        refused = await home.viewer.get(path_of("1,2"), headers={"accept": "image/jphc"})
        assert (refused.status_code, refused.json()["title"]) == (406, "NotAcceptable")
        head = await home.viewer.head(path_of("1,2"), headers=MULTIPART)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"].startswith("multipart/related")
