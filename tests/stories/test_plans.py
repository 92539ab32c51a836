"""Plans and viewers at one origin: their order, the fetches that they share, and how a plan ends."""

import asyncio
import json
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import pytest

from proxy.prefetch.carrier import BUSY_TRIES
from tests.house import House, cache_did, house
from tests.scripted_origin import (
    FRAME,
    OTHER_SERIES,
    SERIES,
    Asked,
    Reply,
    ScriptedOrigin,
    codestream,
    frame_of,
    honest,
)

pytestmark = pytest.mark.anyio

FIRST = 65536
FIRST_RANGE = "bytes=0-65535"
REST = "bytes=65536-"
SINGLE = {"accept": "image/jphc"}
NARROW = {"limits": {"in_flight": 3}}
"""One seat for plans, one for viewers and one for the first fetches of viewers."""


def bodies(count: int, size: int = 50_000) -> list[bytes]:
    return [codestream(size, seed) for seed in range(count)]


def stands(barrier: asyncio.Event, images: Sequence[bytes], among: Callable[[Asked], bool]) -> ScriptedOrigin:
    """A series whose responses wait for the barrier, before their first byte, if `among(request)` is True."""
    origin = ScriptedOrigin().with_series(images)

    def script(asked: Asked) -> Reply | None:
        body = origin.frames.get(asked.path)
        return honest(body, asked, before=(barrier,)) if body and among(asked) else None

    origin.script = script
    return origin


def prefetching(trigger: str = "first-frame", stages: str = "sequential", **more: Any) -> dict[str, Any]:
    """Settings in which every request uses a profile named `ahead`."""
    single: dict[str, Any] = {"stages": [{"id": "all", "retrieveType": "single"}]}
    sequential = {
        "stages": [{"id": "fast", "retrieveType": "fast"}, {"id": "final", "retrieveType": "final"}],
        "retrieveOptions": {"fast": {"rangeIndex": 0}, "final": {"rangeIndex": -1}},
    }
    made = {"single": single, "sequential": sequential}[stages] | {"prefetch": {"trigger": trigger, **more}}
    return {"profiles": {"ahead": made}, "profile": "ahead"}


def series_of(asked: Asked) -> str:
    return asked.path.partition("/instances/")[0]


async def until_plan_ended(home: House, state: str = "done", profile: str = "ahead", count: int = 1) -> None:
    await home.until(lambda: home.metric("plans_total", profile=profile, state=state) == count)


async def test_a_viewer_overtakes_the_plan() -> None:
    barrier, viewed = asyncio.Event(), codestream(50_000, 99)
    origin = stands(barrier, bodies(12), lambda asked: asked.path != FRAME)
    origin.frames[FRAME] = viewed
    async with house(origin, origin=NARROW) as home:
        plan = await home.begin_plan("sequential")
        await home.until(lambda: len(origin.frame_requests) == 1)
        answer = await home.viewer.get(FRAME, headers=SINGLE)  # while the plan waits at the barrier
        assert answer.content == viewed
        assert len(origin.frame_requests) < 12
        barrier.set()
        assert (await home.events(plan))[-1][1]["state"] == "done"
        assert len(origin.frame_requests) == 13


async def test_a_viewer_who_asks_for_a_queued_frame_lifts_it() -> None:
    barrier, images = asyncio.Event(), bodies(12)
    last = frame_of(11)
    origin = stands(barrier, images, lambda asked: asked.path != last)
    async with house(origin, origin=NARROW) as home:
        plan = await home.begin_plan("sequential")
        await home.until(lambda: len(home.app.fills) == 12)
        answer = await home.viewer.get(last, headers=SINGLE)
        assert (answer.content, cache_did(answer)) == (images[11], "fwd=miss; collapsed")
        assert len(origin.frame_requests) < 12
        barrier.set()
        stage = dict(await home.events(plan))["stage"]
        assert (stage["numberOfImages"], stage["numberOfFailures"]) == (12, 0)
        assert [origin.requests_of(frame_of(image)) for image in range(12)] == [1] * 12


