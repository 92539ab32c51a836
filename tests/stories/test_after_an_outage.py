"""An origin after an outage: how the proxy notices that it is back, and which requests wait for that."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from proxy.errors import OriginBusy, OriginRefused, OriginTimeout, OriginUnreachable
from proxy.origin.health import FAILURES, LONGEST_TRY, REST, Health
from proxy.telemetry.telemetry import Telemetry
from tests.house import House, house
from tests.scripted_origin import Asked, Reply, ScriptedOrigin, codestream, frame_of, honest

pytestmark = pytest.mark.anyio

SINGLE = {"accept": "image/jphc"}
BURST = 24
BODIES = [codestream(20_000, seed) for seed in range(BURST)]


class Outage:
    """An origin that answers 502 until it is healthy. After that it holds every frame at a barrier."""

    def __init__(self) -> None:
        self.is_well = False
        self.barrier = asyncio.Event()
        self.origin = ScriptedOrigin().with_series(BODIES)
        self.origin.script = self._script

    def _script(self, asked: Asked) -> Reply | None:
        if not self.is_well:
            return None if "limit=1" in asked.path else Reply(502, {})
        body = self.origin.frames.get(asked.path)
        return honest(body, asked, before=(self.barrier,)) if body else None


class Clock:
    """A clock that the test sets. It does not run by itself."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def after_failures() -> AsyncIterator[tuple[Outage, House, Clock]]:
    """A house whose origin is paused after failures, and the stopped clock of its health."""
    outage, clock = Outage(), Clock()
    async with house(outage.origin) as home:
        origin = home.app.origins["pacs"]
        origin.health = origin.plain.health = Health("pacs", home.app.telemetry, clock)
        while not home.app.origins["pacs"].health.is_resting:
            assert (await home.viewer.get(frame_of(0), headers=SINGLE)).status_code >= 502
        await home.until_idle()
        yield outage, home, clock


async def burst(home: House) -> list[tuple[int, bytes]]:
    answers = await asyncio.gather(*(home.viewer.get(frame_of(n), headers=SINGLE) for n in range(BURST)))
    return [(answer.status_code, answer.content) for answer in answers]


async def test_while_one_request_tries_it_nobody_else_is_refused() -> None:
    async with after_failures() as (outage, home, clock):
        outage.is_well, clock.now, before = True, REST, len(outage.origin.asked)
        asking = asyncio.create_task(burst(home))
        await home.until_inside(BURST)
        await home.until(lambda: len(outage.origin.asked) > before)
        assert len(outage.origin.asked) == before + 1
        outage.barrier.set()
        assert await asking == [(200, body) for body in BODIES]


@pytest.mark.parametrize("status", [200, 404])
async def test_what_is_handed_through_tells_that_it_is_well(status: int) -> None:
    async with after_failures() as (outage, home, _):
        outage.barrier.set()
        outage.is_well = True
        path = "/studies?limit=9" if status == 200 else "/studies/1/nothing"
        assert (await home.viewer.get(path)).status_code == status
        assert not (await home.admin.get("/origins")).json()["pacs"]["resting"]
        assert home.metric("origin_up", origin="pacs") == 1
        assert await burst(home) == [(200, body) for body in BODIES]


async def test_what_is_handed_through_tells_that_it_is_not() -> None:
    outage = Outage()
    async with house(outage.origin) as home:
        for _ in range(FAILURES):
            assert (await home.viewer.get("/studies?PatientID=1")).status_code == 502
        assert (await home.admin.get("/origins")).json()["pacs"]["resting"]
        await outage.origin.stop()
        before = home.metric("origin_requests_total", origin="pacs", stage="first", outcome="unreachable")
        assert (await home.viewer.get(frame_of(0), headers=SINGLE)).status_code == 503
        assert (
            home.metric("origin_requests_total", origin="pacs", stage="first", outcome="unreachable")
            == before
        )


async def test_a_request_that_tries_it_and_is_refused_has_found_it() -> None:
    async with after_failures() as (outage, home, clock):
        outage.origin.script = lambda asked: Reply(404, {}) if "/frames/" in asked.path else None
        clock.now = REST
        assert (await home.viewer.get(frame_of(0), headers=SINGLE)).status_code == 404
        assert not home.app.origins["pacs"].health.is_resting


Resting = tuple[Health, Clock]


@pytest.fixture
def resting() -> Resting:
    """An origin whose pause has just ended."""
    clock = Clock()
    health = Health("pacs", Telemetry(), clock)
    for _ in range(FAILURES):
        health.note(OriginUnreachable("x"))
    clock.now = REST
    return health, clock


async def test_if_the_request_that_tries_it_fails_those_who_wait_hear_so(resting: Resting) -> None:
    health, _ = resting
    trying = await health.admit()
    assert trying is not None
    waiting = [asyncio.create_task(health.admit()) for _ in range(3)]
    await asyncio.sleep(0)
    health.note(OriginTimeout("x"), trying)
    for each in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(each, OriginBusy)
        assert each.retry_after == REST


async def test_if_the_request_that_tries_it_is_cancelled_one_of_those_who_wait_tries(
    resting: Resting,
) -> None:
    health, _ = resting
    trying = await health.admit()
    assert trying is not None
    waiting = [asyncio.create_task(health.admit()) for _ in range(3)]
    await asyncio.sleep(0)
    health.tried(trying)
    done, left = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    (another,) = [each.result() for each in done]
    assert another is not None
    health.tried(trying)  # the end of the first request does not matter to the second
    assert len(left) == 2
    health.well()
    assert await asyncio.gather(*left) == [None, None]


async def test_nobody_waits_for_it_longer_than_a_moment(resting: Resting) -> None:
    health, clock = resting
    await health.admit()
    clock.now += LONGEST_TRY
    with pytest.raises(OriginBusy):
        await health.admit()


async def test_failures_of_others_do_not_make_a_rest_longer(resting: Resting) -> None:
    health, clock = resting
    for _ in range(9):
        health.note(OriginTimeout("x"))
    assert await health.admit() is not None
    health.note(OriginRefused(404))
    assert not health.is_resting
    assert clock.now == REST
