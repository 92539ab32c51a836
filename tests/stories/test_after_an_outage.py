"""An origin in an outage and after it: how the proxy notices, and which requests wait for that."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from proxy.errors import OriginBusy, OriginRefused, OriginTimeout, OriginUnreachable
from proxy.origin.health import FAILURES, LONGEST_QUESTION, REST, Health
from proxy.telemetry.telemetry import Telemetry
from tests.house import House, house
from tests.scripted_origin import Asked, Reply, ScriptedOrigin, codestream, frame_of, honest
from tests.simulation import clock as virtual

pytestmark = pytest.mark.anyio

SINGLE = {"accept": "image/jphc"}
QUESTION = "/studies?limit=1"
BURST = 24
BODIES = [codestream(20_000, seed) for seed in range(BURST)]


class Outage:
    """An origin that answers 502 from the first frame on until it is well.

    Then it holds the proxy's question and every frame at barriers.
    """

    def __init__(self) -> None:
        self.is_well = False
        self.question, self.barrier = asyncio.Event(), asyncio.Event()
        self.origin = ScriptedOrigin().with_series(BODIES)
        self.origin.script = self._script

    def _script(self, asked: Asked) -> Reply | None:
        if not self.origin.frame_requests:
            return None
        if not self.is_well:
            return Reply(502, {})
        if asked.path == QUESTION:
            return Reply(200, {}, (self.question, b"[]"))
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


async def test_while_one_request_asks_if_it_is_back_nobody_else_is_refused() -> None:
    async with after_failures() as (outage, home, clock):
        outage.is_well, clock.now, before = True, REST, len(outage.origin.asked)
        outage.origin.door = asyncio.Event()  # the head of an answer is enough of one
        asking = asyncio.create_task(burst(home))
        await home.until_inside(BURST)
        await home.until(lambda: len(outage.origin.asked) > before)
        assert [asked.path for asked in outage.origin.asked[before:]] == [QUESTION]
        outage.origin.door.set()
        outage.question.set()
        outage.barrier.set()
        assert await asking == [(200, body) for body in BODIES]


@pytest.mark.parametrize("status", [200, 404])
async def test_what_is_handed_through_tells_that_it_is_well(status: int) -> None:
    async with after_failures() as (outage, home, _):
        outage.barrier.set()
        outage.is_well = True
        path = "/studies?limit=9" if status == 200 else "/studies/1/nothing"
        assert (await home.viewer.get(path)).status_code == status
        assert not (await home.admin.get("/v1/origins")).json()["pacs"]["resting"]
        assert home.metric("origin_up", origin="pacs") == 1
        assert await burst(home) == [(200, body) for body in BODIES]


async def test_what_is_handed_through_tells_that_it_is_not() -> None:
    outage = Outage()
    async with house(outage.origin) as home:
        for _ in range(2):
            assert (await home.viewer.get(frame_of(0), headers=SINGLE)).status_code >= 502
        for _ in range(FAILURES):
            assert (await home.viewer.get("/studies?PatientID=1")).status_code == 502
        await outage.origin.stop()
        labels = {"origin": "pacs", "stage": "first", "outcome": "unreachable"}
        before = home.metric("origin_requests_total", **labels)
        assert (await home.viewer.get(frame_of(0), headers=SINGLE)).status_code == 503
        assert (await home.admin.get("/v1/origins")).json()["pacs"]["resting"]
        assert home.metric("origin_requests_total", **labels) == before


@pytest.mark.parametrize("status", [502, 504])
async def test_frames_that_fail_again_and_again_keep_nobody_from_others(status: int) -> None:
    origin = ScriptedOrigin().with_series(BODIES[: FAILURES + 1])
    good = frame_of(FAILURES)
    origin.script = lambda asked: (
        Reply(status, {}) if "/frames/" in asked.path and asked.path != good else None
    )
    async with house(origin) as home:
        for image in range(FAILURES):
            assert (await home.viewer.get(frame_of(image), headers=SINGLE)).status_code == status
        answer = await home.viewer.get(good, headers=SINGLE)
        assert (answer.status_code, answer.content) == (200, BODIES[FAILURES])
        assert home.metric("origin_up", origin="pacs") == 1


async def test_an_origin_that_refuses_connections_rests_once_it_answers_nothing() -> None:
    origin = ScriptedOrigin().with_series(BODIES[:1])
    async with house(origin) as home:
        await origin.stop()
        said = [(await home.viewer.get(frame_of(0), headers=SINGLE)).status_code for _ in range(FAILURES + 2)]
        assert said == [502] * FAILURES + [503, 503]
        assert (await home.admin.get("/v1/origins")).json()["pacs"]["resting"]


class Doubted:
    """An origin that failed so often that it is doubted, and the questions that it is asked."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.health = Health("pacs", Telemetry(), self.clock)
        self.questions: list[asyncio.Future[bool]] = []
        for _ in range(FAILURES):
            self.health.note(OriginUnreachable("x"))

    async def question(self) -> bool:
        self.questions.append(asyncio.get_running_loop().create_future())
        return await self.questions[-1]

    async def come(self, count: int = 1) -> list[asyncio.Task[None]]:
        """Requests that have to be admitted."""
        tasks = [asyncio.create_task(self.health.admit(self.question)) for _ in range(count)]
        for _ in range(3):
            await asyncio.sleep(0)
        return tasks

    async def rest(self) -> None:
        """It does not answer the question, and rests."""
        [task] = await self.come()
        self.questions[-1].set_result(False)
        assert is_refused(await asyncio.gather(task, return_exceptions=True)) == [REST]