async def test_a_jump_to_another_series_goes_before_the_rest_of_the_old_one() -> None:
    barrier = asyncio.Event()
    viewed = (frame_of(0), frame_of(0, OTHER_SERIES))
    origin = stands(barrier, bodies(12), lambda asked: asked.path not in viewed)
    origin.with_series(bodies(12), OTHER_SERIES)
    async with house(origin, origin=NARROW, **prefetching()) as home:
        for planned, path in zip((11, 22), viewed, strict=True):
            assert (await home.viewer.get(path, headers=SINGLE)).status_code == 200
            await home.until(lambda planned=planned: len(home.app.fills) == planned)  # type: ignore[misc]
        begun = [series_of(asked) for asked in origin.frame_requests if asked.path not in viewed]
        assert set(begun) == {SERIES}
        barrier.set()
        await until_plan_ended(home, count=2)
        order = [series_of(asked) for asked in origin.frame_requests if asked.path not in viewed]
        assert order == begun + [OTHER_SERIES] * 11 + [SERIES] * (11 - len(begun))


async def test_a_failed_stage_leads_on_to_the_next_and_is_counted() -> None:
    images = bodies(3, 200_000)
    origin = ScriptedOrigin().with_series(images)
    origin.script = lambda asked: (
        Reply(422, {}) if asked.path == frame_of(1) and asked.range == FIRST_RANGE else None
    )
    async with house(origin) as home:
        events = await home.events(await home.begin_plan("sequential"))
        failures = {
            fields["stageId"]: fields["numberOfFailures"] for name, fields in events if name == "stage"
        }
        assert failures == {"lossySequential": 1, "finalSequential": 0}
        assert events[-1][1]["state"] == "done"
        assert origin.ranges_of(frame_of(1)) == [FIRST_RANGE, None]
        answer = await home.viewer.get(frame_of(1), headers=SINGLE)
        assert (answer.content, cache_did(answer)) == (images[1], "hit")


async def test_a_plan_of_which_every_stage_fails_has_failed() -> None:
    origin = ScriptedOrigin().with_series(bodies(3))
    origin.frames.clear()
    async with house(origin) as home:
        plan = await home.begin_plan("sequential")
        assert (await home.events(plan))[-1] == ("end", {"state": "failed", "bytes": 0})
        status = (await home.admin.get(plan)).json()
        assert (status["state"], status["error"]) == ("failed", "OriginRefused")
        assert [stage["numberOfFailures"] for stage in status["stages"]] == [3, 3]
        assert home.metric("plans_total", profile="sequential", state="failed") == 1


async def test_cancel_ends_what_nobody_reads_and_not_what_a_viewer_reads() -> None:
    barrier, images = asyncio.Event(), bodies(6, 200_000)
    origin = stands(barrier, images, lambda asked: True)
    async with house(origin) as home:
        plan = await home.begin_plan("sequential")
        await home.until(lambda: len(home.app.fills) == 6)
        reading = asyncio.ensure_future(home.viewer.get(frame_of(0), headers=SINGLE))
        await home.until_inside(1)
        gone = await home.admin.delete(plan)
        assert (gone.status_code, gone.content) == (204, b"")
        assert (await home.events(plan))[-1] == ("end", {"state": "cancelled", "bytes": 0})
        await home.until(lambda: len(home.app.fills) == 1)
        barrier.set()
        answer = await reading
        assert (answer.content, cache_did(answer)) == (images[0], "fwd=miss; collapsed")
        await home.until_idle()
        again = await home.viewer.get(frame_of(5), headers=SINGLE)
        assert (again.content, cache_did(again)) == (images[5], "fwd=miss; stored")
        assert home.metric("plans_total", profile="sequential", state="cancelled") == 1
        assert (await home.admin.get(plan)).json()["state"] == "cancelled"
        assert (await home.admin.delete(plan)).status_code == 204  # a second DELETE changes nothing


