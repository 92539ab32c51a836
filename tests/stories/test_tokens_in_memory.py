"""A token is in memory no longer than a request or a running plan needs it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

import httpx
import pytest

from tests.codestreams import PARTS, htj2k
from tests.guarded_origin import SERIES, SINGLE, Guarded, GuardedOrigin, guarded
from tests.scripted_origin import HANG_UP, LABEL, Asked, Reply, ScriptedOrigin, codestream, frame_of
from tests.stories.test_alternates import PIXELS, described
from tests.studies import row_of
from tests.tokens import Secret

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

FRAME = frame_of(0)
STUDY = SERIES.partition("/series/")[0]
LISTED = FRAME.replace("frames/1", "frames/1,1")
PICTURE = htj2k(PIXELS, **PARTS)


class Forgetful(GuardedOrigin):
    """Keeps nothing of a request, neither in itself nor in a connection that is idle."""

    def __init__(self, secret: Secret) -> None:
        super().__init__(bodies=[PICTURE, PICTURE, codestream(300_000)])
        described(self)
        self.script = None
        row = row_of(series=SERIES.rpartition("/")[2], modality="CT", number=1, instances=3)
        self.metadata[f"{STUDY}/series"] = json.dumps([row]).encode()
        self.instead: Callable[[Asked], Reply | None] = lambda asked: None
        self._secret = secret
        self.refuses = False

    def _reply(self, asked: Asked) -> Reply:
        is_known = asked.headers.get("authorization") in (self._secret.bearer["authorization"], "Bearer a")
        reply = self.instead(asked) or ScriptedOrigin._reply(self, asked)
        if asked.path.startswith("/studies/") and (self.refuses or not is_known):
            reply = self.refusal
        self.asked.clear()
        return Reply(reply.status, reply.headers | {"connection": "close"}, reply.pieces)


class Told:
    """A story: a house, its origin, and a caller's secret."""

    def __init__(self, at: Guarded, origin: Forgetful, secret: Secret) -> None:
        self.at, self.home, self.origin, self._secret = at, at.home, origin, secret

    async def get(self, path: str = FRAME, **headers: str) -> int:
        answer = await self.home.viewer.get(path, headers=SINGLE | self._secret.bearer | headers)
        return answer.status_code

    async def plan(self, profile: str = "sequential") -> str:
        answer = await self.home.ask_plan(profile, headers=self._secret.bearer)
        return str(answer.headers.get("location", ""))

    async def study_plan(self) -> str:
        wanted = {"study": STUDY.rpartition("/")[2]}
        answer = await self.home.admin.post("/v1/plans", json=wanted, headers=self._secret.bearer)
        assert answer.status_code == 202
        return str(answer.headers["location"])

    async def end_of(self, plan: str) -> str:
        return str((await self.home.events(plan, self._secret.bearer))[-1][1]["state"])

    async def cancel(self, plan: str) -> None:
        await self.home.admin.delete(plan, headers=self._secret.bearer)

    async def leave(self) -> None:
        """Asks for a frame, and leaves once its first bytes have come."""
        headers = SINGLE | self._secret.bearer
        async with self.home.viewer.stream("GET", frame_of(2), headers=headers) as answer:
            await anext(answer.aiter_bytes(1))


async def a_cold_frame_and_a_hit(told: Told) -> None:
    assert [await told.get() for _ in range(3)] == [200] * 3


async def a_refused_fetch(told: Told) -> None:
    told.origin.refuses = True
    assert [await told.get(), await told.get()] == [403] * 2


async def a_probe_and_a_renewal(told: Told) -> None:
    await told.at.ask("a", FRAME)
    assert await told.get() == 200
    told.at.now += 45
    assert await told.get() == 200
    await told.home.until(lambda: told.at.probes() == 2)


async def a_refused_probe(told: Told) -> None:
    await told.at.ask("a", FRAME)
    told.origin.refuses = True
    assert await told.get() == 403


async def a_frame_that_is_missing(told: Told) -> None:
    assert await told.get(frame_of(9)) == 404


async def a_frame_that_is_cut(told: Told) -> None:
    told.origin.instead = lambda asked: Reply(
        200, {"content-type": LABEL, "content-length": "300000"}, (codestream(300_000)[:70_000], HANG_UP)
    )
    with suppress(httpx.HTTPError):
        await told.get(frame_of(2))


async def an_origin_that_is_down(told: Told) -> None:
    await told.origin.stop()
    assert await told.get() == 502


async def a_viewer_that_leaves(told: Told) -> None:
    await told.leave()


async def a_list_of_frames(told: Told) -> None:
    assert await told.get(LISTED, accept="multipart/related") == 200


async def metadata(told: Told) -> None:
    assert await told.get(f"{SERIES}/metadata", accept="application/dicom+json") == 200