def is_refused(outcomes: Sequence[BaseException | None]) -> list[float | None]:
    """For each request, the seconds for which it is refused; None if it is admitted."""
    return [each.retry_after if isinstance(each, OriginBusy) else None for each in outcomes]


@pytest.fixture
def doubted() -> Doubted:
    return Doubted()


async def test_while_it_is_only_doubted_nobody_else_waits_for_the_question(doubted: Doubted) -> None:
    asking, *others = await doubted.come(3)
    assert (len(doubted.questions), asking.done()) == (1, False)
    assert [task.done() for task in others] == [True, True]
    assert not doubted.health.is_resting
    doubted.questions[0].set_result(True)
    await asking
    assert not doubted.health.is_doubted


async def test_if_another_request_is_answered_it_does_not_rest(doubted: Doubted) -> None:
    [asking] = await doubted.come()
    doubted.health.well()
    doubted.questions[0].set_result(False)
    await asking
    assert not doubted.health.is_resting


async def test_if_it_does_not_answer_it_rests_and_then_is_asked_again(doubted: Doubted) -> None:
    await doubted.rest()
    doubted.clock.now = REST - 1
    assert is_refused(await asyncio.gather(*await doubted.come(2), return_exceptions=True)) == [1, 1]
    doubted.clock.now = REST
    waiting = await doubted.come(3)
    assert (len(doubted.questions), [task.done() for task in waiting]) == (2, [False] * 3)
    doubted.questions[-1].set_result(False)
    assert is_refused(await asyncio.gather(*waiting, return_exceptions=True)) == [REST] * 3


async def test_if_the_request_that_asks_is_cancelled_the_next_one_asks(doubted: Doubted) -> None:
    await doubted.rest()
    doubted.clock.now = REST
    asking, *waiting = await doubted.come(3)
    asking.cancel()
    await doubted.come(0)
    assert (len(doubted.questions), [task.done() for task in waiting]) == (3, [False] * 2)
    doubted.questions[-1].set_result(True)
    assert await asyncio.gather(*waiting) == [None, None]


async def test_failures_of_others_do_not_make_a_rest_longer(doubted: Doubted) -> None:
    await doubted.rest()
    doubted.clock.now = REST
    for _ in range(9):
        doubted.health.note(OriginTimeout("x"))
    [asking] = await doubted.come()
    doubted.health.note(OriginRefused(404))
    assert not doubted.health.is_resting
    doubted.questions[-1].set_result(False)
    await asking


def test_a_question_that_takes_too_long_is_not_answered() -> None:
    doubted = Doubted()

    async def ask() -> float:
        with pytest.raises(OriginBusy):
            await doubted.health.admit(doubted.question)
        return asyncio.get_running_loop().time()

    assert virtual.run(ask()) == LONGEST_QUESTION