async def test_cancelling_one_of_two_plans_of_a_series_leaves_the_other_what_it_wants() -> None:
    barrier, images = asyncio.Event(), bodies(3)
    async with house(stands(barrier, images, lambda asked: True)) as home:
        one = await home.begin_plan("single")
        await home.until(lambda: len(home.app.fills) == 3)
        other = await home.begin_plan("single")
        # After one more response of the service, the fetches of the other plan have joined.
        assert (await home.admin.get(other)).json()["state"] == "running"
        await home.admin.delete(one)
        assert (await home.events(one))[-1][1]["state"] == "cancelled"
        barrier.set()
        assert (await home.events(other))[-1][1]["state"] == "done"
        assert (await home.admin.get(other)).json()["stages"][0]["numberOfFailures"] == 0
        assert cache_did(await home.viewer.get(frame_of(0), headers=SINGLE)) == "hit"


async def test_a_service_that_ends_while_a_plan_runs_leaves_no_fill_and_no_task() -> None:
    before = asyncio.all_tasks()
    barrier = asyncio.Event()
    origin = stands(barrier, bodies(20, 200_000), lambda asked: True)
    async with house(origin, listen={"grace": 1}) as home:
        await home.begin_plan("sequential")
        await home.until(lambda: len(origin.frame_requests) > 0)
    assert len(home.app.fills) == 0
    assert home.metric("fills_in_flight") == 0
    assert home.metric("plans_total", profile="sequential", state="cancelled") == 1
    assert asyncio.all_tasks() == before


async def test_a_service_ends_within_grace_though_a_listener_follows_a_plan() -> None:
    before = asyncio.all_tasks()
    origin = stands(asyncio.Event(), bodies(4), lambda asked: True)
    async with house(origin, listen={"grace": 1}) as home:
        plan = await home.begin_plan("sequential")
        following = asyncio.ensure_future(home.admin.get(f"{plan}/events"))
        await home.until(lambda: len(origin.frame_requests) > 0)
        home.stop.set()
        await asyncio.wait([following])
    assert following.exception() or following.result().status_code == 200
    assert len(home.app.fills) == 0
    assert asyncio.all_tasks() <= before | {following}


async def test_viewers_get_their_firsts_while_the_origin_stalls_in_the_plans_bodies() -> None:
    barrier, images = asyncio.Event(), bodies(12, 200_000)
    viewed = bodies(4, 200_000)
    origin = ScriptedOrigin().with_series(images).with_series(viewed, OTHER_SERIES)

    def script(asked: Asked) -> Reply | None:
        if series_of(asked) != SERIES or "/frames/" not in asked.path:
            return None
        reply = honest(origin.frames[asked.path], asked)
        [body] = reply.pieces
        assert isinstance(body, bytes)
        return Reply(reply.status, reply.headers, (body[:1000], barrier, body[1000:]))

    origin.script = script
    async with house(origin, origin={"limits": {"in_flight": 4}}) as home:
        plan = await home.begin_plan("sequential")
        await home.until(lambda: len(origin.frame_requests) >= 2)
        for image, body in enumerate(viewed):
            answer = await home.viewer.get(
                frame_of(image, OTHER_SERIES), headers=SINGLE | {"range": FIRST_RANGE}
            )
            assert answer.content == body[:FIRST]
        assert len([asked for asked in origin.frame_requests if series_of(asked) == SERIES]) < 12
        barrier.set()
        assert (await home.events(plan))[-1][1]["state"] == "done"
        await home.until_idle()
        for path, body in origin.frames.items():
            assert (await home.viewer.get(path, headers=SINGLE)).content == body
        assert len(origin.frame_requests) == 2 * 16


