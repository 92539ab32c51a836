"""A caller whom the origin refuses gets the origin's own answer, and learns nothing of what is held."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.codestreams import PARTS, htj2k
from tests.guarded_origin import (
    BODIES,
    OTHER_STUDY,
    SERIES,
    SINGLE,
    Guarded,
    GuardedOrigin,
    guarded,
    who_asks,
)
from tests.house import cache_did, read_until
from tests.scripted_origin import Asked, Reply, codestream, frame_of, honest
from tests.stories.test_alternates import PIXELS, described

pytestmark = pytest.mark.anyio

FRAME = frame_of(0)
LARGE = codestream(400_000)
FIRST = {"range": "bytes=0-65535"}
LAZY: dict[str, Any] = {"profiles": {"lazy": {"first": "64KiB", "complete": "on-demand"}}, "profile": "lazy"}
PICTURE = htj2k(PIXELS, **PARTS)


async def test_a_refused_caller_can_not_tell_what_is_held_from_what_is_not() -> None:
    origin = GuardedOrigin("a")
    async with guarded(origin) as at:
        assert await at.did("a", FRAME) == (200, "fwd=miss; stored")
        told = []
        for headers in ({}, {"range": "bytes=0-99"}, {"range": "bytes=500-"}, {"if-none-match": "*"}):
            held, other = [await at.ask("b", path, **headers) for path in (FRAME, frame_of(1))]
            again, more = [await at.ask("b", path, **headers) for path in (FRAME, frame_of(1))]
            for answer in (held, other, again, more):
                assert answer.status_code == 403
                told.append((sorted({**answer.headers, "date": ""}.items()), answer.content))
            assert told[-1] == told[-2] == told[-3] == told[-4]
        label = {"status": "403", "cache": "miss"}
        assert at.home.metric("frame_answers_total", **label) == 16


async def refused_once(path: str, **headers: str) -> tuple[dict[str, float], list[dict[str, str]]]:
    """The metrics that one refused request changes, and the requests that the origin gets for it."""
    origin = GuardedOrigin("a")
    async with guarded(origin) as at:
        assert (await at.ask("a", FRAME)).status_code == 200
        before, asked = counts(at), len(origin.asked)
        assert (await at.ask("b", path, **headers)).status_code == 403
        after = counts(at)
        changed = {
            name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name)
        }
        dropped = ("range", "host", "via", "cdn-loop")
        return changed, [
            {name: value for name, value in each.headers.items() if name not in dropped}
            for each in origin.asked[asked:]
        ]


def counts(at: Guarded) -> dict[str, float]:
    """All metrics that count; times differ."""
    return {
        f"{sample.name}{sample.labels}": sample.value
        for metric in at.home.app.telemetry.metrics.registry.collect()
        for sample in metric.samples
        if not sample.name.endswith(("_created", "_sum", "_bucket")) and metric.name[:8] != "process_"
    }


@pytest.mark.parametrize("headers", [{}, FIRST], ids=["whole", "first"])
async def test_neither_metrics_nor_the_origins_requests_tell_what_is_held(headers: dict[str, str]) -> None:
    held, other = [await refused_once(path, **headers) for path in (FRAME, frame_of(1))]
    assert held == other
    assert held[0]


async def test_a_refused_caller_waits_at_the_gate_if_a_frame_is_held_too() -> None:
    origin, barrier = GuardedOrigin("a", "c"), asyncio.Event()
    async with guarded(origin, origin={"limits": {"in_flight": 3}}) as at:
        assert (await at.ask("a", FRAME)).status_code == 200
        origin.then = lambda asked: honest(BODIES[0], asked, before=[barrier])
        seated = [(who, frame_of(number)) for number, who in enumerate("aac", start=1)]
        taking = [asyncio.create_task(at.ask(who, path, range="bytes=0-65535")) for who, path in seated]
        await at.home.until(lambda: len(origin.frame_requests) == 4)
        asking = [asyncio.create_task(at.ask("b", path, **FIRST)) for path in (FRAME, frame_of(1))]
        await at.home.until_inside(5)
        gate = at.home.app.suppliers["pacs"].gate
        await at.home.until(lambda: len(gate.waiting) >= 1)
        assert "b" not in {who_asks(asked) for asked in origin.frame_requests}
        barrier.set()
        assert [(await each).status_code for each in asking] == [403, 403]
        await asyncio.gather(*taking)


FORMS = {
    "frame": (FRAME, "image/jphc"),
    "list": (FRAME.replace("frames/1", "frames/1,1"), "multipart/related"),
    "list beyond its end": (FRAME.replace("frames/1", "frames/1,7"), "multipart/related"),
    "smaller": (f"{FRAME}?fsiz=16,16", "image/jphc"),
    "thumbnail": (FRAME.replace("/frames/", "/htj2kThumbnail/"), "image/jphc"),
    "alternate": (FRAME.replace("/frames/", "/jls/"), "image/jls"),
    "rendered frame": (f"{FRAME}/rendered", "image/png"),
    "rendered series": (f"{SERIES}/rendered", "image/png"),
    "thumbnail of the series": (f"{SERIES}/thumbnail", "image/png"),
    "metadata": (f"{SERIES}/metadata", "application/dicom+json"),
}


@pytest.mark.parametrize("form", FORMS)
async def test_every_form_of_a_frame_is_refused(form: str) -> None:
    path, accept = FORMS[form]
    origin = GuardedOrigin("a", bodies=[PICTURE, PICTURE])
    described(origin)
    alternates = {"jls": {"path": "/jls/", "codec": "jpegls"}}
    async with guarded(origin, origin={"rendered": "proxy"}, alternates=alternates) as at:
        expected = 404 if "beyond" in form else 200
        assert (await at.ask("a", path, accept=accept)).status_code == expected
        assert (await at.ask("a", path, accept=accept)).status_code == expected
        assert (await at.ask("b", path, accept=accept)).status_code == 403
        origin.readers.remove("a")
        at.now += 61
        assert (await at.ask("a", path, accept=accept)).status_code == 403


@pytest.mark.parametrize("form", FORMS)
async def test_every_form_is_made_once_for_all_who_may_read(form: str) -> None:
    path, accept = FORMS[form]
    origin = GuardedOrigin("a", "b", bodies=[PICTURE, PICTURE])
    described(origin)
    alternates = {"jls": {"path": "/jls/", "codec": "jpegls"}}
    async with guarded(origin, origin={"rendered": "proxy"}, alternates=alternates) as at:
        first = await at.ask("a", path, accept=accept)
        second = await at.ask("b", path, accept=accept)
        assert (first.status_code, first.content) == (second.status_code, second.content)
        if form == "metadata":  # a question about metadata brings all of it
            second = await at.ask("b", path, accept=accept)
        if "Cache-Status" in second.headers:
            assert cache_did(second).partition(";")[0] == "hit"


async def test_a_fetch_that_is_refused_starts_no_plan() -> None:
    origin = GuardedOrigin("a")
    profiles = {"eager": {"prefetch": {"trigger": "first-frame"}}}
    async with guarded(origin, profiles=profiles, profile="eager") as at:
        assert (await at.ask("b", FRAME)).status_code == 403
        assert origin.requests_of(f"{SERIES}/metadata") == 0
        assert (await at.ask("a", FRAME)).status_code == 200
        await at.home.until(lambda: len({asked.path for asked in origin.frame_requests}) == len(BODIES))


class Turning(GuardedOrigin):
    """Sends `a` a part of the first bytes of a frame, waits, sends the rest of them, and refuses all else."""

    def __init__(self, begins_with: int) -> None:
        super().__init__("a", "b", bodies=[LARGE, LARGE])
        self.barrier = asyncio.Event()
        self._begins_with = begins_with
        self.then = self._then

    def _then(self, asked: Asked) -> Reply | None:
        if who_asks(asked) != "a" or asked.path != FRAME:
            return None
        if asked.range != FIRST["range"]:
            return Reply(401, {"www-authenticate": "Bearer"})
        reply = honest(LARGE, asked)
        body = reply.pieces[-1]
        assert isinstance(body, bytes)
        pieces = (body[: self._begins_with], self.barrier, body[self._begins_with :])
        return Reply(reply.status, reply.headers, pieces)


async def test_a_completion_that_is_refused_goes_on_for_those_who_may_read() -> None:
    origin = Turning(0)
    async with guarded(origin, **LAZY) as at:
        assert (await at.ask("b", frame_of(1))).status_code == 200
        of_a = asyncio.create_task(at.ask("a", FRAME, range="bytes=0-65535"))
        await at.home.until(lambda: origin.requests_of(FRAME) == 1)
        of_b = asyncio.create_task(at.ask("b", FRAME))
        await at.home.until(lambda: origin.requests_of(FRAME) >= 3)
        origin.barrier.set()
        refused = await of_a
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert (await of_b).content == LARGE
        assert {who_asks(asked) for asked in origin.frame_requests[-1:]} == {"b"}
        assert await at.did("b", FRAME) == (200, "hit")
        assert (await at.ask("a", FRAME)).status_code == 401


async def test_a_response_that_has_begun_is_cut_for_the_one_who_is_refused() -> None:
    origin = Turning(30_000)
    async with guarded(origin, **LAZY) as at:
        assert (await at.ask("b", frame_of(1))).status_code == 200
        headers = SINGLE | {"authorization": "Bearer a", "range": "bytes=0-65535"}
        async with at.home.viewer.stream("GET", FRAME, headers=headers) as answer:
            chunks = answer.aiter_bytes()
            assert await read_until(chunks, 30_000) == LARGE[:30_000]
            of_b = asyncio.create_task(at.ask("b", FRAME))
            await at.home.until(lambda: origin.requests_of(FRAME) >= 3)
            origin.barrier.set()
            with pytest.raises(httpx.HTTPError):
                await read_until(chunks, 65_536)
        assert (await of_b).content == LARGE


async def test_a_viewer_that_joined_asks_for_itself_if_the_first_fetch_is_refused() -> None:
    origin = GuardedOrigin("b")
    async with guarded(origin) as at:
        assert (await at.ask("b", frame_of(1))).status_code == 200
        origin.door = asyncio.Event()  # else the first fetch may be over before the other viewer joins
        of_a = asyncio.create_task(at.home.viewer.get(FRAME, headers=SINGLE | {"authorization": "Bearer a"}))
        await at.home.until(lambda: len(at.home.app.fills) == 1)
        of_b = asyncio.create_task(at.ask("b", FRAME))
        await at.home.until_inside(2)
        origin.door.set()
        assert (await of_a).status_code == 403
        assert (await of_b).content == BODIES[0]


async def test_a_plan_ends_once_its_maker_is_refused() -> None:
    origin = GuardedOrigin("a", bodies=[codestream(5_000, seed) for seed in range(200)])

    def then(asked: Asked) -> None:
        if len(origin.frame_requests) >= 10:
            origin.readers.clear()

    origin.then = then
    async with guarded(origin) as at:
        refused = await at.home.ask_plan("sequential", headers={"authorization": "Bearer b"})
        assert refused.status_code == 403
        headers = {"authorization": "Bearer a"}
        plan = await at.home.begin_plan("sequential", headers=headers)
        events = await at.home.events(plan, headers)
        assert (events[-1][0], events[-1][1]["state"]) == ("end", "failed")
        assert len(events) < 100
        assert (await at.home.admin.get(plan, headers=headers)).status_code == 403


async def test_a_plan_of_listed_frames_needs_a_yes() -> None:
    origin = GuardedOrigin("a").with_series(BODIES, OTHER_STUDY)
    listed = [{"instance": FRAME.split("/")[6], "frame": 1}]
    async with guarded(origin) as at:
        for who, status in (("a", 202), ("b", 403)):
            headers = {"authorization": f"Bearer {who}"}
            made = await at.home.ask_plan("sequential", headers=headers, frames=listed)
            assert made.status_code == status


async def test_a_plans_frames_are_found_by_all_who_may_read() -> None:
    origin = GuardedOrigin("a", "b")
    async with guarded(origin) as at:
        headers = {"authorization": "Bearer a"}
        await at.home.events(await at.home.begin_plan("sequential", headers=headers), headers)
        assert [await at.did(who, FRAME) for who in ("a", "b")] == [(200, "hit"), (200, "hit")]
        assert (await at.ask("c", FRAME)).status_code == 403


@pytest.mark.parametrize("is_held", [True, False], ids=["held", "not held"])
async def test_a_profile_that_does_not_exist_is_said_before_the_origin_is_asked(is_held: bool) -> None:
    async with guarded(GuardedOrigin("a")) as at:
        if is_held:
            assert (await at.ask("a", FRAME)).status_code == 200
        answers = [
            await at.ask("b", f"{FRAME}?profile=nope"),
            await at.ask("b", FRAME, **{"retrieve-profile": "nope"}),
        ]
        assert {(answer.status_code, answer.json()["title"]) for answer in answers} == {(404, "UnknownName")}


@pytest.mark.parametrize("path", [f"{FRAME}/rendered", f"{SERIES}/thumbnail"])
async def test_a_picture_that_the_origin_lacks_is_refused_in_the_same_words(path: str) -> None:
    origin = GuardedOrigin("a", bodies=[htj2k(PIXELS)])
    described(origin)
    origin.then = lambda asked: Reply(404, {}) if asked.path.endswith(("rendered", "thumbnail")) else None
    async with guarded(origin, origin={"rendered": "if-missing"}) as at:
        before = await at.ask("b", path, accept="image/png")
        assert (await at.ask("a", path, accept="image/png")).status_code == 200
        at.now += 10
        after = await at.ask("b", path, accept="image/png")
        assert (before.status_code, before.content) == (after.status_code, after.content) == (403, b"no")


async def test_a_404_without_a_credential_drops_nobody_elses_frame() -> None:
    origin = GuardedOrigin("a")
    origin.refusal = Reply(404, {})
    async with guarded(origin) as at:
        assert await at.did("a", FRAME) == (200, "fwd=miss; stored")
        assert (await at.ask("", FRAME)).status_code == 404
        assert await at.did("a", FRAME) == (200, "hit")
