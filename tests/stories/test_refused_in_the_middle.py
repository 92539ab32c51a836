"""A caller whom the origin refuses while a response to it is under way gets nothing more of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.codestreams import PARTS, htj2k
from tests.guarded_origin import BODIES, SINGLE, Guarded, GuardedOrigin, guarded, who_asks
from tests.house import House, events_in, read_until
from tests.scripted_origin import OTHER_SERIES, SERIES, UID, Asked, Piece, Reply, codestream, frame_of, honest
from tests.stories.test_alternates import PIXELS, described

pytestmark = pytest.mark.anyio

FRAME, OTHER = frame_of(0), frame_of(1)
LARGE = codestream(400_000)
LARGER_THAN_BUFFERS = codestream(30_000_000)
"""A frame that the kernel does not take at once for a viewer that reads nothing."""
TTLS = [{"access": {"ttl": 60}}, {"access": {"ttl": 0}}]
METADATA = f"{SERIES}/metadata"
BESIDE = {
    "metadata": (METADATA, f"{OTHER_SERIES}/metadata"),
    "bulk data": (f"{SERIES}/instances/{UID}.3/bulkdata/1", f"{SERIES}/instances/{UID}.3/bulkdata/2"),
    "picture": (f"{SERIES}/rendered", f"{OTHER_SERIES}/rendered"),
}
TEXT = b"[" + b" " * 40_000 + b"]"


class Halting(GuardedOrigin):
    """Lets `a` and `b` read. The body of `halting`, as `a` asks for it, stops in the middle at a barrier."""

    def __init__(self, halting: str = FRAME, *, body: bytes = LARGE) -> None:
        super().__init__("a", "b", bodies=[body, *BODIES[1:]])
        self.barrier = asyncio.Event()
        self._halting = halting
        self.then = self._then

    def _then(self, asked: Asked) -> Reply | None:
        if "/frames/" in asked.path and not asked.path.endswith("rendered"):
            reply = honest(self.frames[asked.path], asked)
        elif asked.path in self.metadata and asked.path != self._halting:
            return None
        else:
            reply = Reply(200, {"content-type": "application/dicom+json", "etag": '"1"'}, (TEXT,))
        if who_asks(asked) != "a" or asked.path != self._halting:
            return reply
        [body] = reply.pieces
        assert isinstance(body, bytes)
        pieces: tuple[Piece, ...] = (body[:20_000], self.barrier, body[20_000:])
        return Reply(reply.status, reply.headers | {"content-length": str(len(body))}, pieces)


def of(who: str, **more: str) -> dict[str, str]:
    return SINGLE | {"authorization": f"Bearer {who}"} | more


@asynccontextmanager
async def reading(home: House, who: str, path: str, **more: str) -> AsyncIterator[AsyncIterator[bytes]]:
    """A caller that has read some bytes of a response."""
    async with home.viewer.stream("GET", path, headers=of(who, **more)) as answer:
        assert answer.status_code == 200
        chunks = answer.aiter_raw()
        await read_until(chunks, 1)
        yield chunks


@asynccontextmanager
async def joined(at: Guarded, path: str, other: str, **more: str) -> AsyncIterator[AsyncIterator[bytes]]:
    """`b`, whom the origin let read, has joined what arrives for `a`, and both have some bytes of it."""
    for who in "ab":  # what they are shown is the same
        assert (await at.ask(who, other, **more)).status_code == 200
    async with reading(at.home, "a", path, **more) as of_a, reading(at.home, "b", path, **more) as of_b:
        yield of_b
        async for _ in of_a:
            pass  # for `a` it comes to its end


async def rest_of(chunks: AsyncIterator[bytes]) -> int:
    return sum([len(chunk) async for chunk in chunks])


@pytest.mark.parametrize("settings", TTLS, ids=["ttl", "no ttl"])
async def test_a_frame_that_was_joined_is_cut_for_the_one_who_is_refused(settings: dict[str, Any]) -> None:
    origin = Halting()
    async with guarded(origin, **settings) as at, joined(at, FRAME, OTHER) as chunks:
        origin.readers.remove("b")
        assert (await at.home.viewer.get(frame_of(2), headers=of("b"))).status_code == 403
        origin.barrier.set()
        with pytest.raises(httpx.HTTPError):
            await rest_of(chunks)


@pytest.mark.parametrize("settings", TTLS, ids=["ttl", "no ttl"])
async def test_one_who_is_refused_only_something_else_reads_on(settings: dict[str, Any]) -> None:
    origin = Halting()
    async with guarded(origin, **settings) as at, joined(at, FRAME, OTHER) as chunks:
        origin.refused.add(("b", frame_of(2)))
        assert (await at.home.viewer.get(frame_of(2), headers=of("b"))).status_code == 403
        before = origin.requests_of(FRAME)
        origin.barrier.set()
        assert await rest_of(chunks) > len(LARGE) - 30_000
        assert [who_asks(asked) for asked in origin.frame_requests if asked.path == FRAME][before:] == ["b"]


async def test_a_response_outlives_the_yes_only_if_there_is_another() -> None:
    origin = Halting()
    async with guarded(origin) as at, joined(at, FRAME, OTHER) as chunks:
        origin.readers.remove("b")
        at.now += 61
        origin.barrier.set()
        with pytest.raises(httpx.HTTPError):
            await rest_of(chunks)


async def test_a_response_under_way_waits_while_the_origin_is_too_busy_to_say_who_may_read() -> None:
    origin = Halting()
    async with guarded(origin) as at, joined(at, FRAME, OTHER) as chunks:
        well, busy = origin.then, [Reply(503, {"retry-after": "1"})]

        def then(asked: Asked) -> Reply | None:
            return busy.pop() if busy and who_asks(asked) == "b" else well(asked)

        origin.then = then
        at.now += 61
        origin.barrier.set()
        assert await rest_of(chunks) > len(LARGE) - 30_000
        assert not busy


async def test_a_response_that_has_not_begun_is_the_refusal() -> None:
    origin = Halting()
    listed = FRAME.replace("frames/1", "frames/1,1")
    accept = "multipart/related; type=image/jphc"
    async with guarded(origin) as at:
        for who in "ab":
            assert (await at.ask(who, OTHER)).status_code == 200
        async with reading(at.home, "a", FRAME):
            of_b = asyncio.create_task(at.home.viewer.get(listed, headers=of("b", accept=accept)))
            await at.home.until(lambda: at.home.app.places.waiting.taken == 2)
            origin.readers.remove("b")
            assert (await at.home.viewer.get(frame_of(2), headers=of("b"))).status_code == 403
            origin.barrier.set()
            refused = await of_b
        assert (refused.status_code, refused.headers["www-authenticate"]) == (403, "Bearer realm=pacs")


@pytest.mark.parametrize("settings", TTLS, ids=["ttl", "no ttl"])
@pytest.mark.parametrize("path", [FRAME, FRAME.replace("frames/1", "frames/1,1")], ids=["frame", "list"])
async def test_what_is_held_is_cut_for_the_one_who_is_refused(path: str, settings: dict[str, Any]) -> None:
    origin = GuardedOrigin("a", "b", bodies=[LARGER_THAN_BUFFERS, *BODIES[1:]])
    accept = "image/jphc" if path == FRAME else "multipart/related; type=image/jphc"
    async with guarded(origin, **settings) as at:
        for who in "ab":
            assert (await at.ask(who, FRAME)).status_code == 200
        async with reading(at.home, "b", path, accept=accept) as chunks:
            origin.readers.remove("b")
            assert (await at.home.viewer.get(OTHER, headers=of("b"))).status_code == 403
            with pytest.raises(httpx.HTTPError):
                await rest_of(chunks)
        assert (await at.ask("a", FRAME)).content == LARGER_THAN_BUFFERS


@pytest.mark.parametrize(("path", "other"), BESIDE.values(), ids=BESIDE)
@pytest.mark.parametrize("is_refused", [True, False], ids=["refused", "refused elsewhere only"])
async def test_what_is_beside_the_frames_is_cut_likewise(path: str, other: str, is_refused: bool) -> None:
    origin = Halting(path)
    accept = "application/dicom+json"
    async with guarded(origin, origin={"rendered": "origin"}) as at:
        third = (
            other.replace("/metadata", "/metadata?x").replace("/2", "/3").replace("/rendered", "/rendered?x")
        )
        async with joined(at, path, other, accept=accept) as chunks:
            origin.refused.add(("b", path if is_refused else third))
            origin.refused.add(("b", third))
            assert (await at.home.viewer.get(third, headers=of("b", accept=accept))).status_code == 403
            origin.barrier.set()
            if is_refused:
                with pytest.raises(httpx.HTTPError):
                    await rest_of(chunks)
            else:
                assert await rest_of(chunks) >= len(TEXT) - 20_000


async def test_a_picture_that_the_proxy_makes_goes_only_to_those_who_are_not_refused() -> None:
    origin = GuardedOrigin("a", "b", bodies=[htj2k(PIXELS, **PARTS)] * 3)
    described(origin)
    barrier = asyncio.Event()
    origin.then = lambda asked: (
        honest(origin.frames[FRAME], asked, before=[barrier])
        if who_asks(asked) == "a" and asked.path == FRAME
        else None
    )
    picture = f"{FRAME}/rendered"
    async with guarded(origin, origin={"rendered": "proxy"}) as at:
        for who in "ab":
            assert (await at.ask(who, OTHER)).status_code == 200
        ask, places = at.home.viewer.get, at.home.app.places.waiting
        of_a = asyncio.create_task(ask(picture, headers=of("a", accept="image/png")))
        await at.home.until(lambda: places.taken >= 1)
        of_b = asyncio.create_task(ask(picture, headers=of("b", accept="image/png")))
        await at.home.until(lambda: places.taken >= 2)
        await at.home.until(lambda: origin.requests_of(FRAME) >= 1)
        origin.readers.remove("b")
        assert (await at.home.viewer.get(frame_of(2), headers=of("b"))).status_code == 403
        barrier.set()
        assert ((await of_a).status_code, (await of_b).status_code) == (200, 403)


@pytest.mark.parametrize("settings", TTLS, ids=["ttl", "no ttl"])
async def test_a_plan_shows_nothing_to_a_maker_who_is_refused(settings: dict[str, Any]) -> None:
    origin = Halting()
    async with guarded(origin, **settings) as at:
        async with reading(at.home, "a", FRAME):
            plan = await at.home.begin_plan("sequential", headers=of("b"))
            async with at.home.admin.stream("GET", f"{plan}/events", headers=of("b")) as answer:
                assert answer.status_code == 200
                await at.home.until(lambda: len(at.home.app.fills) == 1)  # the plan waits with `a`
                origin.readers.remove("b")
                assert (await at.home.viewer.get(f"{OTHER}?x=1", headers=of("b"))).status_code == 403
                origin.barrier.set()
                *before, last = events_in((await answer.aread()).decode())
        assert (last[0], last[1]["state"]) == ("end", "failed")
        assert [each["image"] for name, each in before if name == "frame" and each["ok"]] != [0, 1, 2, 3]
        for path in ("", "/events"):
            refused = await at.home.admin.get(f"{plan}{path}", headers=of("b"))
            assert refused.status_code == 403
        assert (await at.home.admin.delete(plan, headers=of("b"))).status_code == 204
