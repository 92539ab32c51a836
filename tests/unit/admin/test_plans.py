"""Plans over HTTP on the admin listener: make, look, follow, cancel; and what is refused."""

import asyncio
import json
import logging
import re
from typing import Any

import pytest

from tests.house import House, cache_did, events_in, house
from tests.scripted_origin import (
    SERIES,
    UID,
    Asked,
    Reply,
    ScriptedOrigin,
    codestream,
    frame_of,
    honest,
    instance_of,
)

pytestmark = pytest.mark.anyio

SINGLE = {"accept": "image/jphc"}
STAGE_EVENT = {"stageId", "numberOfFailures", "numberOfImages", "stageDurationInMS", "startDurationInMS"}
STUDY = f"{UID}.1"


def of_three(size: int = 200_000) -> ScriptedOrigin:
    return ScriptedOrigin().with_series([codestream(size, seed) for seed in range(3)])


def behind(barrier: asyncio.Event, size: int = 200_000) -> ScriptedOrigin:
    """The same, whose frames have no byte before the barrier."""
    origin = of_three(size)
    origin.script = lambda asked: (
        honest(origin.frames[asked.path], asked, before=(barrier,)) if asked.path in origin.frames else None
    )
    return origin


async def test_a_plan_is_accepted_told_of_and_done() -> None:
    barrier = asyncio.Event()
    async with house(behind(barrier)) as home:
        made = await home.ask_plan("sequential")
        assert made.status_code == 202
        began = made.json()
        assert re.fullmatch(r"[A-Za-z0-9_-]{16,}", began["id"])
        assert made.headers["location"] == f"/v1/plans/{began['id']}"
        assert began["state"] in ("queued", "running")
        assert (began["profile"], began["frames"], began["bytes"], began["error"]) == ("sequential", 3, 0, "")
        assert [stage["stageId"] for stage in began["stages"]] == ["lossySequential", "finalSequential"]
        assert all(stage.keys() == STAGE_EVENT | {"numberDone"} for stage in began["stages"])
        assert [stage["stageDurationInMS"] for stage in began["stages"]] == [None, None]
        barrier.set()
        await home.events(made.headers["location"])
        done = (await home.admin.get(made.headers["location"])).json()
        assert (done["id"], done["state"], done["error"]) == (began["id"], "done", "")
        for stage in done["stages"]:
            assert (stage["numberOfImages"], stage["numberDone"], stage["numberOfFailures"]) == (3, 3, 0)
            assert 0 <= stage["stageDurationInMS"] <= stage["startDurationInMS"]
        assert home.metric("plans_total", profile="sequential", state="done") == 1


async def test_the_stage_counts_follow_the_plan() -> None:
    barrier = asyncio.Event()
    origin = behind(barrier, 50_000)
    honest_one = frame_of(1)
    script = origin.script
    assert script is not None
    origin.script = lambda asked: None if asked.path == honest_one else script(asked)
    async with house(origin) as home:
        plan = await home.begin_plan("sequential")
        await home.until(lambda: len(home.app.fills) == 2)
        while True:
            stages = (await home.admin.get(plan)).json()["stages"]
            if stages[0]["numberDone"] == stages[1]["numberDone"] == 1:
                break
        assert stages[0]["numberOfImages"] == 3
        barrier.set()
        await home.events(plan)


async def test_the_events_are_frames_stages_and_one_end() -> None:
    async with house(of_three()) as home:
        answer = await home.admin.get(f"{await home.begin_plan('sequential')}/events")
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = list(events_in(answer.text))
        names = [name for name, _ in events]
        assert (names.count("frame"), names.count("stage"), names.count("end")) == (6, 2, 1)
        assert names[-1] == "end"
        frames = [fields for name, fields in events if name == "frame"]
        assert all(fields.keys() == {"stageId", "image", "ok", "whole", "bytes", "ms"} for fields in frames)
        told = sorted((each["stageId"], each["image"], each["ok"], each["whole"]) for each in frames)
        assert told == [("finalSequential", image, True, True) for image in range(3)] + [
            ("lossySequential", image, True, False) for image in range(3)
        ]
        stages = [fields for name, fields in events if name == "stage"]
        assert [fields["stageId"] for fields in stages] == ["lossySequential", "finalSequential"]
        assert all(fields.keys() == STAGE_EVENT for fields in stages)
        ids = re.findall(r"^id: (\d+)$", answer.text, re.MULTILINE)
        assert ids == [str(number) for number in range(1, len(events) + 1)]