async def test_a_viewer_gets_a_whole_frame_while_the_origin_stalls_in_the_plans_bodies() -> None:
    barrier, viewed = asyncio.Event(), codestream(200_000, 99)
    origin = stands(barrier, bodies(12, 200_000), lambda asked: asked.path != FRAME)
    origin.frames[FRAME] = viewed
    async with house(origin, origin={"limits": {"in_flight": 4}}) as home:
        plan = await home.begin_plan("sequential")
        await home.until(lambda: len(origin.frame_requests) == 2)
        assert (await home.viewer.get(FRAME, headers=SINGLE)).content == viewed
        assert len(origin.frame_requests) < 2 + 12
        barrier.set()
        assert (await home.events(plan))[-1][1]["state"] == "done"


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_origin_makes_the_plan_wait_and_a_viewer_hears_of_it_at_once(status: int) -> None:
    asked_at: list[float] = []
    is_busy = True
    origin = ScriptedOrigin().with_series(bodies(3))

    def script(asked: Asked) -> Reply | None:
        if "/frames/" not in asked.path:
            return None
        asked_at.append(perf_counter())
        return Reply(status, {"retry-after": "3"}) if is_busy else None

    origin.script = script
    async with house(origin, origin=NARROW) as home:
        plan = await home.begin_plan("sequential")
        await home.until(lambda: len(asked_at) == 3)
        await home.until_idle()
        busy = await home.viewer.get(frame_of(2), headers=SINGLE)  # while the plan waits
        assert (busy.status_code, busy.headers["retry-after"]) == (status, "3")
        is_busy = False
        well = await home.viewer.get(frame_of(2), headers=SINGLE)
        assert (well.status_code, len(asked_at)) == (200, 5)
        assert (await home.events(plan))[-1] == ("end", {"state": "done", "bytes": 100_000})
        assert len(asked_at) == 7
        assert asked_at[5] - asked_at[0] > 3
        stages = (await home.admin.get(plan)).json()["stages"]
        assert [stage["numberOfFailures"] for stage in stages] == [0, 0]


async def test_a_plan_that_may_ask_again_at_once_does() -> None:
    asked_at: list[float] = []
    origin = ScriptedOrigin().with_series(bodies(1))

    def script(asked: Asked) -> Reply | None:
        if "/frames/" not in asked.path:
            return None
        asked_at.append(perf_counter())
        return Reply(503, {"retry-after": "0"}) if len(asked_at) <= BUSY_TRIES else None

    origin.script = script
    async with house(origin) as home:
        assert (await home.events(await home.begin_plan("sequential")))[-1][1]["state"] == "done"
        pauses = sum(2**attempt for attempt in range(BUSY_TRIES))  # seconds, if the origin had named none
        assert asked_at[BUSY_TRIES] - asked_at[0] < pauses


async def test_a_plan_that_waits_for_a_busy_origin_can_be_cancelled() -> None:
    origin = ScriptedOrigin().with_series(bodies(1))
    origin.script = lambda asked: Reply(503, {"retry-after": "60"}) if "/frames/" in asked.path else None
    async with house(origin) as home:
        plan = await home.begin_plan("single")
        await home.until(lambda: len(origin.frame_requests) == 1)
        await home.until_idle()
        assert (await home.admin.get(plan)).json()["state"] == "running"
        await home.admin.delete(plan)
        assert (await home.events(plan))[-1][1]["state"] == "cancelled"


async def test_a_plan_gives_up_on_an_origin_that_stays_busy() -> None:
    past = "Sun, 06 Nov 1994 08:49:37 GMT"
    origin = ScriptedOrigin().with_series(bodies(1))
    origin.script = lambda asked: Reply(429, {"retry-after": past}) if "/frames/" in asked.path else None
    async with house(origin) as home:
        plan = await home.begin_plan("single")
        assert (await home.events(plan))[-1][1]["state"] == "failed"
        assert (await home.admin.get(plan)).json()["error"] == "OriginBusy"
        assert 1 < len(origin.frame_requests) < 10


