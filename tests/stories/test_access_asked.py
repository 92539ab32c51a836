"""One copy of a frame serves all whom the origin lets read, and nobody else."""

import asyncio

import pytest

from proxy.wire.multipart import wrap
from proxy.wire.ranges import Span
from tests.guarded_origin import BODIES, OTHER_STUDY, SERIES, SINGLE, GuardedOrigin, guarded, who_asks
from tests.house import cache_did, house
from tests.scripted_origin import LABEL, Asked, Reply, ScriptedOrigin, codestream, frame_of, honest, running

pytestmark = pytest.mark.anyio

FRAMES = [frame_of(number) for number in range(len(BODIES))]
HIT, MISS = (200, "hit"), (200, "fwd=miss; stored")
NO = (403, "")


async def test_three_callers_cost_the_origin_each_frame_once() -> None:
    origin = GuardedOrigin("a", "b", "c")
    async with guarded(origin) as at:
        for who in ("a", "b", "c"):
            answers = await asyncio.gather(*(at.ask(who, path) for path in FRAMES))
            assert [answer.content for answer in answers] == list(BODIES)
        assert at.probes() == 2
        assert len(origin.frame_requests) == len(FRAMES) + 2
        wholes = [asked for asked in origin.frame_requests if asked.range is None]
        assert {who_asks(asked) for asked in wholes} == {"a"}


async def test_a_renewed_token_costs_one_probe() -> None:
    origin = GuardedOrigin("old", "new")
    async with guarded(origin) as at:
        for path in FRAMES:
            assert await at.did("old", path) == MISS
        before = len(origin.frame_requests)
        for path in FRAMES:
            assert await at.did("new", path) == HIT
        assert [asked.range for asked in origin.frame_requests[before:]] == ["bytes=0-4095"]


async def test_a_caller_whom_the_origin_refuses_any_longer_gets_nothing_once_the_yes_ends() -> None:
    origin = GuardedOrigin("a", "b")
    async with guarded(origin) as at:
        assert [await at.did(who, FRAMES[0]) for who in ("a", "b")] == [MISS, HIT]
        origin.readers.remove("b")
        at.now += 30
        assert await at.did("b", FRAMES[0]) == HIT
        at.now += 31
        for _ in range(2):
            refused = await at.ask("b", FRAMES[0])
            assert refused.status_code == 403
            assert refused.headers["www-authenticate"] == "Bearer realm=pacs"
        assert at.probes("no") == 1
        assert await at.did("a", FRAMES[0]) == HIT


async def test_without_a_time_to_live_the_origin_is_asked_each_time() -> None:
    origin = GuardedOrigin("a", "b")
    async with guarded(origin, access={"ttl": 0}) as at:
        assert [await at.did("a", FRAMES[0]) for _ in range(3)] == [MISS, HIT, HIT]
        assert at.probes() == 2
        origin.readers.remove("a")
        assert await at.did("a", FRAMES[0]) == NO
        assert await at.did("b", FRAMES[0]) == HIT


async def test_a_yes_is_for_one_study() -> None:
    origin = GuardedOrigin("a", "b")
    origin.with_series(BODIES, OTHER_STUDY)
    origin.refused = {("b", OTHER_STUDY)}
    other = frame_of(0, OTHER_STUDY)
    async with guarded(origin) as at:
        assert [await at.did("a", path) for path in (FRAMES[0], other)] == [MISS, MISS]
        assert [await at.did("b", path) for path in (FRAMES[0], other, FRAMES[0])] == [HIT, NO, HIT]


async def test_a_hundred_wait_for_one_probe() -> None:
    origin, barrier = GuardedOrigin("a", "b"), asyncio.Event()
    origin.then = lambda asked: honest(BODIES[0], asked, before=[barrier]) if who_asks(asked) == "b" else None
    async with guarded(origin) as at:
        for path in FRAMES:
            await at.ask("a", path)
        before = len(origin.frame_requests)
        asking = [
            asyncio.create_task(at.home.viewer.get(path, headers=SINGLE | {"authorization": "Bearer b"}))
            for path in FRAMES * 25
        ]
        await at.home.until_inside(100)
        assert len(origin.frame_requests) <= before + 1
        barrier.set()
        answers = await asyncio.gather(*asking)
        assert [answer.content for answer in answers] == list(BODIES) * 25
        assert len(origin.frame_requests) == before + 1


async def test_a_yes_that_is_used_is_renewed_before_it_ends() -> None:
    origin = GuardedOrigin("a")
    async with guarded(origin) as at:
        assert await at.did("a", FRAMES[0]) == MISS
        before = len(origin.frame_requests)
        at.now += 39
        assert await at.did("a", FRAMES[0]) == HIT
        assert len(origin.frame_requests) == before
        at.now += 6
        assert await at.did("a", FRAMES[0]) == HIT
        await at.home.until(lambda: at.probes() == 1)
        at.now += 35  # the first yes is over
        assert await at.did("a", FRAMES[0]) == HIT
        assert len(origin.frame_requests) == before + 1


