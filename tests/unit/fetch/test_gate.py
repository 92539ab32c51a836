"""Whose turn it is: stories of fetches that stand at barriers of the story, in virtual time."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from proxy.fetch.account import FetchSize
from proxy.fetch.demand import Follower
from proxy.fetch.gate import UNREAD, Gate, Seat
from proxy.fetch.turns import Rank, Turn
from proxy.origin.window import LEAST_WINDOW, MOST_WINDOW
from proxy.telemetry.telemetry import Telemetry
from tests.simulation import clock as virtual

pytestmark = pytest.mark.anyio

FIRST, WHOLE, COMPLETION = Turn.VIEWER_FIRST, Turn.VIEWER_WHOLE, Turn.VIEWER_COMPLETION
AFTER_FIRST = {
    Turn.VIEWER_FIRST: Turn.VIEWER_COMPLETION,
    Turn.VIEWER_WHOLE: Turn.VIEWER_COMPLETION,
    Turn.PLAN_FIRST: Turn.PLAN_COMPLETION,
}
FIRSTS = AFTER_FIRST.keys()
LARGE = UNREAD + 1
"""Bytes of a completion that is held back."""
STORY = 240
"""Seconds after which a story that hangs fails."""


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "asyncio", {"loop_factory": virtual.VirtualLoop}


class Ranks:
    """Of a fetch, before and after its first bytes."""

    def __init__(self, rank: Rank) -> None:
        self.followers: set[Follower] = set()
        self.persons: dict[bytes, None] = {b"": None}
        self.now = rank
        self.asked = 0

    def rank(self, is_first: bool) -> Rank:
        self.asked += 1
        turn = self.now.turn
        return self.now if is_first else self.now._replace(turn=AFTER_FIRST.get(turn, turn))

    def change(self, rank: Rank) -> None:
        self.now = rank
        for follower in tuple(self.followers):
            follower.move()


class Fetch:
    """A fetch that holds its seat until the story ends it."""

    def __init__(self, gate: Gate, turn: Turn, size: int) -> None:
        self.seat: Seat | None = None
        self.ranks = Ranks(Rank(turn))
        self.size = size
        self._gate = gate
        self._end = asyncio.Event()
        self.begun = asyncio.Event()
        self.task = asyncio.ensure_future(self._run(is_first=turn in FIRSTS))

    async def _run(self, *, is_first: bool) -> None:
        def size() -> FetchSize:
            return FetchSize(self.size, 0) if is_first else FetchSize(0, self.size)

        async with self._gate.seat(self.ranks, size, is_first=is_first) as self.seat:
            self.begun.set()
            await self._end.wait()

    @property
    def is_running(self) -> bool:
        return self.seat is not None and not self.task.done()

    def begin(self, size: int) -> None:
        assert self.seat is not None
        self.size = size
        self.seat.begun()

    def arrive(self, size: int) -> None:
        assert self.seat is not None
        self.seat.arrived(size)

    async def end(self) -> None:
        self._end.set()
        await self.task
        await settle()

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])
        await settle()


class Story:
    """A gate and the fetches that came to it; all of them end with it, and then nothing is left over."""

    def __init__(self, gate: Gate, telemetry: Telemetry) -> None:
        self.gate = gate
        self.telemetry = telemetry
        self.fetches: list[Fetch] = []

    async def come(self, turn: Turn, size: int = 1, count: int = 1) -> list[Fetch]:
        fetches = [Fetch(self.gate, turn, size) for _ in range(count)]
        self.fetches += fetches
        await settle()
        return fetches

    async def one(self, turn: Turn, size: int = 1) -> Fetch:
        [fetch] = await self.come(turn, size)
        return fetch

    def waited(self, turn: Turn) -> float | None:
        labels = {"origin": "pacs", "stage": "first" if turn in FIRSTS else "completion"}
        return self.telemetry.metrics.registry.get_sample_value(
            "progressive_proxy_gate_wait_seconds_count", labels
        )


async def gate_of(seats: int) -> Gate:
    return Gate("pacs", seats, await asyncio.to_thread(Telemetry), clock=asyncio.get_running_loop().time)


async def settle() -> None:
    """Until everything that can go on without the story has gone on."""
    for _ in range(10):
        await asyncio.sleep(0)


@asynccontextmanager
async def story(seats: int) -> AsyncIterator[Story]:
    telemetry = await asyncio.to_thread(Telemetry)  # a limit would be over while the thread works
    async with asyncio.timeout(STORY):
        gate = Gate("pacs", seats, telemetry, clock=asyncio.get_running_loop().time)
        told = Story(gate, telemetry)
        yield told
        for fetch in told.fetches:
            fetch.task.cancel()
        await settle()
        is_at_rest(told.gate, seats)


def is_at_rest(gate: Gate, seats: int) -> None:
    assert [gate.account.of(turn) for turn in Turn] == [0] * len(Turn)
    assert gate._free == seats
    assert not gate.running


def running(fetches: list[Fetch]) -> list[bool]:
    return [fetch.is_running for fetch in fetches]


async def test_a_fetch_runs_at_once_where_there_is_room() -> None:
    async with story(seats=4) as told:
        assert (await told.one(FIRST)).is_running
        assert (await told.one(COMPLETION)).is_running
        assert (told.waited(FIRST), told.waited(COMPLETION)) == (1, 1)


async def test_first_fetches_go_before_completions_that_came_earlier() -> None:
    async with story(seats=4) as told:
        busy = await told.come(FIRST, count=4)
        completion = await told.one(COMPLETION)
        late = await told.come(FIRST, count=2)
        assert running([completion, *late]) == [False, False, False]
        await busy[0].end()
        assert running([completion, *late]) == [False, True, False]
        await busy[1].end()
        assert running([completion, *late]) == [False, True, True]
        await busy[2].end()
        assert not completion.is_running  # the last seat is kept
        await busy[3].end()
        assert completion.is_running


async def test_fetches_of_one_kind_go_in_the_order_in_which_they_came() -> None:
    async with story(seats=4) as told:
        busy = await told.come(FIRST, count=4)
        waiting = await told.come(FIRST, count=3)
        for count, fetch in enumerate(busy[:3], start=1):
            await fetch.end()
            assert running(waiting) == [True] * count + [False] * (3 - count)


@pytest.mark.parametrize(("seats", "kept"), [(2, 1), (4, 1), (7, 1), (8, 2), (32, 8)])
async def test_completions_never_take_the_seats_kept_for_first_fetches(seats: int, kept: int) -> None:
    async with story(seats) as told:
        completions = await told.come(COMPLETION, count=seats + 3)
        assert sum(running(completions)) == seats - kept
        firsts = await told.come(FIRST, count=kept + 1)
        assert running(firsts) == [True] * kept + [False]
        await firsts[0].end()
        assert running(firsts)[1:] == [True] * kept
        await firsts[1].end()
        assert sum(running(completions)) == seats - kept


async def test_a_completion_waits_until_less_than_a_window_is_to_come() -> None:
    async with story(seats=8) as told:
        large = await told.one(COMPLETION, 3 * LEAST_WINDOW)
        second, third = await told.come(COMPLETION, 1000, count=2)
        assert running([large, second, third]) == [True, False, False]
        large.arrive(2 * LEAST_WINDOW)
        await settle()
        assert running([second, third]) == [False, False]  # a window, not less, is to come
        large.arrive(1)
        await settle()
        assert running([second, third]) == [True, False]
        large.arrive(1000)
        await settle()
        assert running([second, third]) == [True, True]
        assert told.gate.account.total == LEAST_WINDOW - 1001 + 2000


async def test_bytes_that_make_no_room_cost_those_who_wait_nothing() -> None:
    """A series has thousands of completions waiting, and a slow line brings a byte or two at a time."""
    async with story(seats=8) as told:
        large = await told.one(COMPLETION, 3 * LEAST_WINDOW)
        waiting = await told.come(COMPLETION, 1000, count=100)
        before = [fetch.ranks.asked for fetch in waiting]
        for _ in range(2000):
            large.arrive(LEAST_WINDOW // 1000)
        assert [fetch.ranks.asked for fetch in waiting] == before
        large.arrive(LEAST_WINDOW)
        await settle()
        assert running(waiting)[0]


async def test_first_fetches_do_not_wait_for_what_is_to_come() -> None:
    async with story(seats=8) as told:
        await told.one(COMPLETION, MOST_WINDOW)
        assert (await told.one(FIRST, LEAST_WINDOW)).is_running


async def test_what_is_to_come_follows_what_the_origin_announces() -> None:
    async with story(seats=8) as told:
        fetch = await told.one(COMPLETION, 65536)
        assert told.gate.account.total == 65536
        fetch.begin(500_000)
        assert told.gate.account.total == 500_000
        fetch.arrive(100_000)
        assert told.gate.account.total == 400_000
        fetch.arrive(1_000_000)  # more than was announced
        assert told.gate.account.total == 0
        waiting = await told.one(COMPLETION, 10)
        assert waiting.is_running
        await fetch.end()
        assert told.gate.account.total == 10


async def test_a_fetch_that_ends_early_leaves_nothing_to_come() -> None:
    async with story(seats=8) as told:
        large = await told.one(COMPLETION, 3 * LEAST_WINDOW)
        waiting = await told.one(COMPLETION)
        await large.end()
        assert waiting.is_running


async def test_whoever_leaves_while_waiting_gives_its_turn_on() -> None:
    async with story(seats=2) as told:
        busy = await told.come(FIRST, count=2)
        one, other, last = await told.come(FIRST, count=3)
        await one.leave()
        await last.leave()
        await busy[0].end()
        assert other.is_running
        await busy[1].end()
        assert (await told.one(FIRST)).is_running


async def test_whoever_leaves_in_the_moment_of_being_called_gives_its_turn_on() -> None:
    async with story(seats=2) as told:
        busy = await told.come(FIRST, count=2)
        one, other = await told.come(FIRST, count=2)
        one.task.cancel()  # before it could go on with the seat that the next line gives
        await busy[0].end()
        assert one.task.cancelled()
        assert other.is_running


async def test_whoever_was_called_and_cancelled_before_it_went_on_gives_its_turn_on() -> None:
    async with story(seats=4) as told:
        large = await told.one(COMPLETION, 3 * LEAST_WINDOW)
        one, other = await told.come(COMPLETION, LEAST_WINDOW, count=2)
        large.arrive(3 * LEAST_WINDOW)  # calls `one`, in this very step
        one.task.cancel()
        await settle()
        assert one.task.cancelled()
        assert other.is_running
        assert told.gate.account.total == LEAST_WINDOW


async def test_whoever_leaves_while_running_frees_its_seat() -> None:
    async with story(seats=2) as told:
        busy = await told.come(FIRST, 5000, count=2)
        waiting = await told.one(FIRST)
        await busy[0].leave()
        assert waiting.is_running
        assert told.gate.account.total == 5001


async def test_nothing_starves() -> None:
    async with story(seats=8) as told:
        await told.one(COMPLETION, MOST_WINDOW)  # of which nothing arrives
        waiting = await told.come(COMPLETION, count=2)
        held = told.fetches[0].seat
        assert held is not None
        first = await told.one(FIRST)
        reading = asyncio.ensure_future(held.let_first_pass())
        await settle()
        assert not reading.done()
        assert running(waiting) == [False, False]
        await reading  # a chunk of the large one is read all the same
        await waiting[0].begun.wait()
        assert first.is_running


async def test_each_time_the_alarm_rings_one_completion_is_let_go() -> None:
    async with story(seats=8) as told:
        await told.one(COMPLETION, MOST_WINDOW)
        waiting = await told.come(COMPLETION, count=3)
        for count in (1, 2, 3):
            told.gate._let_one_go()
            await settle()
            assert running(waiting) == [True] * count + [False] * (3 - count)
        told.gate._let_one_go()  # with nobody waiting it rings no more
        assert told.gate._alarm is None


async def test_a_plans_fetch_is_let_go_only_if_none_of_its_turn_went_out_for_a_while() -> None:
    async with story(seats=8) as told:
        now, plan = 1000.0, Turn.PLAN_COMPLETION
        told.gate.clock = lambda: now
        await told.one(COMPLETION, MOST_WINDOW)
        waiting = await told.come(plan, count=3)
        for later, count in ((0.0, 1), (told.gate.patience / 2, 1), (told.gate.patience / 2, 2)):
            now += later
            told.gate._let_one_go()
            await settle()
            assert running(waiting) == [True] * count + [False] * (3 - count)


async def test_no_completion_is_let_go_where_there_is_no_seat() -> None:
    async with story(seats=2) as told:
        await told.come(FIRST, count=2)
        waiting = await told.one(COMPLETION)
        told.gate._let_one_go()
        await settle()
        assert not waiting.is_running
        assert told.gate._alarm is not None  # it rings again


async def test_whoever_has_left_is_not_the_one_that_is_let_go() -> None:
    async with story(seats=8) as told:
        await told.one(COMPLETION, MOST_WINDOW)
        gone, waiting = await told.come(COMPLETION, count=2)
        await gone.leave()
        told.gate._let_one_go()
        await settle()
        assert waiting.is_running


async def test_completions_that_are_let_go_leave_the_kept_seats_free() -> None:
    async with story(seats=4) as told:
        await told.come(COMPLETION, count=5)
        told.gate._let_one_go()
        await settle()
        assert (await told.one(FIRST)).is_running


async def test_a_large_completion_that_runs_lets_first_fetches_pass() -> None:
    async with story(seats=8) as told:
        large = await told.one(COMPLETION, LARGE)
        assert large.seat is not None
        await large.seat.let_first_pass()  # with nobody to wait for
        firsts = await told.come(FIRST, count=2)
        reading = asyncio.ensure_future(large.seat.let_first_pass())
        await settle()
        assert not reading.done()
        await firsts[0].end()
        assert not reading.done()
        assert firsts[1].seat is not None
        firsts[1].seat.end_first()  # its first bytes are in, though it goes on
        await settle()
        assert reading.done()


async def test_first_fetches_that_wait_for_a_seat_are_let_pass_too() -> None:
    async with story(seats=2) as told:
        large = await told.one(COMPLETION, LARGE)
        busy = await told.one(FIRST)
        queued = await told.one(FIRST)
        assert large.seat is not None
        reading = asyncio.ensure_future(large.seat.let_first_pass())
        await busy.end()
        assert queued.is_running
        assert not reading.done()
        await queued.leave()
        assert reading.done()


async def test_a_first_fetch_that_waits_for_room_holds_back_nothing() -> None:
    """Otherwise each waits for the other, and the line is idle."""
    async with story(seats=8) as told:
        large = await told.one(COMPLETION, LARGE)
        short = await told.one(WHOLE, LEAST_WINDOW)
        assert short.seat is not None
        short.seat.end_first()
        short.ranks.change(Rank(WHOLE))  # the short rest of a frame that is wanted whole
        waiting = await told.one(WHOLE)
        assert running([large, short, waiting]) == [True, True, True]  # a completion now, so there is room
        assert large.seat is not None
        reading = asyncio.ensure_future(large.seat.let_first_pass())
        await settle()
        assert not reading.done()  # it runs, so it goes before
        await waiting.end()
        assert reading.done()


async def test_first_bytes_of_whole_frames_wait_for_first_bytes_and_not_for_rests() -> None:
    async with story(seats=8) as told:
        frames = await told.come(WHOLE, 0, count=2)
        for frame in frames:
            await frame.end()
        ranks = Ranks(Rank(WHOLE))
        async with told.gate.seat(ranks, lambda: FetchSize(LEAST_WINDOW - 1, MOST_WINDOW), is_first=True):
            assert told.gate.account.of(WHOLE) == LEAST_WINDOW - 1
            assert told.gate.account.of(COMPLETION) == MOST_WINDOW
            assert (await told.one(WHOLE, 1)).is_running
            assert not (await told.one(WHOLE, 1)).is_running


async def test_a_first_fetch_whose_origin_is_silent_holds_back_nothing() -> None:
    telemetry = await asyncio.to_thread(Telemetry)
    now = [0.0]
    gate = Gate("pacs", 8, telemetry, clock=lambda: now[0])
    async with asyncio.timeout(STORY):
        large, first = Fetch(gate, COMPLETION, LARGE), Fetch(gate, FIRST, LARGE)
        await settle()
        assert large.seat is not None
        for heard, is_held in ((0.04, True), (0.06, False)):
            now[0] = heard
            reading = asyncio.ensure_future(large.seat.let_first_pass())
            await settle()
            assert reading.done() is not is_held
            reading.cancel()
        first.arrive(1)  # it is heard of again
        reading = asyncio.ensure_future(large.seat.let_first_pass())
        await settle()
        assert not reading.done()
        await first.end()
        assert reading.done()
        await large.end()


async def test_who_waits_is_not_ranked_again_when_others_come_and_go() -> None:
    async with story(seats=8) as told:
        await told.one(COMPLETION, MOST_WINDOW)
        waiting = await told.come(COMPLETION, count=1000)
        asked = [fetch.ranks.asked for fetch in waiting]
        for _ in range(20):
            await (await told.one(FIRST)).end()
        assert [fetch.ranks.asked for fetch in waiting] == asked


async def test_what_is_nearly_read_and_what_is_first_waits_for_nobody() -> None:
    async with story(seats=8) as told:
        small = await told.one(COMPLETION, UNREAD)
        first = await told.one(FIRST, MOST_WINDOW)
        for fetch in (small, first):
            assert fetch.seat is not None
            reading = asyncio.ensure_future(fetch.seat.let_first_pass())
            await settle()
            assert reading.done()


async def test_after_its_first_bytes_a_fetch_is_a_completion() -> None:
    async with story(seats=8) as told:
        one, other = await told.come(FIRST, LARGE, count=2)
        assert one.seat is not None
        one.seat.end_first()
        one.seat.end_first()  # counted once
        reading = asyncio.ensure_future(one.seat.let_first_pass())
        await settle()
        assert not reading.done()
        await other.end()
        assert reading.done()


async def test_a_fetch_that_fails_leaves_nothing_behind() -> None:
    gate = await gate_of(3)
    for turn in Turn:
        with pytest.raises(ZeroDivisionError):
            async with gate.seat(Ranks(Rank(turn)), lambda: FetchSize(100, 0), is_first=turn in FIRSTS):
                raise ZeroDivisionError
        is_at_rest(gate, 3)


@pytest.mark.parametrize("seed", range(12))
async def test_whoever_comes_and_leaves_in_the_end_all_seats_are_back(seed: int) -> None:
    chance = random.Random(seed)
    seats = chance.choice((3, 4, 8, 32))
    gate = await gate_of(seats)
    inside: dict[Turn, int] = dict.fromkeys(Turn, 0)

    async def fetch(turn: Turn, size: int) -> None:
        async with gate.seat(Ranks(Rank(turn)), lambda: FetchSize(0, size), is_first=turn in FIRSTS) as seat:
            inside[turn] += 1
            try:
                assert sum(inside.values()) <= seats
                assert sum(inside.values()) - inside[FIRST] - inside[WHOLE] <= seats - max(1, seats // 4)
                size = chance.choice((size, size // 2, 2 * size))
                seat.begun()
                while size > 0 and chance.random() > 0.02:
                    piece = chance.randrange(1, 65536)
                    await asyncio.sleep(0)
                    seat.arrived(piece)
                    size -= piece
                    if chance.random() < 0.3:
                        seat.end_first()
            finally:
                inside[turn] -= 1

    tasks: list[asyncio.Task[None]] = []
    async with asyncio.timeout(STORY):
        for _ in range(200):
            turn = chance.choice(tuple(Turn))
            tasks.append(asyncio.ensure_future(fetch(turn, chance.randrange(1, 400_000))))
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            if chance.random() < 0.4:
                chance.choice(tasks).cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(result) for result in results} <= {type(None), asyncio.CancelledError}
    is_at_rest(gate, seats)
    assert not len(gate.waiting)


async def test_viewers_go_before_plans_and_first_fetches_before_completions() -> None:
    async with story(seats=32) as told:
        large = await told.one(COMPLETION, 3 * LEAST_WINDOW)
        turns = [Turn.PLAN_COMPLETION, Turn.PLAN_FIRST, Turn.LEFT_COMPLETION, Turn.VIEWER_COMPLETION]
        waiting = [await told.one(turn, LEAST_WINDOW) for turn in turns]
        assert (await told.one(Turn.VIEWER_FIRST)).is_running
        large.arrive(3 * LEAST_WINDOW)
        for fetch in reversed(waiting):
            await settle()
            assert fetch.is_running
            assert sum(running(waiting)) == len(waiting) - waiting.index(fetch)
            fetch.arrive(LEAST_WINDOW)


async def test_whoever_waits_for_a_whole_frame_waits_only_for_others_who_do() -> None:
    async with story(seats=32) as told:
        await told.one(COMPLETION, 3 * LEAST_WINDOW)
        await told.one(FIRST, 3 * LEAST_WINDOW)
        running_one = await told.one(WHOLE, LEAST_WINDOW)
        waiting = await told.one(WHOLE, LEAST_WINDOW)
        assert running([running_one, waiting]) == [True, False]
        assert (await told.one(FIRST, LEAST_WINDOW)).is_running
        running_one.arrive(1)
        await settle()
        assert waiting.is_running


async def test_within_a_turn_the_plan_the_request_type_and_the_priority_decide() -> None:
    async with story(seats=32) as told:
        large = await told.one(COMPLETION, 3 * LEAST_WINDOW)
        ranks = [(1, 0, 0), (0, 2, 5), (0, 1, 7), (0, 1, 5), (0, 0, 9)]
        waiting = []
        for plan, request_type, priority in ranks:
            fetch = await told.one(Turn.PLAN_FIRST, LEAST_WINDOW)
            fetch.ranks.change(Rank(Turn.PLAN_FIRST, plan, request_type, priority))
            waiting.append(fetch)
        large.arrive(3 * LEAST_WINDOW)
        for fetch in reversed(waiting):
            await settle()
            assert fetch.is_running
            fetch.arrive(LEAST_WINDOW)


async def test_a_viewer_who_asks_for_what_is_queued_lifts_it() -> None:
    async with story(seats=8) as told:
        await told.one(COMPLETION, 3 * LEAST_WINDOW)
        ahead, lifted = await told.come(Turn.PLAN_FIRST, count=2)
        lifted.ranks.change(Rank(Turn.VIEWER_FIRST))
        await settle()
        assert running([ahead, lifted]) == [False, True]


def test_in_no_second_more_begin_than_the_origin_takes_and_first_fetches_go_first() -> None:
    telemetry = Telemetry()

    async def told() -> list[tuple[float, Turn]]:
        clock = asyncio.get_running_loop().time
        gate, begun = Gate("pacs", 32, telemetry, per_second=5, clock=clock), list[tuple[float, Turn]]()

        async def fetch(turn: Turn) -> None:
            async with gate.seat(Ranks(Rank(turn)), lambda: FetchSize(10, 0), is_first=turn in FIRSTS):
                begun.append((clock(), turn))

        async with asyncio.TaskGroup() as group:
            for turn in [COMPLETION] * 8 + [FIRST] * 4:
                group.create_task(fetch(turn))
        return begun

    begun = virtual.run(told())
    times = [at for at, _ in begun]
    assert times == pytest.approx([0.0] * 5 + [1.0] * 5 + [2.0] * 2)
    assert [turn for _, turn in begun[5:9]] == [FIRST] * 4
