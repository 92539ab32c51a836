"""Several callers at one origin: each gets its share, and none waits until another has had everything."""

import asyncio
from typing import Any

import pytest

from tests.guarded_origin import OTHER_STUDY, SERIES, SINGLE, Guarded, GuardedOrigin, guarded, who_asks
from tests.scripted_origin import Asked, Reply, codestream, frame_of, honest

pytestmark = pytest.mark.anyio

FIRST, PROBE = "bytes=0-65535", "bytes=0-4095"
SEATS = 4
MANY = 12
BODIES = [codestream(30_000 + number, number) for number in range(MANY)]


class Standing(GuardedOrigin):
    """An origin for some callers that lets each request for a frame wait until it may `go`."""

    def __init__(self, *readers: str) -> None:
        super().__init__(*readers, bodies=BODIES)
        self.with_series(BODIES, OTHER_STUDY)
        self.standing: list[asyncio.Event] = []
        self.then = self._stand

    @property
    def fetched(self) -> list[Asked]:
        """The requests for frames, in order."""
        return [asked for asked in self.frame_requests if asked.range != PROBE]

    def _stand(self, asked: Asked) -> Reply | None:
        body = self.frames.get(asked.path)
        if body is None or asked.range == PROBE:
            return None
        self.standing.append(asyncio.Event())
        return honest(body, asked, before=(self.standing[-1],))

    async def let_go(self, *tasks: asyncio.Future[Any]) -> None:
        """Answers all requests, those to come too, until the tasks are done."""
        while not all(task.done() for task in tasks):
            for event in self.standing:
                event.set()
            await asyncio.sleep(0.001)


SEVERAL = {"profile": "sequential", "origin": {"limits": {"in_flight": SEATS}}}


async def first(at: Guarded, who: str, path: str) -> int:
    """A caller asks for the first bytes of a frame. Returns the status."""
    headers = SINGLE | {"authorization": f"Bearer {who}", "range": FIRST}
    return (await at.home.viewer.get(path, headers=headers)).status_code


WHICH = pytest.mark.parametrize(
    "series", [SERIES, OTHER_STUDY], ids=["a frame of the other's", "another frame"]
)


@WHICH
async def test_a_caller_whose_frames_all_hang_leaves_a_seat_to_others(series: str) -> None:
    origin, wanted = Standing("a", "b"), frame_of(MANY - 1, series)
    async with guarded(origin, **SEVERAL) as at:
        waiting = at.home.app.suppliers["pacs"].gate.waiting
        many = [asyncio.create_task(first(at, "a", frame_of(number))) for number in range(MANY)]
        await at.home.until(lambda: (len(origin.standing), len(waiting)) == (SEATS - 1, MANY - SEATS + 1))
        one = asyncio.create_task(first(at, "b", wanted))
        await at.home.until(lambda: len(origin.standing) == SEATS)
        assert origin.fetched[-1].path == wanted
        await origin.let_go(one, *many)
        assert [task.result() for task in (one, *many)] == [206] * (MANY + 1)


async def test_callers_without_credentials_may_have_all_seats() -> None:
    origin = Standing("")
    async with guarded(origin, **SEVERAL, access="shared") as at:
        paths = [frame_of(number) for number in range(MANY)]
        headers = SINGLE | {"range": FIRST}
        many = [asyncio.create_task(at.home.viewer.get(path, headers=headers)) for path in paths]
        await at.home.until(lambda: len(origin.standing) == SEATS)
        await origin.let_go(*many)


@WHICH
async def test_who_asks_for_one_frame_does_not_wait_for_a_caller_who_asked_for_many(series: str) -> None:
    origin, wanted = Standing("a", "b", "c"), frame_of(MANY - 1, series)
    async with guarded(origin, **SEVERAL) as at:
        waiting = at.home.app.suppliers["pacs"].gate.waiting
        many = [asyncio.create_task(first(at, "a", frame_of(number))) for number in range(MANY)]
        await at.home.until(lambda: len(origin.standing) == SEATS - 1)
        many.append(asyncio.create_task(first(at, "c", frame_of(0, OTHER_STUDY))))
        await at.home.until(lambda: (len(origin.standing), len(waiting)) == (SEATS, MANY - SEATS + 1))
        one = asyncio.create_task(first(at, "b", wanted))
        await at.home.until(lambda: len(waiting._by_person) == 2)
        for number in range(
            4
        ):  # a frame of the other's takes a probe, then three of the other's, then itself
            origin.standing[number].set()
            await at.home.until(lambda: len(origin.standing) > SEATS + number)  # noqa: B023  # awaited here
        assert wanted in [asked.path for asked in origin.fetched[SEATS:]]
        await origin.let_go(one, *many)
        assert [task.result() for task in (one, *many)] == [206] * (MANY + 2)


async def test_plans_of_two_callers_take_turns() -> None:
    origin = Standing("a", "b")
    async with guarded(origin, **SEVERAL) as at:
        waiting = at.home.app.suppliers["pacs"].gate.waiting
        for who, series in (("a", SERIES), ("b", OTHER_STUDY)):
            proof = {"authorization": f"Bearer {who}"}
            assert (await at.home.ask_plan(series=series, headers=proof)).status_code == 202
        await at.home.until(lambda: len(origin.standing) + len(waiting) == 2 * MANY)
        await origin.let_go(asyncio.ensure_future(at.home.until_idle()))
        firsts = [who_asks(asked) for asked in origin.fetched if asked.range == FIRST]
        assert "".join(firsts).strip("a").startswith("bababa")
