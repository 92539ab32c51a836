"""Stale frames next to ranges, conditions of viewers, plans, alternates, refusals and faults."""

import asyncio
from typing import Any

import httpx
import pytest
from httpx import ByteStream

from proxy.fetch.retrieve import Retrieval
from proxy.fetch.turns import Rank, Turn
from proxy.frame.key import FrameKey
from proxy.frame.scope import FrameScope
from proxy.frame.supply import OriginRequest
from proxy.wire.resource import parse_frame_path
from tests.codestreams import htj2k
from tests.house import House, cache_did, house
from tests.numbered import Numbered, numbered
from tests.revalidating_origin import (
    FIRST,
    LAZY,
    NEW,
    OLD,
    REST,
    SINGLE,
    HoldsBack,
    Naming,
    RevalidatingOrigin,
    asks,
    by_date,
    by_etag,
    by_weak_etag,
    is_conditional,
    origin_of,
    until_asked,
)
from tests.scripted_origin import (
    FRAME,
    Asked,
    Reply,
    codestream,
    etag_of,
    frame_of,
    honest,
)
from tests.stories.test_alternates import ALTERNATES, PIXELS, at, described

pytestmark = pytest.mark.anyio

ANNE, BERT = ({"authorization": f"Bearer {name}"} for name in "ab")


@pytest.mark.parametrize("naming", [by_etag, by_date, by_weak_etag])
async def test_a_viewer_that_has_the_frame_gets_304_after_a_revalidation(naming: Naming) -> None:
    async with house(RevalidatingOrigin(naming)) as home:
        await asks(home)
        tag = (await home.viewer.head(FRAME, headers=SINGLE)).headers["etag"]
        for headers in ({}, FIRST, REST):
            answer = await home.viewer.get(FRAME, headers=SINGLE | headers | {"if-none-match": tag})
            assert (answer.status_code, answer.content, cache_did(answer)) == (304, b"", "fwd=stale; stored")


@pytest.mark.parametrize("naming", [by_etag, by_date, by_weak_etag])
async def test_a_viewer_resumes_a_stale_frame_unless_it_has_changed(naming: Naming) -> None:
    origin = RevalidatingOrigin(naming)
    async with house(origin) as home:
        await asks(home)
        tag = (await home.viewer.head(FRAME, headers=SINGLE)).headers["etag"]
        rest = SINGLE | REST | {"if-range": tag}
        answer = await home.viewer.get(FRAME, headers=rest)
        assert (answer.status_code, answer.content) == (206, OLD[65536:])
        await home.until_idle()
        origin.body = NEW
        assert (await home.viewer.get(FRAME, headers=rest)).status_code == 416


@pytest.mark.parametrize("asked", ["bytes=0-0", "bytes=100-200000", "bytes=-500", "bytes=70000-70000"])
async def test_any_range_of_a_stale_frame_is_revalidated(asked: str) -> None:
    async with house(RevalidatingOrigin()) as home:
        once, again = (await asks(home, range=asked))[0], (await asks(home, range=asked))[0]
        assert once == again != b""
        assert origin_of(home).seen[-1][0]


async def test_head_of_a_stale_frame_is_revalidated() -> None:
    async with house(RevalidatingOrigin()) as home:
        await asks(home)
        answer = await home.viewer.head(FRAME, headers=SINGLE)
        assert (answer.headers["content-length"], cache_did(answer)) == (str(len(OLD)), "fwd=stale; stored")


@pytest.mark.parametrize("profile", [LAZY, {}], ids=["on demand", "always"])
@pytest.mark.parametrize("held", [FIRST, {}], ids=["prefix", "complete"])
@pytest.mark.parametrize("has_changed", [False, True])
async def test_viewers_of_ranges_and_of_the_whole_frame_share_a_revalidation(
    profile: dict[str, Any], held: dict[str, str], has_changed: bool
) -> None:
    origin = RevalidatingOrigin()
    async with house(origin, **profile) as home:
        await asks(home, **held)
        origin.body = now = NEW if has_changed else OLD
        together: list[tuple[dict[str, str], ...]] = [(FIRST, {}, REST), ({}, FIRST), (FIRST, FIRST)]
        for viewers in together:
            asking = await until_asked(home, *viewers)
            origin.barrier.set()
            for headers, answer in zip(viewers, await asyncio.gather(*asking), strict=True):
                expected = {FIRST["range"]: now[:65536], REST["range"]: now[65536:]}
                assert answer.content == expected.get(headers.get("range", ""), now)
            await home.until_idle()