async def test_a_listener_hears_of_each_frame_when_it_is_there() -> None:
    barrier = asyncio.Event()
    origin = behind(barrier, 50_000)
    script, early = origin.script, frame_of(2)
    assert script is not None
    origin.script = lambda asked: None if asked.path == early else script(asked)
    async with house(origin) as home:
        plan = await home.begin_plan("single")
        async with home.admin.stream("GET", f"{plan}/events") as answer:
            chunks = answer.aiter_text()
            text = ""
            while "frame" not in text:
                text += await anext(chunks)  # while the others stand at the barrier
            [(name, fields)] = events_in(text)
            assert (name, fields["image"]) == ("frame", 2)
            barrier.set()
            text += "".join([chunk async for chunk in chunks])
        assert [name for name, _ in events_in(text)] == ["frame"] * 3 + ["stage", "end"]


async def test_late_listeners_get_what_is_kept() -> None:
    async with house(of_three()) as home:
        plan = await home.begin_plan("sequential")
        first = await home.events(plan)
        assert await home.events(plan) == first
        assert len(first) == 9


@pytest.mark.slow
async def test_of_a_long_plan_the_last_thousand_events_are_kept() -> None:
    uids = [f"{UID}.2.{number}" for number in range(1200)]
    origin = ScriptedOrigin()
    origin.metadata[f"{SERIES}/metadata"] = json.dumps(
        [instance_of(uid, number=number) for number, uid in enumerate(uids)]
    ).encode()
    body = codestream(100)
    origin.script = lambda asked: honest(body, asked) if "/frames/" in asked.path else None
    async with house(origin) as home:
        plan = await home.begin_plan("single")
        await home.events(plan)
        events = await home.events(plan)
        assert len(events) == 1000
        assert [name for name, _ in events[-2:]] == ["stage", "end"]
        assert events[-2][1]["numberOfImages"] == 1200
        assert events[-1][1]["bytes"] == 120_000


async def test_listeners_who_leave_disturb_nobody() -> None:
    barrier = asyncio.Event()
    async with house(behind(barrier)) as home:
        plan = await home.begin_plan("sequential")
        async with home.admin.stream("GET", f"{plan}/events") as leaver:
            assert leaver.status_code == 200
        following = asyncio.ensure_future(home.events(plan))
        barrier.set()
        assert (await following)[-1][1]["state"] == "done"


async def test_delete_answers_204_and_the_plan_can_still_be_looked_at() -> None:
    async with house(of_three()) as home:
        plan = await home.begin_plan("sequential")
        await home.events(plan)
        gone = await home.admin.delete(plan)
        assert (gone.status_code, gone.content) == (204, b"")
        assert (await home.admin.get(plan)).json()["state"] == "done"  # it had ended before


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("GET", "/events"), ("DELETE", "")])
async def test_a_plan_that_is_not_known_is_not_found(method: str, path: str) -> None:
    async with house(of_three()) as home:
        answer = await home.admin.request(method, f"/v1/plans/nobodys{path}")
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json() == {"status": 404, "title": "UnknownName", "detail": "no plan has that id"}


async def test_plans_are_no_business_of_the_viewers_listener() -> None:
    async with house(of_three()) as home:
        plan = await home.begin_plan("sequential")
        assert (await home.viewer.get(plan)).status_code == 404
        assert plan in [asked.path for asked in home.origin.asked]  # handed through like anything else


async def test_frames_named_one_by_one_are_fetched_in_their_order_and_no_other() -> None:
    origin = of_three(50_000)
    named = [{"instance": f"{UID}.2.{image + 1}"} for image in (2, 0)]
    async with house(origin) as home:
        events = await home.events(await home.begin_plan("sequential", frames=named))
        assert events[-1][1]["state"] == "done"
        assert [asked.path for asked in origin.asked_after_greeting] == [frame_of(2), frame_of(0)]
        assert cache_did(await home.viewer.get(frame_of(0), headers=SINGLE)) == "hit"


async def test_without_a_profile_it_is_the_origins() -> None:
    async with house(of_three(), origin={"profile": "interleaved"}) as home:
        assert (await home.ask_plan()).json()["profile"] == "interleaved"


async def test_an_origin_is_named_where_there_are_several() -> None:
    origins = [{"name": name, "url": "http://127.0.0.1:1"} for name in ("one", "two")]
    async with house(of_three(), wait=False, origins=origins) as home:
        for name in (None, "three"):
            answer = await home.ask_plan("single", origin=name)
            assert (answer.status_code, answer.json()["title"]) == (404, "UnknownName")
            assert answer.json()["detail"] == "no origin has that name; the origins are one, two"
        assert (await home.ask_plan("single", origin="two")).json()["title"] == "OriginUnreachable"


async def test_a_profile_that_is_not_known_is_not_found() -> None:
    async with house(of_three()) as home:
        answer = await home.ask_plan("fastest")
        assert (answer.status_code, answer.json()["title"]) == (404, "UnknownName")
        assert "sequential" in answer.json()["detail"]


