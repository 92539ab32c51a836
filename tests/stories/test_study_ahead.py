"""A study that a viewer opens: what its other series are fetched ahead, as whom, and when not."""

import asyncio
from typing import Any

import pytest

from tests.house import House, cache_did, house
from tests.scripted_origin import Asked, Reply, ScriptedOrigin, codestream, frame_of
from tests.studies import STUDY, bodies, series_of, with_study

pytestmark = pytest.mark.anyio

JSON = {"accept": "application/dicom+json"}
SINGLE = {"accept": "image/jphc"}
SEARCH = f"/studies/{STUDY}/series"
METADATA = {number: f"{series_of(number)}/metadata" for number in (1, 2, 3)}
FIRST_RANGE = "bytes=0-65535"


def ahead(study: str, **more: Any) -> dict[str, Any]:
    """Settings in which a viewer that opens a study sets off so much of it."""
    made = {"extends": "sequential", "prefetch": {"study": study} | more}
    return {"profiles": {"ahead": made}, "profile": "ahead"}


def three(size: int = 100_000) -> ScriptedOrigin:
    return with_study(ScriptedOrigin(), {number: bodies(4, size, number) for number in (1, 2, 3)})


async def until_over(home: House) -> None:
    """Waits until no request is answered any more, and no plan runs."""
    await home.until_inside(0)
    await home.until(lambda: not home.app.plans.tasks._running)
    await home.until_idle()


async def opened(home: House, path: str = SEARCH, **headers: str) -> None:
    """A viewer opens the study, and all that this sets off is over."""
    assert (await home.viewer.get(path, headers=JSON | headers)).status_code == 200
    await until_over(home)


@pytest.mark.parametrize("path", [SEARCH, METADATA[2], f"/studies/{STUDY}/metadata"])
async def test_a_viewer_that_opens_a_study_finds_the_metadata_of_its_series(path: str) -> None:
    origin = three()
    origin.metadata[f"/studies/{STUDY}/metadata"] = b"[]"
    async with house(origin, **ahead("metadata")) as home:
        await opened(home, path)
        for each in METADATA.values():
            assert cache_did(await home.viewer.get(each, headers=JSON)).startswith("hit")
            assert origin.requests_of(each) == 1
        assert origin.requests_of(SEARCH) == 1
        assert not origin.frame_requests


async def test_by_default_nothing_is_fetched_that_the_viewer_did_not_ask_for() -> None:
    origin = three()
    async with house(origin) as home:
        await opened(home)
        assert [asked.path for asked in origin.asked_after_greeting] == [SEARCH]


async def test_thumbnails_are_one_image_of_each_series_in_full() -> None:
    origin = three()
    async with house(origin, **ahead("thumbnails")) as home:
        await opened(home)
        middle = {frame_of(2, series_of(number)) for number in (1, 2, 3)}
        assert {asked.path for asked in origin.frame_requests} == middle
        for path in middle:
            assert cache_did(await home.viewer.get(path, headers=SINGLE)) == "hit"


async def test_pictures_have_the_form_in_which_viewers_ask_for_them() -> None:
    origin = three()

    def script(asked: Asked) -> Reply | None:
        return Reply(200, {"content-type": "image/jpeg"}, (b"jpeg",)) if "/thumbnail" in asked.path else None

    origin.script = script
    other = "/studies/7.1/series/7.2/instances/7.3/thumbnail?viewport=96,96"
    async with house(origin, **ahead("thumbnails")) as home:
        await home.viewer.get(other, headers={"accept": "image/jpeg"})
        await opened(home)
        for number in (1, 2, 3):
            instance = frame_of(2, series_of(number)).partition("/frames/")[0]
            path = f"{instance}/thumbnail?viewport=96,96"
            answer = await home.viewer.get(path, headers={"accept": "image/jpeg"})
            assert (answer.content, cache_did(answer).startswith("hit")) == (b"jpeg", True)
            assert origin.requests_of(path) == 1


@pytest.mark.parametrize("proof", ["?token=a", ""])
async def test_no_proof_of_one_viewer_is_used_for_another(proof: str) -> None:
    origin = three()

    def script(asked: Asked) -> Reply | None:
        return Reply(200, {"content-type": "image/jpeg"}, (b"jpeg",)) if "/thumbnail" in asked.path else None

    origin.script = script
    async with house(origin, **ahead("thumbnails")) as home:
        shown = {"x-api-key": "a", "authorization": "Bearer a"}
        await home.viewer.get(f"/studies/7.1/series/7.2/thumbnail{proof}", headers=shown)
        before = len(origin.asked)
        await opened(home, authorization="Bearer b")
        later = origin.asked[before:]
        assert {asked.headers.get("authorization") for asked in later} == {"Bearer b"}
        assert not [asked for asked in later if "x-api-key" in asked.headers or "token=a" in asked.path]


async def test_first_bytes_or_all_of_the_study() -> None:
    for study, ranges in (("first", {FIRST_RANGE}), ("all", {FIRST_RANGE, "bytes=65536-"})):
        origin = three()
        async with house(origin, **ahead(study)) as home:
            await opened(home)
            assert set(origin.ranges) == ranges
            assert {asked.path for asked in origin.frame_requests} == set(origin.frames)