async def test_a_prefix_by_date_is_renewed_after_a_completion_without_its_date() -> None:
    origin = RevalidatingOrigin(by_date)
    serve = origin.script
    assert serve is not None

    def script(asked: Asked) -> Reply | None:
        reply = serve(asked)
        if reply is None or "if-range" not in asked.headers:
            return reply
        return Reply(
            reply.status, {k: v for k, v in reply.headers.items() if k != "last-modified"}, reply.pieces
        )

    origin.script = script
    async with house(origin, profiles={"two": {"first": "64KiB"}}, profile="two") as home:
        await asks(home)
        assert "if-range" in origin.asked[-1].headers
        assert (await asks(home))[1:] == ("fwd=stale; stored", [(True, "bytes=0-65535")])


@pytest.mark.parametrize("policy", ["strict", "length", "off"])
@pytest.mark.parametrize("naming", [by_etag, by_date, by_weak_etag])
async def test_each_policy_renews_and_replaces(policy: str, naming: Naming) -> None:
    origin = RevalidatingOrigin(naming)
    made = {"first": "64KiB", "validators": policy}
    async with house(origin, profiles={"p": made}, profile="p") as home:
        for body in (OLD, OLD, NEW, NEW, OLD):
            origin.body = body
            status = (await home.viewer.get(FRAME, headers=SINGLE)).status_code
            await home.until_idle()
            if status == 200:
                assert (await asks(home))[0] == body


@pytest.mark.parametrize("length", [str(len(OLD)), "65536", "0", "1"])
async def test_a_304_may_say_the_length_that_a_200_would_have(length: str) -> None:
    origin = RevalidatingOrigin()
    origin.then = {"cache-control": "no-cache", "content-length": length, "content-type": "image/jphc"}
    async with house(origin) as home:
        await asks(home)
        for _ in range(3):
            assert (await asks(home))[:2] == (OLD, "fwd=stale; stored")


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        ({"content-length": "5"}, b"hello"),
        ({"transfer-encoding": "chunked"}, b"5\r\nhello\r\n0\r\n\r\n"),
        ({}, b"HTTP/1.1 200 OK\r\nContent-Type: image/jphc\r\nContent-Length: 4\r\n\r\nEVIL"),
    ],
    ids=["length", "chunked", "another response"],
)
async def test_a_body_behind_a_304_reaches_no_viewer(framing: dict[str, str], body: bytes) -> None:
    origin = RevalidatingOrigin()
    serve = origin.script
    assert serve is not None

    def script(asked: Asked) -> Reply | None:
        reply = serve(asked)
        is_304 = reply is not None and reply.status == 304
        return Reply(304, {**reply.headers, **framing}, (body,)) if reply and is_304 else reply

    origin.script = script
    async with house(origin) as home:
        await asks(home)
        for _ in range(5):
            answer = await home.viewer.get(FRAME, headers=SINGLE)
            await home.until_idle()
            assert answer.content == OLD or answer.status_code == 502
            assert b"EVIL" not in answer.content


async def test_a_stale_frame_is_fetched_anew_if_its_form_works_no_longer() -> None:
    origin = RevalidatingOrigin(is_multipart=True)
    async with house(origin) as home:
        await asks(home)
        serve = origin.script
        assert serve is not None
        origin.is_multipart = False
        origin.script = lambda asked: (
            Reply(406, {}) if "multipart" in asked.headers["accept"] else serve(asked)
        )
        body, _, seen = await asks(home)
        assert (body, [condition for condition, _ in seen][:2]) == (OLD, [True, False])
        assert (await asks(home))[::2] == (OLD, [(True, "bytes=0-65535")])


async def test_an_origin_that_answers_304_to_everything_serves_nothing_wrong() -> None:
    origin = RevalidatingOrigin()
    origin.is_rash = True
    async with house(origin, **LAZY) as home:
        assert (await home.viewer.get(FRAME, headers=SINGLE)).status_code == 502
        await home.until_idle()
        origin.is_rash = False
        await asks(home, **FIRST)
        origin.is_rash = True
        answer = await home.viewer.get(FRAME, headers=FIRST)
        assert answer.content == OLD[:65536]
        await home.until_idle()
        with pytest.raises(httpx.TransportError):  # the completion is no conditional request
            await home.viewer.get(FRAME, headers=SINGLE)
        await home.until_idle()
        origin.is_rash = False
        assert (await asks(home))[0] == OLD