async def a_picture_and_an_alternate(told: Told) -> None:
    assert await told.get(f"{SERIES}/rendered", accept="image/png") == 200
    assert await told.get(FRAME.replace("/frames/", "/jls/"), accept="image/jls") == 200


async def a_picture_of_refused_metadata(told: Told) -> None:
    told.origin.refuses = True
    assert await told.get(f"{SERIES}/rendered", accept="image/png") == 403


async def a_forwarded_request(told: Told) -> None:
    assert await told.get("/studies?PatientID=1", accept="application/dicom+json") == 200
    assert await told.get("/elsewhere") == 404


async def a_plan_that_is_done(told: Told) -> None:
    assert await told.end_of(await told.plan()) == "done"


async def a_plan_that_is_refused_at_once(told: Told) -> None:
    told.origin.refuses = True
    assert await told.plan() == ""


async def a_plan_that_is_refused_later(told: Told) -> None:
    def instead(asked: Asked) -> Reply | None:
        told.origin.refuses |= asked.path == frame_of(1)
        return None

    told.origin.instead = instead
    assert await told.end_of(await told.plan()) == "failed"


async def a_plan_that_is_cancelled(told: Told) -> None:
    barrier = asyncio.Event()
    told.origin.instead = lambda asked: Reply(200, {}, (barrier,)) if asked.path == frame_of(1) else None
    plan = await told.plan()
    await told.home.until(lambda: len(told.home.app.fills) > 0)
    await told.cancel(plan)
    assert await told.end_of(plan) == "cancelled"
    barrier.set()


async def a_plan_whose_frames_a_viewer_wants_meanwhile(told: Told) -> None:
    barrier = asyncio.Event()

    def instead(asked: Asked) -> Reply | None:
        body = told.origin.frames.get(asked.path)
        return Reply(200, {"content-type": LABEL}, (barrier, body)) if body else None

    assert await told.get() == 200
    told.origin.instead = instead
    plan = await told.plan("single")
    await told.home.until(lambda: len(told.home.app.fills) > 0)
    asking = [asyncio.create_task(told.get(frame_of(image))) for image in (2, 1)]
    await told.home.until_inside(2)
    barrier.set()
    assert await asyncio.gather(*asking) == [200] * 2
    assert await told.end_of(plan) == "done"


async def a_plan_for_a_study(told: Told) -> None:
    assert await told.end_of(await told.study_plan()) == "done"


async def a_plan_for_a_study_that_is_refused_later(told: Told) -> None:
    def instead(asked: Asked) -> Reply | None:
        told.origin.refuses |= asked.path == frame_of(1)
        return None

    told.origin.instead = instead
    assert await told.end_of(await told.study_plan()) == "failed"


async def a_study_that_a_viewer_opens(told: Told) -> None:
    told.home.app.chosen.now = replace(told.home.app.chosen.now, by_origin={"pacs": "ahead"})
    assert await told.get(f"{SERIES}/metadata", accept="application/dicom+json") == 200
    await told.home.until_inside(0)
    await told.home.until(lambda: not told.home.app.plans.tasks._running)
    assert told.home.metric("plans_total", profile="ahead", state="done") == 1


STORIES: list[Callable[[Told], Awaitable[None]]] = [
    a_cold_frame_and_a_hit,
    a_refused_fetch,
    a_probe_and_a_renewal,
    a_refused_probe,
    a_frame_that_is_missing,
    a_frame_that_is_cut,
    an_origin_that_is_down,
    a_viewer_that_leaves,
    a_list_of_frames,
    metadata,
    a_picture_and_an_alternate,
    a_picture_of_refused_metadata,
    a_forwarded_request,
    a_plan_that_is_done,
    a_plan_that_is_refused_at_once,
    a_plan_that_is_refused_later,
    a_plan_that_is_cancelled,
    a_plan_whose_frames_a_viewer_wants_meanwhile,
    a_plan_for_a_study,
    a_plan_for_a_study_that_is_refused_later,
    a_study_that_a_viewer_opens,
]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: str(story.__name__))
async def test_nothing_has_the_token_after(story: Callable[[Told], Awaitable[None]]) -> None:
    secret = Secret()
    origin = Forgetful(secret)
    alternates = {"jls": {"path": "/jls/", "codec": "jpegls"}}
    narrow = {"rendered": "proxy", "limits": {"in_flight": 3}}
    profiles = {"ahead": {"extends": "sequential", "prefetch": {"study": "all"}}}
    async with guarded(origin, origin=narrow, alternates=alternates, profiles=profiles) as at:
        await story(Told(at, origin, secret))
        await at.home.until_idle()
        for _ in range(200):  # connections and tasks need a moment to end
            if not (holders := secret.holders()):
                break
            await asyncio.sleep(0.05)
        assert holders == []


def test_a_token_that_is_held_is_found() -> None:
    secret = Secret()
    held = [(b"authorization", secret.bearer["authorization"].encode())]
    assert secret.holders()
    held.clear()
    assert secret.holders() == []