async def test_a_refused_renewal_ends_the_yes() -> None:
    origin = GuardedOrigin("a", "b")
    async with guarded(origin) as at:
        assert [await at.did(who, FRAMES[0]) for who in ("a", "b")] == [MISS, HIT]
        origin.readers.remove("b")
        at.now += 45
        assert await at.did("b", FRAMES[0]) == HIT
        await at.home.until(lambda: at.probes("no") == 1)
        assert await at.did("b", FRAMES[0]) == NO


async def test_while_the_origin_is_down_a_good_yes_serves_until_it_ends() -> None:
    origin = GuardedOrigin("a")
    async with guarded(origin) as at:
        assert await at.did("a", FRAMES[0]) == MISS
        await origin.stop()
        assert await at.did("a", FRAMES[0]) == HIT
        assert (await at.did("b", FRAMES[0]))[0] == 502
        at.now += 59
        assert await at.did("a", FRAMES[0]) == HIT
        at.now += 2
        assert (await at.did("a", FRAMES[0]))[0] == 502


async def test_a_yes_of_one_origin_is_none_of_another() -> None:
    pacs, cloud = GuardedOrigin("a"), GuardedOrigin("b")
    async with running(pacs), running(cloud):
        origins = [{"url": pacs.url, "name": "pacs"}, {"url": cloud.url, "name": "cloud"}]
        async with guarded(ScriptedOrigin(), origins=origins) as at:
            assert await at.did("a", f"/pacs{FRAMES[0]}") == MISS
            assert await at.did("b", f"/cloud{FRAMES[0]}") == MISS
            assert await at.did("b", f"/pacs{FRAMES[0]}") == NO
            assert await at.did("a", f"/cloud{FRAMES[0]}") == NO
            assert await at.did("a", f"/pacs{FRAMES[0]}") == HIT


@pytest.mark.parametrize("size", [len(BODIES[0]), 50_000])
async def test_a_caller_who_is_shown_other_pixels_gets_a_copy_of_its_own(size: int) -> None:
    origin, masked = GuardedOrigin("a", "b"), codestream(size, seed=99)

    def then(asked: Asked) -> Reply | None:
        return honest(masked, asked) if who_asks(asked) == "b" and "/frames/" in asked.path else None

    origin.then = then
    async with guarded(origin) as at:
        for _ in range(3):
            assert (await at.ask("a", FRAMES[0])).content == BODIES[0]
            assert (await at.ask("b", FRAMES[0])).content == masked
        assert (at.probes("other"), at.probes()) == (1, 0)
        assert [await at.did(who, FRAMES[0]) for who in ("a", "b")] == [HIT, HIT]
        at.now += 45
        assert (await at.ask("b", FRAMES[0])).content == masked
        await at.home.until(lambda: at.probes() == 1)
        assert (await at.ask("b", FRAMES[0])).content == masked


async def test_callers_without_a_credential_are_one_and_nobody_asks_for_them() -> None:
    origin = GuardedOrigin("", "a")
    async with guarded(origin) as at:
        assert [await at.did("", FRAMES[0]) for _ in range(2)] == [MISS, HIT]
        assert await at.did("a", FRAMES[0]) == MISS
        origin.readers.remove("")
        assert await at.did("a", FRAMES[1]) == MISS
        assert await at.did("", FRAMES[1]) == NO
        assert at.probes() == 0


@pytest.mark.parametrize(
    ("cookies", "sent"), [(None, "session=1; tracking=2"), (["session"], "session=1"), ([], None)]
)
async def test_a_frame_is_asked_for_with_the_cookies_that_tell_callers_apart(
    cookies: list[str] | None, sent: str | None
) -> None:
    origin = ScriptedOrigin().with_series(BODIES)
    access = {} if cookies is None else {"cookies": cookies}
    async with house(origin, profile="single", access=access) as home:
        for jar in ("tracking=2; session=1", "session=1; tracking=2"):
            answer = await home.viewer.get(FRAMES[0], headers=SINGLE | {"cookie": jar})
            await home.until_idle()
        assert cache_did(answer) == "hit"
        assert [asked.headers.get("cookie") for asked in origin.frame_requests] == [sent]


async def test_with_a_token_cookies_neither_count_nor_go_with_a_frame() -> None:
    origin = GuardedOrigin("a")
    async with guarded(origin) as at:
        for number in range(3):
            answer = await at.ask("a", FRAMES[0], cookie=f"tracking={number}")
        assert cache_did(answer) == "hit"
        assert [asked.headers.get("cookie") for asked in origin.frame_requests] == [None]
        await at.ask("a", f"{SERIES}/metadata", cookie="tracking=9")
        assert "cookie" not in origin.asked[-1].headers
        await at.ask("a", f"{SERIES}/export", cookie="tracking=9")
        assert origin.asked[-1].headers["cookie"] == "tracking=9"