async def test_the_first_frame_that_a_viewer_asks_for_sets_off_the_series() -> None:
    images = bodies(5, 200_000)
    origin = ScriptedOrigin().with_series(images)
    async with house(origin, **prefetching()) as home:
        await home.viewer.get(frame_of(2), headers=SINGLE)
        await until_plan_ended(home)
        count = len(origin.frame_requests)
        for image, body in enumerate(images):
            answer = await home.viewer.get(frame_of(image), headers=SINGLE)
            assert (answer.content, cache_did(answer)) == (body, "hit")
        assert len(origin.frame_requests) == count == 2 * 5
        assert [asked.path for asked in origin.asked].count(f"{SERIES}/metadata") == 1
        assert home.metric("plans_total", profile="ahead", state="done") == 1


async def test_a_series_that_was_pushed_out_is_set_off_again() -> None:
    origin = ScriptedOrigin().with_series(bodies(15, 60_000)).with_series(bodies(15, 60_000), OTHER_SERIES)
    async with house(origin, cache={"bytes": "1MiB", "first_share": 1}, **prefetching()) as home:
        for count, series in enumerate((SERIES, OTHER_SERIES, SERIES), 1):
            assert cache_did(await home.viewer.get(frame_of(0, series), headers=SINGLE)) == "fwd=miss; stored"
            await until_plan_ended(home, count=count)
            await home.until_idle()


async def test_a_viewer_who_reads_the_metadata_sets_off_the_series() -> None:
    images = bodies(5)
    origin = ScriptedOrigin().with_series(images)
    async with house(origin, **prefetching("metadata")) as home:
        assert len((await home.viewer.get(f"{SERIES}/metadata")).json()) == 5
        await until_plan_ended(home)
        assert cache_did(await home.viewer.get(frame_of(4), headers=SINGLE)) == "hit"
        assert len(origin.frame_requests) == 5


async def test_metadata_that_the_origin_refuses_sets_off_nothing() -> None:
    origin = ScriptedOrigin().with_series(bodies(2))
    origin.script = lambda asked: Reply(403, {}) if asked.path.endswith("/metadata") else None
    async with house(origin, **prefetching("metadata")) as home:
        assert (await home.viewer.get(f"{SERIES}/metadata")).status_code == 403
        await home.until_inside(0)
        assert (await home.viewer.get("/studies?PatientID=1")).status_code == 200
        assert [asked.path for asked in origin.asked_after_greeting] == [
            f"{SERIES}/metadata",
            "/studies?PatientID=1",
        ]


async def test_no_viewer_hears_that_a_series_could_not_be_listed() -> None:
    images = bodies(2)
    origin = ScriptedOrigin().with_series(images)
    origin.metadata.clear()
    async with house(origin, **prefetching()) as home:
        for image in (0, 1):
            assert (await home.viewer.get(frame_of(image), headers=SINGLE)).content == images[image]
            await home.until(lambda image=image: len(origin.asked_after_greeting) == 2 + 2 * image)  # type: ignore[misc]
        assert home.metric("plans_total", profile="ahead", state="failed") == 0


async def test_the_window_around_the_last_asked_frame_moves_with_it() -> None:
    images = bodies(40)
    origin = ScriptedOrigin().with_series(images)
    async with house(origin, **prefetching(window=2)) as home:
        for count, (image, held) in enumerate({10: {*range(8, 13)}, 30: {*range(28, 33)}}.items(), 1):
            before = len(origin.frame_requests)
            await home.viewer.get(frame_of(image), headers=SINGLE)
            await until_plan_ended(home, count=count)
            await home.until_idle()
            asked = {asked.path for asked in origin.frame_requests[before:]}
            assert asked == {frame_of(each) for each in held}
        assert len(origin.frame_requests) == 10


async def test_a_window_that_moves_on_keeps_what_both_want() -> None:
    barrier, images = asyncio.Event(), bodies(20)
    origin = stands(barrier, images, lambda asked: asked.path not in (frame_of(10), frame_of(12)))
    async with house(origin, **prefetching(window=2, stages="single")) as home:
        await home.viewer.get(frame_of(10), headers=SINGLE)
        await home.until(lambda: len(home.app.fills) == 4)  # images 8, 9, 11 and 12
        await home.viewer.get(frame_of(12), headers=SINGLE)
        await until_plan_ended(home, "cancelled")
        barrier.set()
        await until_plan_ended(home)
        await home.until_idle()
        for image in range(11, 15):
            answer = await home.viewer.get(frame_of(image), headers=SINGLE)
            assert (answer.content, cache_did(answer)) == (images[image], "hit"), image


