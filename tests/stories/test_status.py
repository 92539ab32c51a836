"""The status of a service: its numbers are those of the metrics, and it shows nobody's images."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import time
from typing import Any

import httpx
import pytest

from proxy.admin.status import Hour, Status
from proxy.service.wrong import NO_RANGES, WORDS
from proxy.telemetry.reading import total
from tests.guarded_origin import SERIES, GuardedOrigin, guarded
from tests.house import House, house
from tests.scripted_origin import HANG_UP, UID, Asked, Reply, ScriptedOrigin, codestream, frame_of, honest
from tests.stories.test_audit import lines

pytestmark = pytest.mark.anyio

FRAME = frame_of(0)
SINGLE = {"accept": "image/jphc"}
PATIENT = {"first_byte": 3600, "stall": 3600}


def archive(frames: int = 4) -> ScriptedOrigin:
    return ScriptedOrigin().with_series([codestream(100_000, seed) for seed in range(frames)])


async def status_of(home: House) -> Status:
    answer = await home.admin.get("/v1/status")
    assert answer.status_code == 200, answer.text
    return Status.model_validate_json(answer.content)


def still(home: House) -> None:
    """Lets no minute end."""
    history = home.app._operating.history
    history._clock = lambda: history._at + 1.0


async def test_its_numbers_are_those_of_the_metrics() -> None:
    async with house(archive()) as home:
        still(home)
        for image in (0, 1, 0, 9):
            await home.viewer.get(frame_of(image), headers=SINGLE)
        await home.viewer.get(f"{SERIES}/metadata", headers={"accept": "application/dicom+json"})
        await home.until_idle()
        told = await status_of(home)
        for cache, count in told.answers.items():
            assert count == sum(
                home.metric("frame_answers_total", cache=cache, status=status) for status in ("200", "404")
            )
        assert told.answers["hit"] == 1
        assert told.minute.answers == {name: count for name, count in told.answers.items() if count}
        for name, found in (("first", told.minute.first), ("final", told.minute.final)):
            [family] = getattr(home.app.telemetry.metrics, f"{name}_delivery").collect()
            counted = (each.value for each in family.samples if each.name.endswith("_count"))
            assert sum(found) == sum(counted) == 3
        held = {(each.kind, each.part): each.bytes for each in told.held if each.tier == "memory"}
        for kind, part in (("frame", "first"), ("frame", "rest"), ("other", "overhead")):
            assert held[kind, part] == home.metric("cache_bytes", part=part) > 0
        assert held["metadata", "tables"] == home.metric("kept_bytes", kind="metadata", part="tables") > 0
        for part in ("first", "rest", "tables"):
            assert sum(size for (_, each), size in held.items() if each == part) == home.metric(
                "cache_bytes", part=part
            )
        assert told.budget == home.metric("cache_budget_bytes")
        assert told.sent == sum(home.metric("served_bytes_total", cache=cache) for cache in told.answers)
        [origin] = told.origins
        assert (origin.up, origin.wrong, origin.form) == (True, [], "image/jphc")
        assert sum(origin.requests.values()) == total(home.app.telemetry.metrics.origin_requests) > 3
        read = home.metric("resource_answers_total", kind="metadata", cache="miss")
        assert told.resources == {"miss": read} == {"miss": 1}
        assert (told.ready, told.processes, told.fills) == ("ok", 1, 0)


async def test_fetches_and_viewers_that_wait_are_counted_by_turn() -> None:
    barrier, origin = asyncio.Event(), archive()

    def script(asked: Asked) -> Reply | None:
        body = origin.frames.get(asked.path)
        return honest(body, asked, before=(barrier,)) if body else None

    origin.script = script
    async with (
        house(origin, origin={"limits": {"in_flight": 3}, "timeouts": PATIENT}) as home,
        asyncio.TaskGroup() as group,
    ):
        for image in range(4):
            group.create_task(home.viewer.get(frame_of(image), headers={"authorization": "a"} | SINGLE))
        await home.until(lambda: len(home.origin.frame_requests) == 2)
        await home.until_inside(4)
        told = await status_of(home)
        [at] = told.origins
        gate = home.app.suppliers["pacs"].gate
        assert (sum(at.running.values()), sum(at.waiting.values()), at.seats) == (2, len(gate.waiting), 3)
        assert at.waiting["viewer-whole"] >= 2
        assert (told.fills, told.places["waiting"].taken) == (4, 4)
        [caller] = told.callers
        assert (caller.running, caller.waiting, len(caller.who)) == (2, 4, 64)
        barrier.set()


@pytest.mark.parametrize("uids", [False, True])
async def test_uids_are_told_only_if_the_log_has_them(uids: bool) -> None:
    async with guarded(GuardedOrigin("a"), log={"uids": uids}) as at:
        headers = {"authorization": "Bearer a"}
        plan = await at.home.begin_plan("single", headers=headers)
        await at.home.events(plan, headers)
        await at.ask("a", FRAME)
        texts = [(await at.home.admin.get(path)).text for path in ("/v1/status", "/v1/status/hour")]
        assert any(UID in text for text in texts) is uids
        assert "Bearer" not in "".join(texts)
        [line] = (await status_of(at.home)).plans
        assert (line.id, line.state, line.is_viewers) == (plan.rpartition("/")[2], "done", False)
        assert (line.study_uid, line.series_uid) == ((f"{UID}.1", f"{UID}.2") if uids else (None, None))
        [stage] = line.stages
        assert stage.numberDone == stage.numberOfImages == line.frames


async def test_a_caller_has_the_name_that_the_audit_gives_it(tmp_path: Path) -> None:
    file = tmp_path / "audit"
    async with guarded(GuardedOrigin("a", "b"), audit={"file": str(file)}) as at:
        await at.ask("a", FRAME)
        await at.ask("b", frame_of(1))
        told = await status_of(at.home)
    answered = {line["who"] for line in lines(file)}
    assert {each.who for each in told.callers} == answered
    assert all(each.held > 60_000 for each in told.callers)


async def test_an_origin_that_is_down_says_why() -> None:
    async with house(ScriptedOrigin(), origin={"url": "http://127.0.0.1:1"}, wait=False) as home:
        await home.until(lambda: bool(home.app.readiness._why))
        [at] = (await status_of(home)).origins
        assert [fault.level for fault in at.wrong] == ["bad"]
        assert at.wrong[0].what.startswith("It has not responded since the proxy started: ")
        assert not at.up


@asynccontextmanager
async def followed(home: House) -> AsyncIterator[AsyncIterator[tuple[str, dict[str, Any]]]]:
    """The events of one stream, as they come."""
    async with home.admin.stream("GET", "/v1/status/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield events_of(answer)


async def events_of(answer: httpx.Response) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        if line and name:
            fields[name] = value
        elif "event" in fields:
            yield fields["event"], json.loads(fields["data"])
            fields = {}


async def test_a_stream_begins_with_the_hour_and_goes_on_with_looks() -> None:
    async with house(archive()) as home:
        home.app.live._every = 0.001
        async with followed(home) as events:
            (first, hour), (second, status), (third, again) = [await anext(events) for _ in range(3)]
            assert (first, second, third) == ("hour", "status", "status")
            assert Hour.model_validate(hour).minutes == []
            assert Status.model_validate(again).at >= Status.model_validate(status).at


async def test_a_minute_that_ended_is_told_to_those_who_follow() -> None:
    async with house(archive()) as home:
        home.app.live._every = 0.001
        still(home)
        await home.viewer.get(FRAME, headers=SINGLE)
        async with followed(home) as events:
            assert (await anext(events))[1]["minutes"] == []
            history = home.app._operating.history
            history._clock = lambda: history._at + 60.5
            while (event := await anext(events))[0] != "hour":
                pass
            [minute] = Hour.model_validate(event[1]).minutes
            assert (minute.answers, sum(minute.first)) == ({"miss": 1}, 1)


async def test_all_who_follow_share_one_look_and_nobody_is_none() -> None:
    async with house(archive()) as home:
        live = home.app.live
        live._every = 3600
        assert live.looks == 0
        async with followed(home) as one, followed(home) as two:
            for events in (one, two):
                assert [(await anext(events))[0] for _ in range(2)] == ["hour", "status"]
            assert live.looks == 1
        await home.until(lambda: live._ticking is None)
        async with followed(home) as events:
            assert [(await anext(events))[0] for _ in range(2)] == ["hour", "status"]
            assert live.looks == 2


async def test_streams_have_a_bound() -> None:
    async with house(archive(), bounds={"streams": 1}) as home, followed(home) as events:
        await anext(events)
        refused = await home.admin.get("/v1/status/events")
        assert (refused.status_code, refused.json()["detail"]) == (503, "bounds.streams: 1 at most")
        assert home.metric("over_bounds_total", bound="streams") == 1
        assert (await home.admin.get("/v1/status")).status_code == 200


async def test_a_stream_ends_with_the_service() -> None:
    async with house(archive()) as home, followed(home) as events:
        home.app.live._every = 3600
        assert [(await anext(events))[0] for _ in range(2)] == ["hour", "status"]
        home.stop.set()
        assert [name async for name, _ in events] == ["end"]


async def test_a_stream_ends_after_a_while_so_that_the_token_is_shown_again() -> None:
    async with house(archive()) as home:
        home.app.live.longest, home.app.live._every = 0.0, 0.001
        async with followed(home) as events:
            assert [name async for name, _ in events] == ["end"]
        await home.until(lambda: home.app.operators.taken == 0)


async def test_an_operator_ends_anybodys_plan(tmp_path: Path) -> None:
    file, barrier, origin = tmp_path / "audit", asyncio.Event(), archive()

    def script(asked: Asked) -> Reply | None:
        body = origin.frames.get(asked.path)
        return honest(body, asked, before=(barrier,)) if body else None

    origin.script = script
    async with house(
        origin, origin={"timeouts": PATIENT}, access="shared", audit={"file": str(file)}
    ) as home:
        plan = await home.begin_plan("single", headers={"authorization": "Bearer a"})
        name = plan.rpartition("/")[2]
        assert (await home.admin.get(plan)).status_code == 404  # it is not theirs
        answer = await home.admin.delete(f"/v1/status/plans/{name}")
        assert (answer.status_code, answer.content) == (204, b"")
        await home.until(lambda: [each.state for each in home.app.plans] == ["cancelled"])
        assert (await home.admin.delete(f"/v1/status/plans/{name}")).status_code == 404
        assert (await home.admin.delete("/v1/status/plans/none")).status_code == 404
        barrier.set()
    ended = [line for line in lines(file) if line["event"] == "end-plan"]
    assert [(line["plan"], line["study"], line["peer"]) for line in ended] == [
        (name, f"{UID}.1", "127.0.0.1")
    ]


async def test_an_operator_clears_the_forms_of_an_origin(tmp_path: Path) -> None:
    file, origin = tmp_path / "audit", archive()
    async with house(origin, audit={"file": str(file)}) as home:
        await home.viewer.get(FRAME, headers=SINGLE)
        assert (await status_of(home)).origins[0].form == "image/jphc"
        assert (await home.admin.delete("/v1/origins/pacs/forms")).status_code == 204
        [at] = (await status_of(home)).origins
        assert (at.form, at.ranges, at.validators) == (None, None, None)
        assert (await home.viewer.get(frame_of(1), headers=SINGLE)).status_code == 200
        assert (await status_of(home)).origins[0].form == "image/jphc"
        assert (await home.admin.delete("/v1/origins/nobody/forms")).status_code == 404
    assert [line["origin"] for line in lines(file) if line["event"] == "forget-forms"] == ["pacs"]


async def test_an_origin_in_trouble_is_told_with_how_often_and_when() -> None:
    origin, never = archive(), asyncio.Event()
    stalled, cut, shifted, whole = map(frame_of, range(4))

    def script(asked: Asked) -> Reply | None:
        body = origin.frames.get(asked.path)
        if body is None:
            return Reply(
                200, {"content-type": "application/dicom+json", "content-length": "9"}, (b"[", HANG_UP)
            )
        reply = honest(body, asked)
        begun = b"".join(piece for piece in reply.pieces if isinstance(piece, bytes))[:1000]
        length = {"content-length": "65536"}
        return {
            stalled: Reply(reply.status, reply.headers | length, (begun, never)),
            cut: Reply(reply.status, reply.headers | length, (begun, HANG_UP)),
            shifted: Reply(206, reply.headers | {"content-range": "bytes 7-65542/100000"}, (bytes(65536),)),
            whole: Reply(200, reply.headers, (body,)),
        }[asked.path]

    origin.script = script
    before = time()
    async with house(origin, origin={"timeouts": {"stall": 0.5}}) as home:
        for path in (stalled, cut, shifted, whole, f"{SERIES}/metadata"):
            with suppress(httpx.TransportError):  # the response had begun
                await home.viewer.get(path, headers={"accept": "*/*"} if "metadata" in path else SINGLE)
        await home.until_idle()
        [at] = (await status_of(home)).origins
        never.set()
    told = {fault.what: fault for fault in at.wrong if fault.times is not None}
    assert {WORDS["stalled"], WORDS["cut"], WORDS["content_range"], NO_RANGES} <= told.keys()
    assert (told[WORDS["cut"]].times or 0) >= 2  # the metadata too
    assert all(before - 1 <= (fault.last or 0) <= time() + 1 for fault in told.values())
    assert {fault.level for fault in told.values()} == {"warn"}