async def test_other_cookies_are_another_caller() -> None:
    origin = ScriptedOrigin().with_series(BODIES)
    origin.script = lambda asked: (
        Reply(401, {}) if "/frames/" in asked.path and asked.headers.get("cookie") != "session=1" else None
    )
    async with house(origin, profile="single") as home:
        for jar, status in (("session=1", 200), ("session=2", 401), ("session=1", 200)):
            assert (await home.viewer.get(FRAMES[0], headers=SINGLE | {"cookie": jar})).status_code == status
            await home.until_idle()


@pytest.mark.parametrize("kind", ["whole", "multipart"])
async def test_an_origin_without_ranges_is_asked_too(kind: str) -> None:
    """It sends the whole frame, and the proxy leaves it unread."""
    origin = GuardedOrigin("a", "b")

    def then(asked: Asked) -> Reply | None:
        body = origin.frames.get(asked.path)
        if body is None:
            return None
        if kind == "whole":
            return Reply(200, {"content-type": "image/jphc"}, (body,))
        if "multipart" not in asked.headers["accept"]:
            return Reply(406, {})
        wrapping = wrap("x", "image/jphc")
        before, _, after = wrapping.cut(Span(0, wrapping.total(len(body))), len(body))
        label = 'multipart/related; type="image/jphc"; boundary=x'
        return Reply(200, {"content-type": label}, (before, body, after))

    origin.then = then
    async with guarded(origin) as at:
        assert [(await at.ask(who, FRAMES[0])).content for who in ("a", "b")] == [BODIES[0]] * 2
        assert await at.did("b", FRAMES[0]) == HIT
        assert await at.did("c", FRAMES[0]) == NO
        assert at.probes() == 1


@pytest.mark.parametrize(
    ("reply", "status"),
    [(Reply(404, {}), 404), (Reply(503, {"retry-after": "5"}), 503)],
    ids=["missing", "busy"],
)
async def test_an_error_of_one_frame_says_nothing_about_other_frames(reply: Reply, status: int) -> None:
    """All requests of a caller for a study wait for one probe. Its error is for its own frame only."""
    origin = GuardedOrigin("a", "b")

    def then(asked: Asked) -> Reply | None:
        return reply if who_asks(asked) == "b" and asked.path == FRAMES[0] else None

    origin.then = then
    async with guarded(origin) as at:
        for path in FRAMES:
            await at.ask("a", path)
        origin.door = asyncio.Event()
        asking = [asyncio.create_task(at.did("b", FRAMES[0]))]
        await at.home.until(lambda: origin.requests_of(FRAMES[0]) == 2)
        asking += [asyncio.create_task(at.did("b", path)) for path in FRAMES[1:]]
        await at.home.until_inside(4)
        origin.door.set()
        assert await asyncio.gather(*asking) == [(status, ""), HIT, HIT, HIT]


async def test_a_page_to_log_in_is_no_yes_whatever_its_label() -> None:
    origin, page = GuardedOrigin("a"), b"<!doctype html><title>Log in</title>" + b" " * 5000
    origin.refusal = Reply(200, {"content-type": LABEL, "etag": '"page"'}, (page,))
    async with guarded(origin) as at:
        assert await at.did("a", FRAMES[0]) == MISS
        for path in (FRAMES[1], FRAMES[0], FRAMES[0]):
            refused = await at.ask("b", path)
            assert (refused.status_code, refused.json()["title"]) == (502, "OriginMismatch")
        assert (at.probes(), at.probes("failed")) == (0, 2)


async def test_other_first_bytes_are_another_version_without_any_validator() -> None:
    origin, masked = GuardedOrigin("a", "b"), codestream(len(BODIES[0]), seed=99)

    def then(asked: Asked) -> Reply | None:
        shown = masked if who_asks(asked) == "b" else origin.frames.get(asked.path)
        return honest(shown, asked, etag="") if shown and "/frames/" in asked.path else None

    origin.then = then
    async with guarded(origin) as at:
        assert (await at.ask("a", FRAMES[0])).content == BODIES[0]
        assert (await at.ask("b", FRAMES[0])).content == masked
        assert (await at.ask("a", FRAMES[0])).content == BODIES[0]
        assert at.probes("other") == 1


async def test_a_caller_whose_fetch_was_its_proof_is_compared_before_it_reads_what_others_fetched() -> None:
    origin, masked = GuardedOrigin("a", "b"), codestream(len(BODIES[0]), seed=99)
    origin.then = lambda asked: (
        honest(masked, asked) if who_asks(asked) == "b" and "/frames/" in asked.path else None
    )
    async with guarded(origin) as at:
        assert (await at.ask("a", FRAMES[0])).content == BODIES[0]
        assert (await at.ask("b", FRAMES[1])).content == masked
        assert (await at.ask("b", FRAMES[0])).content == masked
        assert at.probes("other") == 1


async def test_the_only_reader_of_a_study_costs_no_probe() -> None:
    origin = GuardedOrigin("a")
    async with guarded(origin) as at:
        for did in (MISS, HIT, HIT):
            assert [await at.did("a", path) for path in FRAMES] == [did] * len(FRAMES)
        assert len(origin.frame_requests) == len(FRAMES)