@pytest.mark.parametrize("study", ["", "a~", "1.2/../3", "1..2", "1" * 65, "1.2 ", "%31"])
async def test_what_is_no_uid_is_refused_and_the_origin_not_asked(study: str) -> None:
    async with house(of_three()) as home:
        for wanted in (
            {"study": study, "series": "1.2"},
            {"study": "1.2", "series": study},
            {"study": "1.2", "series": "1.3", "frames": [{"instance": study}]},
        ):
            answer = await home.admin.post("/v1/plans", json=wanted)
            assert (answer.status_code, answer.json()["title"]) == (400, "BadResource")
        assert not home.origin.asked_after_greeting


BAD_BODIES: list[Any] = [
    {},
    {"study": "1.2", "series": []},
    {"study": "1.2", "series": ["1.3"], "order": "number"},
    {"study": "1.2", "series": "1.3", "fetch": "first"},
    {"study": "1.2", "frames": [{"instance": "1.4"}]},
    {"study": "1.2", "fetch": "most"},
    {"study": "1.2", "budget": 0},
    {"study": "1.2", "accept": ""},
    {"study": "1.2", "accept": ["image/jls"]},
    {"study": 1, "series": "1.2"},
    {"study": "1.2", "series": "1.3", "wish": "more"},
    {"study": "1.2", "series": "1.3", "frames": []},
    {"study": "1.2", "series": "1.3", "frames": [{"instance": "1.4", "frame": 0}]},
    {"study": "1.2", "series": "1.3", "frames": [{"instance": "1.4"}] * 10_001},
    [],
]


@pytest.mark.parametrize("body", BAD_BODIES, ids=range(len(BAD_BODIES)))
async def test_a_body_that_is_no_plan_is_refused(body: Any) -> None:
    async with house(of_three()) as home:
        assert (await home.admin.post("/v1/plans", json=body)).status_code == 422
        assert not home.origin.asked_after_greeting


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "title"),
    [
        ("GET", "/nothing", b"", 404, "NotFound"),
        ("GET", "/v1/plans/", b"", 404, "NotFound"),
        ("PUT", "/v1/plans", b"", 405, "MethodNotAllowed"),
        ("POST", "/livez", b"", 405, "MethodNotAllowed"),
        ("POST", "/v1/plans", b"{", 422, "BadBody"),
    ],
)
async def test_each_error_is_a_problem_detail(
    method: str, path: str, content: bytes, status: int, title: str
) -> None:
    async with house(of_three()) as home:
        headers = {"content-type": "application/json"}
        answer = await home.admin.request(method, path, content=content, headers=headers)
        assert answer.headers["content-type"] == "application/problem+json"
        told = answer.json()
        assert (answer.status_code, told["status"], told["title"]) == (status, status, title)
        assert (
            answer.headers.get("allow") == {"/v1/plans": "POST", "/livez": "GET"}.get(path) or status != 405
        )


async def test_a_refused_body_is_not_repeated() -> None:
    async with house(of_three()) as home:
        for body in (
            {"study": "9.8.7.6.5", "order": "9.8.7.6.5"},
            {"study": "1.2", "series": "1.3", "token": "9.8.7.6.5"},
        ):
            answer = await home.admin.post("/v1/plans", json=body)
            assert answer.status_code == 422
            assert "9.8.7.6.5" not in answer.text


@pytest.mark.parametrize(
    ("reply", "status", "title"),
    [
        (Reply(404, {}), 404, "OriginRefused"),
        (Reply(401, {}), 401, "OriginRefused"),
        (Reply(500, {}), 502, "OriginFailed"),
        (Reply(200, {}, (b"<html>",)), 502, "OriginMismatch"),
        (Reply(200, {}, (b"[]",)), 502, "OriginMismatch"),
        (Reply(200, {}, (b'[{"00080060": {"Value": ["CT"]}}]',)), 502, "OriginMismatch"),
        (Reply(200, {}, (b'[{"00080018": {"Value": ["../../x"]}}]',)), 502, "OriginMismatch"),
    ],
)
async def test_a_series_that_can_not_be_listed_is_told_clearly(reply: Reply, status: int, title: str) -> None:
    origin = ScriptedOrigin(script=lambda asked: reply if asked.path.endswith("/metadata") else None)
    async with house(origin) as home:
        answer = await home.ask_plan("sequential")
        assert (answer.status_code, answer.json()["status"], answer.json()["title"]) == (
            status,
            status,
            title,
        )
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"]
        assert "location" not in answer.headers
        assert UID not in answer.text
        assert "../" not in answer.text


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_origin_is_told_with_its_retry_after(status: int) -> None:
    origin = ScriptedOrigin(
        script=lambda asked: Reply(status, {"retry-after": "7"}) if "/metadata" in asked.path else None
    )
    async with house(origin) as home:
        answer = await home.ask_plan("sequential")
        assert (answer.status_code, answer.json()["title"]) == (status, "OriginBusy")
        assert answer.headers["retry-after"] == "7"