async def test_its_budgets_end_it() -> None:
    for budget in ({"studyBudget": "200KiB"}, {"studyRequests": 5}):
        origin = three()
        async with house(origin, **ahead("first", **budget)) as home:
            await opened(home)
            assert len(origin.frame_requests) <= 4
            assert home.metric("plans_total", profile="ahead", state="spent") == 1


async def test_a_study_is_set_off_once_for_a_caller_and_again_after_a_purge() -> None:
    origin = three()
    async with house(origin, **ahead("metadata")) as home:
        for path in (SEARCH, METADATA[1], METADATA[2], SEARCH):
            await opened(home, path)
        assert home.metric("plans_total", profile="ahead", state="done") == 1
        assert (await home.admin.delete(f"/v1/cache/studies/{STUDY}")).status_code == 204
        await opened(home)
        assert home.metric("plans_total", profile="ahead", state="done") == 2


async def test_each_caller_reads_ahead_what_the_origin_lets_it_read() -> None:
    origin = three()

    def script(asked: Asked) -> Reply | None:
        is_hidden = asked.path in METADATA.values() and asked.headers.get("authorization") == "Bearer b"
        return Reply(403, {}) if is_hidden else None

    origin.script = script
    async with house(origin, **ahead("all")) as home:
        for who in ("a", "b"):
            await opened(home, authorization=f"Bearer {who}")
        tokens = [asked.headers.get("authorization") for asked in origin.asked if asked.path == METADATA[1]]
        assert tokens == ["Bearer a", "Bearer b"]
        assert {asked.headers.get("authorization") for asked in origin.frame_requests} == {"Bearer a"}
        assert home.metric("plans_total", profile="ahead", state="failed") == 1
        refused = await home.viewer.get(METADATA[3], headers=JSON | {"authorization": "Bearer b"})
        assert refused.status_code == 403


async def test_while_a_viewer_waits_for_metadata_nothing_is_read_ahead() -> None:
    barrier, origin = asyncio.Event(), three()
    other = "/studies/7.1/metadata"
    origin.metadata[other] = b"[]"
    base = origin.metadata

    def script(asked: Asked) -> Reply | None:
        if asked.path != other:
            return None
        return Reply(200, {"content-type": "application/dicom+json"}, (barrier, base[other]))

    origin.script = script
    async with house(origin, **ahead("metadata")) as home:
        home.app.study_plans.ahead.longest_wait = 1e6
        waiting = asyncio.ensure_future(home.viewer.get(other, headers=JSON))
        await home.until(lambda: origin.requests_of(other) == 1)
        assert (await home.viewer.get(SEARCH, headers=JSON)).status_code == 200
        assert (await home.viewer.get(SEARCH, headers=JSON)).status_code == 200  # the plan has begun by then
        assert not any(origin.requests_of(path) for path in METADATA.values())
        barrier.set()
        assert (await waiting).status_code == 200
        await until_over(home)
        assert all(origin.requests_of(path) == 1 for path in METADATA.values())


async def test_while_the_seats_of_plans_are_taken_a_viewer_does_not_wait_behind_what_is_read_ahead() -> None:
    barrier, origin = asyncio.Event(), three()
    body, viewed = codestream(50_000, 99), frame_of(0, "/studies/7.1/series/7.2")
    origin.frames[viewed] = body

    def script(asked: Asked) -> Reply | None:
        if asked.path not in METADATA.values():
            return None
        return Reply(200, {"content-type": "application/dicom+json"}, (barrier, origin.metadata[asked.path]))

    origin.script = script
    async with house(origin, origin={"limits": {"in_flight": 3}}, **ahead("metadata")) as home:
        assert (await home.viewer.get(SEARCH, headers=JSON)).status_code == 200
        await home.until(lambda: sum(map(origin.requests_of, METADATA.values())) == 1)
        # One seat is for plans, so the other series wait. The viewer's frame does not.
        assert (await home.viewer.get(viewed, headers=SINGLE)).content == body
        # Nor does the metadata that waits, once a viewer wants it.
        path = next(path for path in METADATA.values() if not origin.requests_of(path))
        wanted = asyncio.ensure_future(home.viewer.get(path, headers=JSON))
        await home.until(lambda: origin.requests_of(path) == 1)
        barrier.set()
        assert (await wanted).status_code == 200
        await until_over(home)
        assert all(origin.requests_of(path) == 1 for path in METADATA.values())


async def test_the_series_that_the_viewer_opened_goes_first() -> None:
    origin = three()
    async with house(origin, origin={"limits": {"in_flight": 3}}, **ahead("first")) as home:
        await opened(home, METADATA[3])
        order = [asked.path.partition("/instances/")[0] for asked in origin.frame_requests]
        assert list(dict.fromkeys(order)) == [series_of(number) for number in (3, 1, 2)]


async def test_a_search_that_fails_later_is_no_matter_for_the_viewer() -> None:
    origin = three()
    del origin.metadata[SEARCH]
    async with house(origin, **ahead("metadata")) as home:
        await opened(home, METADATA[1])
        assert (await home.viewer.get(METADATA[1], headers=JSON)).status_code == 200