async def test_the_budget_ends_a_plan() -> None:
    origin = ScriptedOrigin().with_series(bodies(12))
    settings = prefetching(budget=120_000)
    async with house(origin, origin=NARROW, **settings) as home:
        plan = await home.begin_plan("ahead")
        _, end = (await home.events(plan))[-1]
        await home.until_idle()
        assert end == {"state": "spent", "bytes": 150_000}
        assert len(origin.frame_requests) <= 4
        assert home.metric("prefetched_bytes_total", profile="ahead") == 150_000


async def test_a_plan_with_no_budget_fetches_nothing() -> None:
    origin = ScriptedOrigin().with_series(bodies(2))
    async with house(origin, **prefetching(budget=0)) as home:
        assert await home.events(await home.begin_plan("ahead")) == [("end", {"state": "spent", "bytes": 0})]
        assert origin.frame_requests == []


async def test_the_first_bytes_of_every_frame_go_before_any_completion() -> None:
    origin = ScriptedOrigin().with_series(bodies(30, 200_000))
    # A plan takes one of three seats. With more, requests over several connections overtake each other.
    async with house(origin, origin={"limits": {"in_flight": 3}}) as home:
        await home.events(await home.begin_plan("sequential"))
        assert origin.ranges == [FIRST_RANGE] * 30 + [REST] * 30
        order = [asked.path for asked in origin.frame_requests]
        assert sorted(order[:30]) == sorted(map(frame_of, range(30)))


async def test_after_a_plan_viewers_hit_and_the_origin_is_not_asked() -> None:
    images = bodies(4, 200_000)
    origin = ScriptedOrigin().with_series(images)
    async with house(origin) as home:
        await home.events(await home.begin_plan("interleaved"))
        count = len(origin.frame_requests)
        for image in (0, 3, 0):
            answer = await home.viewer.get(frame_of(image), headers=SINGLE)
            assert (answer.content, cache_did(answer)) == (images[image], "hit")
        assert len(origin.frame_requests) == count


async def test_all_bytes_of_a_plan_are_counted_and_those_that_viewers_use() -> None:
    images = bodies(12, 200_000)
    origin = ScriptedOrigin().with_series(images)
    async with house(origin) as home:
        events = await home.events(await home.begin_plan("interleaved"))
        assert events[-1] == ("end", {"state": "done", "bytes": 12 * 200_000})
        for image in (0, 3, 0):
            await home.viewer.get(frame_of(image), headers=SINGLE)
        assert home.metric("prefetched_bytes_total", profile="interleaved") == 12 * 200_000
        assert home.metric("prefetched_used_bytes_total", profile="interleaved") == 2 * 200_000


async def test_a_plan_fetches_only_what_is_not_held() -> None:
    origin = ScriptedOrigin().with_series(bodies(3, 200_000))
    async with house(origin) as home:
        await home.viewer.get(frame_of(1), headers=SINGLE)
        await home.until_idle()
        await home.events(await home.begin_plan("sequential"))
        assert [origin.requests_of(frame_of(image)) for image in range(3)] == [2, 2, 2]
        assert home.metric("prefetched_used_bytes_total", profile="sequential") == 0


async def test_one_credentials_plan_is_not_found_by_another() -> None:
    origin = ScriptedOrigin().with_series(bodies(2))
    async with house(origin, access="credential") as home:
        headers = {"authorization": "Bearer a"}
        await home.events(await home.begin_plan("sequential", headers=headers), headers)
        tokens = {asked.headers.get("authorization") for asked in origin.asked if SERIES in asked.path}
        assert tokens == {"Bearer a"}
        for token, did in (("Bearer a", "hit"), ("Bearer b", "fwd=miss; stored")):
            answer = await home.viewer.get(frame_of(0), headers=SINGLE | {"authorization": token})
            assert cache_did(answer) == did
        assert cache_did(await home.viewer.get(frame_of(0), headers=SINGLE)) == "fwd=miss; stored"