async def test_a_challenge_of_the_origin_is_passed_on() -> None:
    origin = ScriptedOrigin(
        script=lambda asked: Reply(401, {"www-authenticate": "Bearer"}) if "/metadata" in asked.path else None
    )
    async with house(origin) as home:
        answer = await home.ask_plan("sequential")
        assert (answer.status_code, answer.headers.get("www-authenticate")) == (401, "Bearer")


async def test_a_profile_whose_positions_the_series_lacks_is_refused_by_name_of_the_stage() -> None:
    profiles = {"far": {"stages": [{"id": "hundredth", "positions": [100]}]}}
    async with house(of_three(), profiles=profiles) as home:
        answer = await home.ask_plan("far")
        assert answer.status_code == 400
        assert answer.json()["title"] == "BadResource"
        assert answer.json()["detail"] == "stage hundredth: no image at position 100 of 3"


async def test_openapi_has_the_paths_with_examples_and_the_examples_are_taken() -> None:
    async with house(of_three()) as home:
        said = (await home.admin.get("/openapi.json")).json()
        paths = {path: set(said["paths"][path]) for path in said["paths"] if path.startswith("/v1/plans")}
        assert paths == {
            "/v1/plans": {"post"},
            "/v1/plans/{plan}": {"get", "delete"},
            "/v1/plans/{plan}/events": {"get"},
        }
        post = said["paths"]["/v1/plans"]["post"]
        assert {"202", "422"} <= set(post["responses"])
        assert "text/event-stream" in json.dumps(said["paths"]["/v1/plans/{plan}/events"]["get"]["responses"])
        assert set(said["paths"]["/v1/plans/{plan}"]["delete"]["responses"]) >= {"204"}
        assert set(said["components"]["schemas"]["PlanStage"]["properties"]) == STAGE_EVENT | {"numberDone"}
        examples = post["requestBody"]["content"]["application/json"]["examples"]
        assert set(examples) == {"series", "frames", "study"}
        for example in examples.values():
            _, title = await _outcome(home, example["value"])
            assert title in ("", "OriginRefused")  # well formed; there is no such series here


async def _outcome(home: House, body: dict[str, Any]) -> tuple[int, str]:
    answer = await home.admin.post("/v1/plans", json=body)
    return answer.status_code, "" if answer.status_code == 202 else answer.json()["title"]


async def test_no_answer_label_or_log_tells_of_a_patient(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    study, uid, token = "9.8.7.6.5", "9.8.7.6.5.4", "SENTINELTOKEN"
    series = f"/studies/{study}/series/{uid}"
    origin = ScriptedOrigin().with_series([codestream(100_000, seed) for seed in range(3)], series)

    def script(asked: Asked) -> Reply | None:
        is_one = asked.path.partition("?")[0] == frame_of(1, series)
        return Reply(500, {}, (token.encode(),)) if is_one else None

    origin.script = script
    profiles = {"ahead": {"prefetch": {"trigger": "first-frame"}}}
    headers = {"authorization": f"Bearer {token}", "cookie": f"session={token}"}
    async with house(origin, profiles=profiles) as home:
        made = await home.ask_plan("sequential", series, headers=headers)
        plan = made.headers["location"]
        events = await home.admin.get(f"{plan}/events", headers=headers)
        status = await home.admin.get(plan, headers=headers)
        assert '"ok": false' in events.text
        named = await home.ask_plan(
            "sequential", series, headers=headers, frames=[{"instance": f"{uid}.9", "frame": 3}]
        )
        failed = await home.admin.get(f"{named.headers['location']}/events", headers=headers)
        origin.metadata.clear()
        other = await home.ask_plan("sequential", f"/studies/{study}/series/{uid}.7", headers=headers)
        assert other.status_code == 404
        await home.viewer.get(
            frame_of(0, f"/studies/{study}/series/{uid}.8") + "?profile=ahead", headers=headers
        )
        await home.until(lambda: any("cannot start the plan" in record.message for record in caplog.records))
        exposed = await home.admin.get("/metrics")
    answers = (made, events, status, named, failed, other, exposed)
    told = "\n".join(answer.text + str(answer.headers) for answer in answers)
    ours = [record for record in caplog.records if record.name.startswith("proxy")]
    told += "\n".join(json.dumps(record.__dict__, default=str) for record in ours)
    assert ours
    assert token not in told
    assert study not in told
