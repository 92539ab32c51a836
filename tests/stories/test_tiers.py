"""A tier behind memory: what it brings, to whom, and what it may fail at without a viewer's notice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from proxy.cache import behind
from proxy.cache.tier import Wrong
from proxy.frame.frame import Frame
from proxy.frame.key import FrameKey
from proxy.frame.scope import FrameScope
from tests.guarded_origin import BODIES, GuardedOrigin, guarded, who_asks
from tests.house import House, cache_did, house
from tests.scripted_origin import FRAME, SERIES, Asked, Reply, ScriptedOrigin, codestream, frame_of, honest
from tests.tiers import IMPATIENT, FakeTier

pytestmark = pytest.mark.anyio

BODY = codestream(400_000)
SINGLE = {"accept": "image/jphc"}
FIRST = SINGLE | {"range": "bytes=0-65535"}
REST = SINGLE | {"range": "bytes=65536-"}
STUDY = SERIES.partition("/series")[0]
FRAMES = [frame_of(number) for number in range(len(BODIES))]


def origin_with(body: bytes = BODY, etag: str | None = None) -> ScriptedOrigin:
    return ScriptedOrigin(
        script=lambda asked: honest(body, asked, etag=etag) if asked.path == FRAME else None
    )


@asynccontextmanager
async def warm(tier: FakeTier, **settings: Any) -> AsyncIterator[House]:
    """A house with an empty memory, and a tier that a house before it has filled."""
    async with house(origin_with(), tiers=[tier], **settings) as home:
        await home.viewer.get(FRAME, headers=SINGLE)
        await home.until_written()
    async with house(origin_with(), tiers=[tier], **settings) as home:
        yield home


async def test_the_first_bytes_come_from_the_tier_and_nobody_is_asked() -> None:
    async with warm(FakeTier()) as home:
        answer = await home.viewer.get(FRAME, headers=FIRST)
        assert answer.content == BODY[:65536]
        assert cache_did(answer) == "hit; detail=fake"


async def test_the_whole_comes_from_the_tier_and_nobody_is_asked() -> None:
    async with warm(FakeTier()) as home:
        assert (await home.viewer.get(FRAME, headers=SINGLE)).content == BODY
        assert home.origin.requests_of(FRAME) == 0
        again = await home.viewer.get(FRAME, headers=SINGLE)
        assert (again.content, cache_did(again)) == (BODY, "hit")


async def test_the_rest_comes_from_the_tier_if_memory_has_only_the_first_bytes() -> None:
    async with warm(FakeTier()) as home:
        await home.viewer.get(FRAME, headers=FIRST)
        assert (await home.viewer.get(FRAME, headers=REST)).content == BODY[65536:]
        assert home.origin.requests_of(FRAME) == 0


@pytest.mark.parametrize("pieces", [0, 1, 7])
async def test_the_origin_goes_on_from_where_the_tier_stopped(pieces: int) -> None:
    tier = FakeTier()
    async with warm(tier) as home:
        tier.pieces = pieces
        assert (await home.viewer.get(FRAME, headers=SINGLE)).content == BODY
        (wanted,) = home.origin.ranges_of(FRAME)
        assert wanted == f"bytes={65536 + pieces * tier.size}-"
        assert home.metric("tier_lookups_total", tier="fake", part="rest", outcome="wrong") == 1


async def test_another_version_at_the_origin_is_never_joined_to_the_tiers() -> None:
    tier, new = FakeTier(), codestream(400_000, seed=2)
    # Nothing is fetched that nobody asks for, so the old version's first bytes are still held when all are.
    lazy = {"lazy": {"first": "64KiB", "complete": "on-demand"}}
    async with warm(tier, profiles=lazy, profile="lazy") as home:
        tier.pieces = 1
        home.origin.script = lambda asked: honest(new, asked) if asked.path == FRAME else None
        answer = await home.viewer.get(FRAME, headers=FIRST)
        assert answer.content == BODY[:65536]
        with pytest.raises(httpx.HTTPError):  # it has begun with the old version
            await home.viewer.get(FRAME, headers=SINGLE)
        await home.until_written()
        assert (await home.viewer.get(FRAME, headers=SINGLE)).content == new
        await home.until_written()
        assert tier.wholes[next(iter(tier.wholes))].pieces[0] == new[:65536]


@pytest.mark.parametrize("pieces", [10**9, 3])
async def test_a_frame_without_a_validator_comes_whole_or_anew(pieces: int) -> None:
    tier, origin = FakeTier(), origin_with(etag="")
    for _ in range(2):
        async with house(origin, tiers=[tier]) as home:
            tier.pieces = pieces
            before = origin.requests_of(FRAME)
            assert (await home.viewer.get(FRAME, headers=SINGLE)).content == BODY
            await home.until_written()
    asked = origin.ranges_of(FRAME)[before:]
    assert asked == ([] if pieces > 3 else [None])  # and what is in is compared


async def test_a_frame_that_is_not_whole_and_has_no_validator_is_not_written() -> None:
    tier = FakeTier()
    profile = {"first": "64KiB", "complete": "on-demand"}
    async with house(origin_with(etag=""), tiers=[tier], profiles={"lazy": profile}, profile="lazy") as home:
        await home.viewer.get(FRAME, headers=FIRST)
        await home.until_written()
        assert tier.asked["put"] == 0


def broken() -> Exception:
    return OSError("no such disk")


def wrong() -> Exception:
    return Wrong("one bit")


@pytest.mark.parametrize(("error", "outcome"), [(broken, "failed"), (wrong, "wrong")])
async def test_a_tier_that_fails_is_a_miss(error: Any, outcome: str) -> None:
    tier = FakeTier()
    async with warm(tier) as home:
        tier.error = error
        answer = await home.viewer.get(FRAME, headers=SINGLE)
        assert (answer.status_code, answer.content) == (200, BODY)
        assert cache_did(answer) == "fwd=miss; stored"
        await home.until_written()
        assert home.metric("tier_lookups_total", tier="fake", part="first", outcome=outcome) == 1
        assert home.metric("tier_writes_total", tier="fake", outcome="failed") >= 1


async def test_a_tier_that_is_late_is_a_miss() -> None:
    tier = FakeTier()
    async with warm(tier) as home:
        tier.budget, tier.barrier = IMPATIENT, asyncio.Event()
        answer = await home.viewer.get(FRAME, headers=SINGLE)
        assert (answer.content, cache_did(answer)) == (BODY, "fwd=miss; stored")
        assert home.metric("tier_lookups_total", tier="fake", part="first", outcome="late") == 1


async def test_a_tier_that_keeps_failing_is_left_alone_and_asked_again_later() -> None:
    tier, now = FakeTier(), 0.0
    async with house(ScriptedOrigin().with_series([BODY] * 9), tiers=[tier]) as home:
        assert home.app.tiered is not None
        home.app.tiered._tiers[0]._clock = lambda: now
        tier.error = broken
        for number in range(8):
            await home.viewer.get(frame_of(number), headers=SINGLE)
        assert tier.asked["first"] == behind.FAILURES
        tier.error, now = None, behind.LEFT_ALONE
        await home.viewer.get(frame_of(8), headers=SINGLE)
        assert tier.asked["first"] == behind.FAILURES + 1


async def test_those_who_ask_at_once_share_one_look_up() -> None:
    tier = FakeTier()
    async with warm(tier) as home:
        tier.barrier, tier.asked["first"] = asyncio.Event(), 0
        asking = [asyncio.create_task(home.viewer.get(FRAME, headers=FIRST)) for _ in range(20)]
        await home.until_inside(20)
        tier.barrier.set()
        assert {answer.content for answer in await asyncio.gather(*asking)} == {BODY[:65536]}
        assert tier.asked["first"] == 1


async def test_the_nearest_tier_that_has_a_frame_gives_it_and_the_nearer_ones_get_it() -> None:
    near, far = FakeTier("near"), FakeTier("far")
    async with warm(far):
        pass
    async with house(origin_with(), tiers=[near, far]) as home:
        assert cache_did(await home.viewer.get(FRAME, headers=FIRST)) == "hit; detail=far"
        await home.viewer.get(FRAME, headers=REST)
        await home.until_written()
        assert len(near.wholes) == 1
    async with house(origin_with(), tiers=[near, far]) as home:
        assert cache_did(await home.viewer.get(FRAME, headers=FIRST)) == "hit; detail=near"


async def test_a_purge_reaches_the_tier_before_it_is_answered() -> None:
    tier = FakeTier()
    async with warm(tier) as home:
        assert (await home.admin.delete(f"/cache{STUDY}")).status_code == 204
        assert not tier.firsts
        assert not tier.wholes


async def test_a_purge_does_not_wait_for_a_tier_that_has_much_to_drop() -> None:
    tier = FakeTier()
    async with warm(tier):
        tier.left = 10**9
    async with house(origin_with(), tiers=[tier]) as home:
        assert (await home.admin.delete(f"/cache{STUDY}")).status_code == 204
        assert not tier.firsts
        before = tier.asked["tend"]
        await home.until(lambda: tier.asked["tend"] > before)
        assert tier.left > 0


async def test_what_is_purged_while_it_is_looked_up_does_not_come_back() -> None:
    tier = FakeTier()
    async with warm(tier) as home:
        tier.barrier = asyncio.Event()
        asking = asyncio.create_task(home.viewer.get(FRAME, headers=SINGLE))
        await home.until(lambda: tier.asked["first"] == 2)
        await home.admin.delete(f"/cache{STUDY}")
        tier.barrier.set()
        assert cache_did(await asking) == "fwd=miss; stored"


async def test_what_a_tier_can_not_forget_is_not_asked_for() -> None:
    tier = FakeTier()
    async with warm(tier) as home:
        assert home.app.tiered is not None
        tier.error = broken
        home.app.forget(FrameScope("pacs", FRAME.split("/")[2]))
        await home.until(lambda: tier.asked["forget"] > 0)
        tier.error = None
        answer = await home.viewer.get(FRAME, headers=SINGLE)
        assert cache_did(answer) == "fwd=miss; stored"


@pytest.mark.parametrize("status", [401, 403])
async def test_a_caller_whom_the_origin_refuses_gets_nothing_from_a_tier(status: int) -> None:
    tier, origin = FakeTier(), GuardedOrigin("a")
    async with guarded(origin, tiers=[tier]) as at:
        assert (await at.ask("a", FRAMES[0])).content == BODIES[0]
        await at.home.until_written()
    origin.refusal = Reply(status, {}, (b"no",))
    async with guarded(origin, tiers=[tier]) as at:
        assert (await at.ask("b", FRAMES[0])).status_code == status
        assert (await at.ask("", FRAMES[0])).status_code == status


async def test_a_caller_is_probed_once_for_what_a_tier_has() -> None:
    tier, origin = FakeTier(), GuardedOrigin("a", "b")
    async with guarded(origin, tiers=[tier]) as at:
        for path in FRAMES:
            await at.ask("a", path)
        await at.home.until_written()
    before = len(origin.frame_requests)
    async with guarded(origin, tiers=[tier]) as at:
        for path in FRAMES:
            assert await at.did("b", path) == (200, "hit; detail=fake")
        assert len(origin.frame_requests[before:]) == 1
        assert at.probes() == 1


async def test_a_sole_reader_is_compared_with_what_a_tier_brings_of_another() -> None:
    """The origin shows b other pixels. b fetches one frame, and a tier has the next one as a saw it."""
    tier, others = FakeTier(), codestream(60_000, seed=9)

    def then(asked: Asked) -> Reply | None:
        return honest(others, asked) if who_asks(asked) == "b" else None

    origin = GuardedOrigin("a", "b")
    origin.then = then
    async with guarded(origin, tiers=[tier]) as at:
        assert (await at.ask("a", FRAMES[1])).content == BODIES[1]
        await at.home.until_written()
    async with guarded(origin, tiers=[tier]) as at:
        for path in FRAMES[:3]:
            assert (await at.ask("b", path)).content == others


@pytest.mark.parametrize("value", ["no-store", "no-cache", "max-age=0, must-revalidate"])
async def test_what_may_not_be_kept_leaves_the_tier(value: str) -> None:
    tier, headers = FakeTier(), {"cache-control": "max-age=1000"}

    def script(asked: Asked) -> Reply | None:
        if asked.path != FRAME:
            return None
        reply = honest(BODY, asked, etag="")
        return Reply(reply.status, reply.headers | headers, reply.pieces)

    async with house(ScriptedOrigin(script=script), tiers=[tier]) as home:
        await home.viewer.get(FRAME, headers=SINGLE)
        await home.until_written()
        assert tier.wholes
        headers["cache-control"] = value
        home.app.tiered._memory.drop(next(iter(tier.wholes)))  # type: ignore[union-attr]
        tier.error = wrong
        await home.viewer.get(FRAME, headers=SINGLE)
        tier.error = None
        await home.until_written()
        assert not tier.wholes


class HoldsPuts(FakeTier):
    """Writes only once it may, and knows how many wait for that."""

    def __init__(self, writers: int) -> None:
        super().__init__()
        self.writers = writers
        self.may_put = asyncio.Event()
        self.putting: list[FrameKey] = []

    async def put(self, key: FrameKey, frame: Frame) -> bool:
        assert key not in self.putting
        self.putting.append(key)
        await self.may_put.wait()
        self.putting.remove(key)
        return await super().put(key, frame)


@pytest.mark.parametrize("writers", [1, 3])
async def test_a_tier_gets_as_many_frames_at_once_as_it_likes(writers: int) -> None:
    tier = HoldsPuts(writers)
    async with house(ScriptedOrigin().with_series([BODY] * 5), tiers=[tier]) as home:
        for number in range(5):
            await home.viewer.get(frame_of(number), headers=SINGLE)
        await home.until_idle()
        await home.until(lambda: len(tier.putting) == writers)
        tier.may_put.set()
        await home.until_written()
        assert len(tier.wholes) == 5


async def test_a_purge_does_not_wait_for_a_write() -> None:
    tier = HoldsPuts(1)
    async with house(origin_with(), tiers=[tier]) as home:
        await home.viewer.get(FRAME, headers=SINGLE)
        await home.until(lambda: len(tier.putting) == 1)
        assert (await home.admin.delete(f"/cache{STUDY}")).status_code == 204
        assert len(tier.putting) == 1
        tier.may_put.set()