async def test_a_plan_for_a_cookie_beyond_ascii_is_found_by_its_viewer() -> None:
    origin = ScriptedOrigin().with_series(bodies(1))
    cookie = "name=Jürgen".encode()
    async with house(origin) as home:
        _, _, study, _, series = SERIES.split("/")
        headers = [(b"cookie", cookie)]
        made = await home.admin.post("/v1/plans", json={"study": study, "series": series}, headers=headers)
        await home.admin.get(f"{made.headers['location']}/events", headers=headers)
        answer = await home.viewer.get(frame_of(0), headers=[(b"accept", b"image/jphc"), (b"cookie", cookie)])
        assert cache_did(answer) == "hit"
        sent = {asked.headers["cookie"].encode("latin-1") for asked in origin.frame_requests}
        assert sent == {cookie}


async def test_the_older_nested_form_asks_the_right_paths() -> None:
    nested = {
        "stages": [
            {"id": "lossy", "retrieveType": "singleFast"},
            {"id": "final", "retrieveType": "singleFinal"},
        ],
        "retrieveOptions": {
            "default": {"default": {"framesPath": "/jls/"}},
            "singleFast": {
                "default": {
                    "imageQualityStatus": "SUBRESOLUTION",
                    "framesPath": "/jlsThumbnail/",
                    "urlArguments": "q=1",
                }
            },
        },
    }
    images = bodies(2)
    paths = [frame_of(image) for image in range(2)]
    origin = ScriptedOrigin().with_series(images)
    origin.frames |= {path.replace("/frames/", "/jls/"): codestream(9000, 7) for path in paths}
    origin.frames |= {path.replace("/frames/", "/jlsThumbnail/"): codestream(900, 8) for path in paths}
    origin.frames = {path: body for path, body in origin.frames.items() if "/frames/" not in path}
    async with house(origin, profiles={"older": json.loads(json.dumps(nested))}) as home:
        events = await home.events(await home.begin_plan("older"))
        assert events[-1] == ("end", {"state": "done", "bytes": 2 * 9900})
        assert [(asked.path, asked.range) for asked in origin.asked_after_greeting[1:]] == [
            (path.replace("/frames/", where) + arguments, None)
            for where, arguments in (("/jlsThumbnail/", "?q=1"), ("/jls/", ""))
            for path in paths
        ]


async def test_a_viewer_finds_what_a_plan_fetched_by_the_same_arguments() -> None:
    single = {
        "stages": [{"id": "all"}],
        "retrieveOptions": {"default": {"urlArguments": "accept=image/jphc"}},
    }
    images = bodies(1)
    origin = ScriptedOrigin().with_series(images)
    async with house(origin, profiles={"pasted": single}) as home:
        await home.events(await home.begin_plan("pasted"))
        answer = await home.viewer.get(frame_of(0) + "?accept=image/jphc")
        assert (answer.content, cache_did(answer)) == (images[0], "hit")


async def test_a_viewer_who_asks_while_the_plan_fetches_has_used_it() -> None:
    barrier, images = asyncio.Event(), bodies(1)
    async with house(stands(barrier, images, lambda asked: True)) as home:
        plan = await home.begin_plan("single")
        await home.until(lambda: len(home.app.fills) == 1)
        reading = asyncio.ensure_future(home.viewer.get(frame_of(0), headers=SINGLE))
        await home.until_inside(1)
        barrier.set()
        assert (await reading).content == images[0]
        await home.events(plan)
        assert home.metric("prefetched_bytes_total", profile="single") == 50_000
        assert home.metric("prefetched_used_bytes_total", profile="single") == 50_000
