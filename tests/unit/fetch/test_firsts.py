"""The next first fetch of a viewer is expected before it comes; in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from proxy.fetch.account import FetchSize
from proxy.fetch.demand import Follower, Ranked
from proxy.fetch.firsts import SOON
from proxy.fetch.gate import Gate
from proxy.fetch.turns import Rank, Turn
from proxy.origin.window import LEAST_WINDOW
from proxy.telemetry.telemetry import Telemetry
from tests.simulation import clock as virtual

FIRST = 65536
FIRSTS = Turn.VIEWER_FIRST, Turn.VIEWER_WHOLE, Turn.PLAN_FIRST


class Ranks(Ranked):
    """A fetch that keeps its turn."""

    def __init__(self, turn: Turn) -> None:
        self.persons: dict[bytes, None] = {b"": None}
        self.followers: set[Follower] = set()
        self._turn = turn

    def rank(self, is_first: bool) -> Rank:
        is_done = self._turn in FIRSTS and not is_first
        return Rank(Turn.LEFT_COMPLETION if is_done else self._turn)


class Told:
    """A gate, and when its fetches went out."""

    def __init__(self, telemetry: Telemetry) -> None:
        self.now = asyncio.get_running_loop().time
        self.gate = Gate("pacs", 32, telemetry, clock=self.now)
        self.out: dict[str, float] = {}

    async def fetch(self, name: str, turn: Turn, chunks: list[tuple[float, int]]) -> None:
        """Its bytes come in chunks, each so many seconds after the one before."""
        is_first, size = turn in FIRSTS, sum(chunk for _, chunk in chunks)

        def expected() -> FetchSize:
            return FetchSize(size, 0) if is_first else FetchSize(0, size)

        async with self.gate.seat(Ranks(turn), expected, is_first=is_first) as seat:
            self.out[name] = self.now()
            for pause, chunk in chunks:
                await asyncio.sleep(pause)
                seat.arrived(chunk)


def out(story: Callable[[Told], Awaitable[None]]) -> dict[str, float]:
    """When the fetches of a story went out, in milliseconds."""

    telemetry = Telemetry()

    async def told() -> dict[str, float]:
        gate = Told(telemetry)
        await story(gate)
        return {name: round(1000 * at, 3) for name, at in gate.out.items()}

    return virtual.run(told())


@pytest.mark.parametrize("turn", [Turn.LEFT_COMPLETION, Turn.PLAN_FIRST])
def test_a_viewer_with_a_first_picture_is_expected_to_ask_for_the_next_one(turn: Turn) -> None:
    async def story(told: Told) -> None:
        async with asyncio.TaskGroup() as group:
            for name in ("1", "2"):
                group.create_task(told.fetch(name, Turn.VIEWER_FIRST, [(0.02, FIRST)]))
            await asyncio.sleep(0.005)
            group.create_task(told.fetch("rest", turn, [(0.02, FIRST)]))
            await asyncio.sleep(0.018)  # 3 ms after the first pictures
            for name in ("3", "4"):
                group.create_task(told.fetch(name, Turn.VIEWER_FIRST, [(0.02, FIRST)]))

    assert out(story) == {"1": 0, "2": 0, "3": 23, "4": 23, "rest": 43 + 1000 * SOON}


def test_one_that_does_not_come_is_waited_for_a_moment_only() -> None:
    async def story(told: Told) -> None:
        async with asyncio.TaskGroup() as group:
            for name in ("1", "2"):
                group.create_task(told.fetch(name, Turn.VIEWER_FIRST, [(0.02, FIRST)]))
            await asyncio.sleep(0.005)
            for name in ("rest", "another rest"):
                group.create_task(told.fetch(name, Turn.LEFT_COMPLETION, [(0.02, FIRST // 2)]))

    soon = 20 + 1000 * SOON
    assert out(story) == {"1": 0, "2": 0, "rest": soon, "another rest": soon}


def test_one_first_fetch_leaves_room_for_the_rest_of_its_frame() -> None:
    async def story(told: Told) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(told.fetch("first", Turn.VIEWER_FIRST, [(0.02, FIRST)]))
            await asyncio.sleep(0.005)
            group.create_task(told.fetch("rest", Turn.LEFT_COMPLETION, [(0.02, FIRST)]))

    assert FIRST < LEAST_WINDOW
    assert out(story) == {"first": 0, "rest": 5}


def test_a_running_first_fetch_counts_until_all_of_it_is_in() -> None:
    """Most of both has come, so less than a window is to come. But each viewer goes on with the next one."""

    async def story(told: Told) -> None:
        async with asyncio.TaskGroup() as group:
            for name in ("1", "2"):
                chunks = [(0.01, FIRST - 1000), (0.01, 1000)]
                group.create_task(told.fetch(name, Turn.VIEWER_FIRST, chunks))
            await asyncio.sleep(0.015)
            group.create_task(told.fetch("rest", Turn.LEFT_COMPLETION, [(0.01, FIRST)]))

    assert out(story) == {"1": 0, "2": 0, "rest": 20 + 1000 * SOON}


@pytest.mark.parametrize("turn", [Turn.VIEWER_WHOLE, Turn.VIEWER_COMPLETION])
def test_a_fetch_for_which_a_viewer_waits_expects_no_first_fetch(turn: Turn) -> None:
    async def story(told: Told) -> None:
        async with asyncio.TaskGroup() as group:
            for name in ("1", "2"):
                group.create_task(told.fetch(name, Turn.VIEWER_FIRST, [(0.02, FIRST)]))
            await asyncio.sleep(0.021)
            group.create_task(told.fetch("now", turn, [(0.01, FIRST)]))

    assert out(story) == {"1": 0, "2": 0, "now": 21}
