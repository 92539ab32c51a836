"""Plans and their frames are bounded, in all and for each caller; viewers do not notice."""

import asyncio
from typing import Any

import httpx
import pytest

from proxy.fetch.series import MOST_BEHIND
from tests.house import House, cache_did, house
from tests.scripted_origin import (
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

BODIES = [codestream(10_000, seed=number) for number in range(4)]
SINGLE = {"accept": "image/jphc"}
HELD = frame_of(0, OTHER_SERIES)


class Stalling(ScriptedOrigin):
    """Answers for the frames of `SERIES` only once its gate is open."""

    def __init__(self) -> None:
        super().__init__(script=self._script)
        self.with_series(BODIES).with_series(BODIES, OTHER_SERIES)
        self.gate = asyncio.Event()

    def _script(self, asked: Asked) -> Reply | None:
        is_slow = asked.path in self.frames and asked.path.startswith(SERIES)
        return honest(self.frames[asked.path], asked, before=(self.gate,)) if is_slow else None


def of(who: str) -> dict[str, str]:
    return {"authorization": f"Bearer {who}"}


async def ask(home: House, who: str, images: int = 4) -> httpx.Response:
    """The answer to a request for a plan of so many frames."""
    listed = [{"instance": frame_of(image).split("/")[6]} for image in range(images)]
    return await home.ask_plan("single", headers=of(who), frames=listed)


REFUSED: dict[str, tuple[dict[str, int], str, int]] = {
    "plans of a caller": ({"plans_per_caller": 1}, "a", 429),
    "plans in all": ({"plans": 1}, "b", 503),
    "frames of a caller": ({"planned_frames_per_caller": 7}, "a", 429),
    "frames in all": ({"planned_frames": 7}, "b", 503),
}


@pytest.mark.parametrize(("bounds", "who", "status"), REFUSED.values(), ids=REFUSED)
async def test_beyond_its_bound_a_plan_is_refused(bounds: dict[str, int], who: str, status: int) -> None:
    settings: dict[str, Any] = {"access": "credential", "bounds": bounds}
    async with house(Stalling(), **settings) as home:
        assert (await home.viewer.get(HELD, headers=SINGLE | of("b"))).status_code == 200
        await home.until_idle()
        first = await ask(home, "a")
        assert first.status_code == 202
        before = len(home.origin.asked)
        refused = await ask(home, who)
        assert (refused.status_code, refused.headers["retry-after"]) == (status, "1")
        [bound] = bounds
        assert home.metric("over_bounds_total", bound=bound) == 1
        assert not [asked for asked in home.origin.asked[before:] if "metadata" in asked.path]
        hit = await home.viewer.get(HELD, headers=SINGLE | of("b"))
        assert (hit.status_code, cache_did(hit)) == (200, "hit")
        assert (await home.admin.get("/livez")).status_code == 200
        if status == 429:
            assert (await ask(home, "b")).status_code == 202
        home.origin.gate.set()  # type: ignore[attr-defined]  # the origin of these stories
        await home.events(first.headers["location"], of("a"))
        await home.until(lambda: home.app.plans.places.plans.taken == 0)
        assert home.app.plans.places.frames.taken == 0
        again = await ask(home, who)
        assert again.status_code == 202
        await home.events(again.headers["location"], of(who))


async def test_a_plan_that_is_cancelled_gives_its_places_back() -> None:
    async with house(Stalling(), access="credential", bounds={"plans_per_caller": 1}) as home:
        plan = (await ask(home, "a")).headers["location"]
        assert (await home.admin.delete(plan, headers=of("a"))).status_code == 204
        await home.until(lambda: home.app.plans.places.plans.taken == 0)
        assert (await ask(home, "a")).status_code == 202


async def test_a_viewer_whose_profile_may_start_no_plan_gets_its_frame(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ahead = {"ahead": {"prefetch": {"trigger": "first-frame"}}}
    settings: dict[str, Any] = {"profiles": ahead, "profile": "ahead", "bounds": {"plans": 1}}
    async with house(Stalling(), access="credential", **settings) as home:
        assert (await ask(home, "a")).status_code == 202
        answer = await home.viewer.get(HELD, headers=SINGLE | of("b"))
        assert answer.content == BODIES[0]
        await home.until(lambda: home.metric("over_bounds_total", bound="plans") >= 1)
        assert "cannot start the plan" not in caplog.text


BEHIND: dict[str, dict[str, Any]] = {
    "a rule that needs facts": {"choose": [{"modality": "MG", "profile": "sequential"}]},
    "a profile that prefetches": {
        "profiles": {"ahead": {"prefetch": {"trigger": "first-frame"}}},
        "profile": "ahead",
    },
}


@pytest.mark.parametrize("settings", BEHIND.values(), ids=BEHIND)
async def test_lists_that_nobody_waits_for_are_bounded(settings: dict[str, Any]) -> None:
    asked_for, never = 0, asyncio.Event()

    def script(asked: Asked) -> Reply | None:
        nonlocal asked_for
        if asked.path.endswith("/metadata"):
            asked_for += 1
            return Reply(200, {"content-length": "5"}, (b"[", never))
        return Reply(404, {}) if "/frames/" in asked.path else None

    async with house(ScriptedOrigin(script=script), wait=False, **settings) as home:
        for number in range(MOST_BEHIND + 10):
            path = f"/studies/1.{number}/series/2.{number}/instances/3.{number}/frames/1"
            assert (await home.viewer.get(path, headers=SINGLE)).status_code == 404
        await home.until(lambda: asked_for == MOST_BEHIND)
        assert home.app._lists.is_busy
        never.set()


async def test_ended_plans_are_forgotten_by_their_frames() -> None:
    async with house(Stalling()) as home:
        home.origin.gate.set()  # type: ignore[attr-defined]  # the origin of these stories
        home.app.plans.most_kept_frames = 9
        named = []
        for _ in range(4):
            named.append((await ask(home, "a")).headers["location"])
            await home.events(named[-1], of("a"))
        found = [(await home.admin.get(plan, headers=of("a"))).status_code for plan in named]
        # The newest one was running when the older ones were counted.
        assert found == [404, 200, 200, 200]
