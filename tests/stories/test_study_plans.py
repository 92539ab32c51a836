"""Plans for a study: the order of its series, first bytes of all before the rest of any, and budgets."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.house import House, cache_did, house
from tests.scripted_origin import Asked, Reply, ScriptedOrigin, frame_of, honest
from tests.studies import STUDY, bodies, frames_of, row_of, series_of, with_study

pytestmark = pytest.mark.anyio

SINGLE = {"accept": "image/jphc"}
FIRST_RANGE = "bytes=0-65535"
ONE_AT_A_TIME = {"limits": {"in_flight": 3}}
"""A plan takes one of three seats. With more, requests over several connections overtake each other."""


def three(size: int = 200_000, count: int = 4) -> ScriptedOrigin:
    """A study of three series with so many images each."""
    series = {number: bodies(count, size, number) for number in (1, 2, 3)}
    return with_study(ScriptedOrigin(), series, modalities={2: "PT"})


async def ask(home: House, headers: dict[str, str] | None = None, **wanted: Any) -> httpx.Response:
    return await home.admin.post("/v1/plans", json={"study": STUDY} | wanted, headers=headers)


async def carried_out(home: House, **wanted: Any) -> list[tuple[str, dict[str, Any]]]:
    answer = await ask(home, **wanted)
    assert answer.status_code == 202, answer.text
    return await home.events(answer.headers["location"])


def order_of(origin: ScriptedOrigin) -> list[str]:
    """The series of the frames that were asked for, by number, each as it came first."""
    numbers = [asked.path.partition("/instances/")[0].rpartition(".")[2] for asked in origin.frame_requests]
    return list(dict.fromkeys(numbers))


async def test_the_first_bytes_of_all_series_come_before_the_rest_of_any() -> None:
    origin = three()
    async with house(origin, origin=ONE_AT_A_TIME) as home:
        events = await carried_out(home)
        assert events[-1] == ("end", {"state": "done", "bytes": events[-1][1]["bytes"]})
        assert origin.ranges[:12] == [FIRST_RANGE] * 12
        assert all(asked != FIRST_RANGE for asked in origin.ranges[12:])
        firsts = [asked.path for asked in origin.frame_requests[:12]]
        assert firsts == frames_of((1, 2, 3), 4)
        for path, body in origin.frames.items():
            answer = await home.viewer.get(path, headers=SINGLE)
            assert (answer.content, cache_did(answer)) == (body, "hit")
        assert len(origin.frame_requests) == 24


ORDERS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "by number": ({}, ["1", "2", "3"]),
    "the smallest first": ({"order": "smallest"}, ["3", "1", "2"]),
    "the largest first": ({"order": "largest"}, ["2", "1", "3"]),
    "a modality first": ({"modalities": ["PT"]}, ["3", "1", "2"]),
    "some, as listed": ({"series": [series_of(each).rpartition("/")[2] for each in (2, 1)]}, ["2", "1"]),
}


@pytest.mark.parametrize(("wanted", "order"), ORDERS.values(), ids=ORDERS)
async def test_series_go_in_the_order_that_is_asked_for(wanted: dict[str, Any], order: list[str]) -> None:
    series = {number: bodies(count, seed=number) for number, count in ((1, 3), (2, 4), (3, 2))}
    origin = with_study(ScriptedOrigin(), series, modalities={3: "PT"})
    async with house(origin, origin=ONE_AT_A_TIME) as home:
        assert (await carried_out(home, **wanted))[-1][1]["state"] == "done"
        assert order_of(origin) == order


async def test_only_the_first_bytes_if_no_more_is_wanted() -> None:
    origin = three()
    async with house(origin) as home:
        events = await carried_out(home, fetch="first")
        metadata = sum(len(origin.metadata[f"{series_of(number)}/metadata"]) for number in (1, 2, 3))
        assert events[-1] == ("end", {"state": "done", "bytes": 12 * 65536 + metadata})
        assert origin.ranges == [FIRST_RANGE] * 12


async def test_metadata_only() -> None:
    origin = three()
    async with house(origin) as home:
        assert (await carried_out(home, fetch="metadata"))[-1][1]["state"] == "done"
        assert not origin.frame_requests
        for number in (1, 2, 3):
            path = f"{series_of(number)}/metadata"
            answer = await home.viewer.get(path, headers={"accept": "application/dicom+json"})
            assert cache_did(answer).startswith("hit")
            assert origin.requests_of(path) == 1


async def test_one_image_of_each_series() -> None:
    origin = three()
    async with house(origin) as home:
        assert (await carried_out(home, fetch="thumbnails"))[-1][1]["state"] == "done"
        asked = {asked.path for asked in origin.frame_requests}
        assert asked == {frame_of(2, series_of(number)) for number in (1, 2, 3)}
        await home.until_idle()
        for path in asked:
            assert cache_did(await home.viewer.get(path, headers=SINGLE)) == "hit"


async def test_series_without_frames_are_not_asked_for_any() -> None:
    origin = with_study(ScriptedOrigin(), {1: bodies(2), 2: bodies(2, seed=2)}, modalities={2: "SR"})
    async with house(origin) as home:
        assert (await carried_out(home))[-1][1]["state"] == "done"
        assert order_of(origin) == ["1"]
        assert origin.requests_of(f"{series_of(2)}/metadata") == 1


async def test_status_and_events_tell_of_each_series() -> None:
    origin = three(50_000)
    async with house(origin) as home:
        answer = await ask(home, profile="sequential")
        events = await home.events(answer.headers["location"])
        opened = {fields["series"]: fields["images"] for name, fields in events if name == "series"}
        uids = [series_of(number).rpartition("/")[2] for number in (1, 2, 3)]
        assert opened == dict.fromkeys(uids, 4)
        frames = [fields["series"] for name, fields in events if name == "frame"]
        assert {uid: frames.count(uid) for uid in uids} == dict.fromkeys(uids, 4)
        told = (await home.admin.get(answer.headers["location"])).json()
        assert (told["frames"], told["stages"], told["unopened"]) == (12, [], 0)
        assert sorted(each["series"] for each in told["series"]) == uids
        assert {each["bytes"] for each in told["series"]} == {200_000}
        assert {stage["numberDone"] for each in told["series"] for stage in each["stages"]} == {4}


async def test_each_series_has_the_profile_that_the_rules_choose() -> None:
    origin = with_study(ScriptedOrigin(), {1: bodies(2), 2: bodies(2, seed=2)})
    uid = series_of(2).rpartition("/")[2]
    metadata = json.loads(origin.metadata[f"{series_of(2)}/metadata"])
    for instance in metadata:
        instance |= row_of(modality="MG")
    origin.metadata[f"{series_of(2)}/metadata"] = json.dumps(metadata).encode()
    async with house(origin, choose=[{"profile": "single", "modality": "MG"}]) as home:
        plan = (await ask(home)).headers["location"]
        await home.events(plan)
        told = (await home.admin.get(plan)).json()["series"]
        assert {each["profile"] for each in told if each["series"] == uid} == {"single"}
        assert {each["profile"] for each in told if each["series"] != uid} == {"sequential"}


async def test_the_budget_of_bytes_is_exceeded_by_one_fetch_at_most() -> None:
    origin = three(50_000, count=20)
    async with house(origin) as home:
        events = await carried_out(home, budget=1_000_000)
        assert events[-1][1]["state"] == "spent"
        assert 1_000_000 <= events[-1][1]["bytes"] < 1_000_000 + 50_000 + 10_000


async def test_the_budget_of_requests_ends_a_plan() -> None:
    origin = three(50_000, count=20)
    async with house(origin) as home:
        events = await carried_out(home, requests=10)
        assert events[-1][1]["state"] == "spent"
        assert len(origin.asked_after_greeting) <= 1 + 10  # the search comes before


async def test_a_series_that_fails_does_not_end_the_others() -> None:
    origin = three(50_000)
    del origin.metadata[f"{series_of(2)}/metadata"]
    async with house(origin) as home:
        answer = await ask(home)
        events = await home.events(answer.headers["location"])
        assert events[-1][1]["state"] == "done"
        assert sum(name == "series" and not fields["ok"] for name, fields in events) == 1
        assert order_of(origin) == ["1", "3"]
        assert (await home.admin.get(answer.headers["location"])).json()["error"] == "OriginRefused"


async def test_a_series_whose_frames_are_gone_is_given_up_and_the_others_go_on() -> None:
    origin = with_study(ScriptedOrigin(), {1: bodies(60, 1000), 2: bodies(5, seed=2)})
    for path in frames_of((1,), 60):
        del origin.frames[path]
    async with house(origin) as home:
        plan = (await ask(home, profile="single")).headers["location"]
        assert (await home.events(plan))[-1][1]["state"] == "done"
        assert "gave up" in (await home.admin.get(plan)).json()["error"]
        frames = [fields for name, fields in await home.events(plan) if name == "frame"]
        assert sum(not fields["ok"] for fields in frames) < 60
        for path in frames_of((2,), 5):
            assert cache_did(await home.viewer.get(path, headers=SINGLE)) == "hit"


async def test_the_series_that_a_viewer_opens_goes_first() -> None:
    barrier, origin = asyncio.Event(), three(50_000, count=10)

    def script(asked: Asked) -> Reply | None:
        body = origin.frames.get(asked.path)
        is_planned = body is not None and asked.path != frame_of(0, series_of(3))
        return honest(body or b"", asked, before=(barrier,)) if is_planned else None

    origin.script = script
    async with house(origin, origin=ONE_AT_A_TIME) as home:
        plan = (await ask(home)).headers["location"]
        # All of series 1 are waiting, and some of series 2 if its metadata came before they took the seat.
        await home.until(lambda: len(home.app.fills) >= 10)
        await home.viewer.get(frame_of(0, series_of(3)), headers=SINGLE)
        barrier.set()
        assert (await home.events(plan))[-1][1]["state"] == "done"
        later = [asked.path for asked in origin.frame_requests if asked.path.startswith(series_of(3))]
        order = [asked.path for asked in origin.frame_requests]
        rest_of_second = [path for path in order if path.startswith(series_of(2))][6:]
        assert max(map(order.index, later)) < min(map(order.index, rest_of_second))


async def test_a_study_that_the_origin_refuses_or_does_not_show_gets_no_plan() -> None:
    origin = three()
    async with house(origin) as home:
        for status in (401, 403, 404, 503):
            origin.script = lambda asked, status=status: Reply(status, {})
            answer = await ask(home, {"authorization": f"Bearer {status}"})
            assert (answer.status_code, "location" in answer.headers) == (status, False)
        origin.script = None
        origin.metadata[f"/studies/{STUDY}/series"] = b"[]"
        assert (await ask(home)).status_code == 404


async def test_a_plan_for_a_study_uses_the_credentials_of_its_maker_only() -> None:
    origin = three(50_000)
    async with house(origin) as home:
        headers = {"authorization": "Bearer a"}
        plan = (await ask(home, headers)).headers["location"]
        await home.events(plan, headers)
        assert {asked.headers.get("authorization") for asked in origin.asked_after_greeting} == {"Bearer a"}
        assert (await home.admin.get(plan)).status_code == 404
        origin.script = lambda asked: (
            Reply(403, {}) if asked.headers.get("authorization") != "Bearer a" else None
        )
        for path in (*frames_of((1,), 1), f"{series_of(1)}/metadata"):
            refused = await home.viewer.get(path, headers={"authorization": "Bearer b"})
            assert refused.status_code == 403


async def test_a_busy_origin_makes_the_plan_wait_for_metadata_too() -> None:
    origin, told = three(50_000), list[Asked]()

    def script(asked: Asked) -> Reply | None:
        if asked.path != f"{series_of(1)}/metadata" or told:
            return None
        told.append(asked)
        return Reply(503, {"retry-after": "0"})

    origin.script = script
    async with house(origin) as home:
        events = await carried_out(home)
        assert events[-1][1]["state"] == "done"
        assert all(fields["ok"] for name, fields in events if name == "series")
        assert origin.requests_of(f"{series_of(1)}/metadata") == 2


async def test_planned_frames_of_a_study_count_against_the_bounds() -> None:
    origin = three(50_000)
    async with house(origin, bounds={"planned_frames": 9}) as home:
        events = await carried_out(home)
        assert sum(name == "series" and fields["ok"] for name, fields in events) == 2
        assert home.metric("places_taken", bound="planned_frames") == 0