async def test_a_busy_origin_is_asked_again_with_the_condition() -> None:
    origin = RevalidatingOrigin()
    async with house(origin) as home:
        await asks(home)
        serve, left = origin.script, [503]
        assert serve is not None
        origin.script = lambda asked: Reply(left.pop(), {"retry-after": "0"}) if left else serve(asked)
        body, did, seen = await asks(home)
        assert (body, did, [condition for condition, _ in seen]) == (OLD, "fwd=stale; stored", [True, True])


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_a_refused_revalidation_drops_the_frame_for_those_it_concerns(status: int) -> None:
    origin = RevalidatingOrigin()
    async with house(origin, access="credential") as home:
        home.app.origins["pacs"].missing.kept = 0.0
        for who in (ANNE, BERT):
            await asks(home, **who)
        origin.status = status
        assert (await home.viewer.get(FRAME, headers=SINGLE | ANNE)).status_code == status
        await home.until_idle()
        origin.status = 200
        assert (await asks(home, **ANNE))[1] == "fwd=miss; stored"
        is_of_all = status in (404, 410)
        assert (await asks(home, **BERT))[1] == ("fwd=miss; stored" if is_of_all else "fwd=stale; stored")


async def test_viewers_with_other_credentials_are_revalidated_apart() -> None:
    origin = RevalidatingOrigin()
    async with house(origin, access="credential") as home:
        for who in (ANNE, BERT):
            await asks(home, **who)
        before = len(origin.seen)
        origin.barrier.clear()
        asking = [asyncio.create_task(home.viewer.get(FRAME, headers=SINGLE | who)) for who in (ANNE, BERT)]
        await home.until(lambda: len(origin.seen) == before + 2)
        assert {each.headers["authorization"] for each in origin.asked[-2:]} == {"Bearer a", "Bearer b"}
        origin.barrier.set()
        assert [answer.content for answer in await asyncio.gather(*asking)] == [OLD, OLD]


async def test_a_304_that_is_private_is_not_for_a_viewer_that_joined() -> None:
    origin = RevalidatingOrigin()
    async with house(origin) as home:
        await asks(home)
        origin.then = {"cache-control": "private, no-cache"}
        asking = await until_asked(home, {}, {})
        origin.barrier.set()
        answers = await asyncio.gather(*asking)
        assert [answer.content for answer in answers] == [OLD, OLD]
        assert sorted(map(cache_did, answers)) == ["fwd=miss; stored", "fwd=stale; stored"]
        await home.until_idle()
        assert (await asks(home))[1] == "fwd=miss; stored"


async def test_a_frame_that_loses_its_rest_during_its_revalidation_is_served_whole() -> None:
    async with house(RevalidatingOrigin()) as home:
        await asks(home)
        asking = await until_asked(home, {}, REST)
        store = home.app.fills._store
        key = FrameKey("pacs", b"", parse_frame_path(FRAME[1:]))
        frame = store.stale(key)
        assert frame is not None
        store.put(key, frame.prefix)
        origin_of(home).barrier.set()
        assert [answer.content for answer in await asyncio.gather(*asking)] == [OLD, OLD[65536:]]
        await home.until_idle()
        assert (await asks(home))[2] == [(True, "bytes=0-65535")]


@pytest.mark.parametrize("body", [OLD, NEW], ids=["304", "200"])
async def test_a_frame_counts_once_while_it_is_revalidated(body: bytes) -> None:
    async with house(origin := RevalidatingOrigin()) as home:
        await asks(home)
        store = home.app.fills._store
        key = FrameKey("pacs", b"", parse_frame_path(FRAME[1:]))
        frame, room = store.stale(key), store.room
        assert frame is not None
        asking = await until_asked(home, {}, REST)
        assert (room.in_use, room.lent, room.filling) == (len(OLD), 0, 0)
        origin.body = body
        origin.barrier.set()
        await asyncio.gather(*asking)
        await home.until(lambda: (room.in_use, room.lent, room.filling) == (0, 0, 0))
        renewed = store.stale(key)
        assert renewed is not None
        assert b"".join(renewed.pieces) == body
        pairs = zip(renewed.pieces, frame.pieces, strict=False)
        assert all((new is old) == (body == OLD) for new, old in pairs)


async def test_a_frame_that_is_dropped_during_its_revalidation_counts_until_it_is_read() -> None:
    async with house(RevalidatingOrigin()) as home:
        await asks(home)
        asking = await until_asked(home, {}, {})
        home.app.forget(FrameScope("pacs"))
        room = home.app.fills._store.room
        assert (room.in_use, room.lent, room.filling) == (len(OLD), len(OLD), 0)
        origin_of(home).barrier.set()
        assert [answer.content for answer in await asyncio.gather(*asking)] == [OLD, OLD]
        await home.until(lambda: (room.in_use, room.lent, room.filling) == (0, 0, 0))


