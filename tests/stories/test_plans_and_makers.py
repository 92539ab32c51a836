"""A plan belongs to its maker, and gives up on a series whose frames fail one after another."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from proxy.prefetch.part import IN_FLIGHT, MOST_FAILURES
from tests.guarded_origin import BODIES, GuardedOrigin, guarded
from tests.house import House, house
from tests.scripted_origin import SERIES, UID, Asked, Reply, ScriptedOrigin, codestream, honest, instance_of

pytestmark = pytest.mark.anyio

TOKEN = "the-operators-token"
REQUESTS = (("GET", ""), ("GET", "/events"), ("DELETE", ""))


def shown(who: str) -> dict[str, str]:
    """The operator's token, and the credential of a caller."""
    proof = {"authorization": f"Bearer {who}"} if who else {}
    return {"proxy-authorization": f"Bearer {TOKEN}"} | proof


async def answers(home: House, plan: str, who: str) -> list[tuple[int, list[tuple[str, str]], bytes]]:
    """The answers to each request for a plan, without their dates."""
    found: list[httpx.Response] = [
        await home.admin.request(method, f"{plan}{path}", headers=shown(who)) for method, path in REQUESTS
    ]
    return [(each.status_code, sorted({**each.headers, "date": ""}.items()), each.content) for each in found]


@pytest.mark.parametrize(("maker", "other"), [("a", "b"), ("a", ""), ("", "a")])
async def test_for_all_but_its_maker_a_plan_does_not_exist(tmp_path: Path, maker: str, other: str) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    origin = GuardedOrigin("", "a", "b")
    async with guarded(origin, admin={"token_file": token}) as at:
        plan = await at.home.begin_plan("sequential", headers=shown(maker))
        assert await answers(at.home, plan, other) == await answers(at.home, "/v1/plans/nobodys", other)
        assert {status for status, _, _ in await answers(at.home, plan, other)} == {404}
        assert [status for status, _, _ in await answers(at.home, plan, maker)] == [200, 200, 204]


async def test_a_plan_that_a_viewer_set_off_is_nobodys() -> None:
    profiles = {"eager": {"prefetch": {"trigger": "first-frame"}}}
    async with guarded(GuardedOrigin("", "a"), profiles=profiles, profile="eager") as at:
        await at.ask("a", f"{SERIES}/instances/{UID}.2.1/frames/1")
        await at.home.until(lambda: at.home.metric("plans_total", profile="eager", state="done") == 1)
        [name] = at.home.app.plans._runs
        for who in ("a", ""):
            assert {status for status, _, _ in await answers(at.home, f"/v1/plans/{name}", who)} == {404}


async def test_those_who_follow_a_plan_hear_that_its_maker_is_refused() -> None:
    origin, barrier = GuardedOrigin("a"), asyncio.Event()
    origin.then = lambda asked: (
        honest(BODIES[0], asked, before=[barrier]) if "/frames/" in asked.path else None
    )
    made = {"authorization": "Bearer a"}
    listed = [{"instance": f"{UID}.2.{number}"} for number in (1, 2, 3, 4)]
    async with guarded(origin, admin={"open": True}) as at:
        barrier.set()
        assert (await at.ask("a", f"{SERIES}/instances/{UID}.2.1/frames/1")).status_code == 200
        barrier.clear()
        plan = await at.home.begin_plan("single", headers=made, frames=listed)
        async with at.home.admin.stream("GET", f"{plan}/events", headers=made) as following:
            await at.home.until(lambda: len(at.home.app.fills) == 3)
            origin.readers.clear()
            at.now += 61
            origin.then = lambda asked: None
            assert (await at.ask("a", f"{SERIES}/instances/{UID}.2.1/frames/1")).status_code == 403
            assert (await at.home.admin.delete(plan, headers=made)).status_code == 204
            assert b"event: end" in await following.aread()


def promising(script: Callable[[Asked], Reply | None], frames: int) -> ScriptedOrigin:
    """An origin whose metadata promises that many frames of one instance."""
    origin = ScriptedOrigin(script=script)
    listed = [instance_of(f"{UID}.2.1", frames=frames)]
    origin.metadata[f"{SERIES}/metadata"] = json.dumps(listed).encode()
    return origin


@pytest.mark.parametrize("status", [404, 500])
async def test_a_plan_gives_up_on_frames_that_fail_one_after_another(status: int) -> None:
    origin = promising(lambda asked: Reply(status, {}) if "/frames/" in asked.path else None, 99_999)
    async with house(origin) as home:
        plan = await home.begin_plan("single")
        events = await home.events(plan)
        told = (await home.admin.get(plan)).json()
        assert (events[-1][1]["state"], told["state"]) == ("failed", "failed")
        assert told["error"].startswith(f"gave up after {MOST_FAILURES} failures in a row, the last: Origin")
        asked = {asked.path.partition("?")[0] for asked in origin.frame_requests}
        assert len(asked) <= MOST_FAILURES + IN_FLIGHT


async def test_a_plan_with_failures_between_goes_on() -> None:
    body = codestream(100)

    def script(asked: Asked) -> Reply | None:
        if "/frames/" not in asked.path:
            return None
        is_there = int(asked.path.rpartition("/")[2]) % 3 == 0
        return honest(body, asked) if is_there else Reply(404, {})

    async with house(promising(script, 3 * MOST_FAILURES)) as home:
        plan = await home.begin_plan("single")
        assert (await home.events(plan))[-1][1]["state"] == "done"
        assert (await home.admin.get(plan)).json()["error"] == "OriginRefused"