@pytest.mark.parametrize("is_held", [True, False], ids=["304", "200"])
async def test_a_plan_that_is_cancelled_as_the_response_comes_leaves_nothing_counted(
    caplog: pytest.LogCaptureFixture, *, is_held: bool
) -> None:
    answered, going_on = asyncio.Event(), asyncio.Event()

    class HoldsBack(Numbered):
        """Has the whole response of the plan, and gives it only once it may."""

        is_on = False

        async def _answered(self, asked: Any) -> httpx.Response:
            response = await super()._answered(asked)
            if not self.is_on:
                return response
            body = await response.aread()
            answered.set()
            await going_on.wait()
            return httpx.Response(response.status_code, headers=response.headers, stream=ByteStream(body))

    async with house(RevalidatingOrigin(), transport_of=numbered(HoldsBack)) as home:
        if is_held:
            await asks(home)
        HoldsBack.is_on = True
        request = OriginRequest(FrameKey("pacs", b"", parse_frame_path(FRAME[1:])), ())
        wanted = Retrieval(request, 65536, None, is_completed=True, planned=Rank(Turn.PLAN_FIRST))
        retrieve = home.app.plans._means.retrieve
        reading = retrieve.open(wanted)
        await answered.wait()
        going_on.set()  # the fetch goes on with the next step of the loop, and its cancellation comes after
        retrieve.leave(wanted, reading, is_cancelled=True)
        assert home.app.fills.get(wanted.key) is None
        await home.until(lambda: home.metric("fills_in_flight") == 0)
        assert (await asks(home))[0] == OLD
        room = home.app.fills._store.room
        await home.until(lambda: (room.in_use, room.lent, room.filling) == (0, 0, 0))
        assert not [each for each in caplog.records if each.name == "proxy.fetch.fills"]


class StaleSeries(HoldsBack):
    """Serves frames that a cache has to revalidate before each use."""

    def __init__(self, bodies: list[bytes]) -> None:
        super().__init__(self._answer)
        self.with_series(bodies)

    def _answer(self, asked: Asked) -> Reply | None:
        body = self.frames.get(asked.path)
        if body is None:
            return None
        if asked.headers.get("if-none-match") == etag_of(body):
            return Reply(304, {"etag": etag_of(body), "cache-control": "no-cache"})
        reply = honest(body, asked)
        return Reply(reply.status, reply.headers | {"cache-control": "no-cache"}, reply.pieces)

    @property
    def conditions(self) -> list[bool]:
        return [is_conditional(asked) for asked in self.frame_requests]


async def run_plan(home: House) -> dict[str, Any]:
    plan = await home.begin_plan("sequential")
    return (await home.events(plan))[-1][1]


async def test_a_plan_renews_stale_frames_and_brings_no_bytes() -> None:
    bodies = [codestream(100_000, seed) for seed in range(4)]
    origin = StaleSeries(bodies)
    async with house(origin) as home:
        assert (await run_plan(home))["bytes"] == sum(map(len, bodies))
        held, seen = home.metric("cache_bytes", part="rest"), len(origin.conditions)
        assert await run_plan(home) == {"state": "done", "bytes": 0}
        assert set(origin.conditions[seen:]) == {True}
        assert home.metric("cache_bytes", part="rest") == held


async def test_revalidations_do_not_wait_for_each_other() -> None:
    """A 304 brings no bytes, so the window of a slow link lets all of them go out at once."""
    bodies = [codestream(300_000, seed) for seed in range(8)]
    origin = StaleSeries(bodies)
    async with house(origin) as home:
        for image in range(8):
            await home.viewer.get(frame_of(image), headers=SINGLE)
        await home.until_idle()
        seen = len(origin.conditions)
        origin.barrier.clear()
        asking = [asyncio.create_task(home.viewer.get(frame_of(image), headers=SINGLE)) for image in range(8)]
        await home.until(lambda: len(origin.conditions) == seen + 8)
        assert home.app.suppliers["pacs"].gate.account.total == 0
        origin.barrier.set()
        assert [answer.content for answer in await asyncio.gather(*asking)] == bodies
        assert origin.conditions[seen:] == [True] * 8


async def test_an_alternate_is_made_anew_from_a_stale_frame_that_is_revalidated() -> None:
    origin = described(StaleSeries([htj2k(PIXELS)]))
    async with house(origin, alternates=ALTERNATES) as home:
        answers = []
        for _ in range(2):
            for path in ("/jls/", "/jlsThumbnail/"):
                answers.append(await home.viewer.get(at(path), headers={"accept": "image/jls"}))
                await home.until_idle()
        first, thumbnail, again, thumbnail_again = (
            (answer.content, answer.headers["etag"]) for answer in answers
        )
        assert (again, thumbnail_again) == (first, thumbnail)
        frames = [is_conditional(asked) for asked in origin.asked if asked.path == frame_of(0)]
        assert frames == [False, True, True, True]
