"""All responses together write a bounded number of bytes in each turn of the event loop."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.types import Message

from proxy.viewers.writes import A_TURN, A_WRITE, SMALL, Writes

pytestmark = pytest.mark.anyio


class Loop:
    """Notes how many bytes are written in each turn, and by whom."""

    def __init__(self) -> None:
        self.turn = 0
        self.by_turn = Counter[int]()
        self.written: list[tuple[int, bytes]] = []

    async def send(self, who: int, message: Message) -> None:
        self.by_turn[self.turn] += len(message.get("body", b""))
        self.written.append((who, message.get("body", b"")))

    async def count(self) -> None:
        while True:
            self.turn += 1
            await asyncio.sleep(0)


@asynccontextmanager
async def counted() -> AsyncIterator[Loop]:
    loop = Loop()
    counting = asyncio.create_task(loop.count())
    yield loop
    counting.cancel()


async def respond(loop: Loop, writes: Writes, who: int, sizes: list[int]) -> None:
    async def send(message: Message) -> None:
        await loop.send(who, message)

    shared = writes.shared(send)
    await shared({"type": "http.response.start", "status": 200})
    for number, size in enumerate(sizes):
        await shared({"type": "http.response.body", "body": bytes([number]) * size})


SIZES = {
    "large": [A_WRITE] * 10,
    "medium": [A_WRITE // 3] * 30,
    "small pieces of a large one": [SMALL // 2] * 60,
}


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("number", [1, 40])
async def test_a_turn_is_bounded_and_each_gets_all_of_its_bytes(number: int, sizes: list[int]) -> None:
    writes = Writes()
    async with counted() as loop:
        await asyncio.gather(*(respond(loop, writes, who, sizes) for who in range(number)))
    for who in range(number):
        parts = [body for each, body in loop.written if each == who and body]
        assert [(part[0], len(part)) for part in parts] == list(enumerate(sizes))
    # One write may go over the end of a turn, and each response may write a little for free.
    assert max(loop.by_turn.values()) <= A_TURN + A_WRITE + number * SMALL


async def test_responses_take_turns_in_the_order_in_which_they_came() -> None:
    writes = Writes(A_WRITE)
    async with counted() as loop:
        await asyncio.gather(*(respond(loop, writes, who, [A_WRITE] * 3) for who in range(4)))
    order = [who for who, body in loop.written if body]
    # The first to come finds its turn unused, and is also the first to wait.
    assert order == [0, *[0, 1, 2, 3] * 2, 1, 2, 3]


async def test_small_responses_wait_for_nobody() -> None:
    writes = Writes(A_WRITE)
    async with counted() as loop:
        large = asyncio.gather(*(respond(loop, writes, who, [A_WRITE] * 50) for who in range(20)))
        await asyncio.sleep(0)
        before = loop.turn
        await respond(loop, writes, 99, [1000] * 3)
        assert loop.turn == before
        await large


async def test_one_that_leaves_while_it_waits_holds_up_nobody() -> None:
    writes = Writes(A_WRITE)
    async with counted() as loop:
        tasks = [asyncio.create_task(respond(loop, writes, who, [A_WRITE] * 5)) for who in range(10)]
        for _ in range(3):
            await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
    assert [each is None for each in done] == [False, True] * 5


async def test_those_who_wait_go_before_those_who_come_later() -> None:
    writes = Writes(A_WRITE)
    async with counted() as loop:
        first = asyncio.gather(*(respond(loop, writes, who, [A_WRITE] * 2) for who in range(4)))
        newcomers: list[asyncio.Task[None]] = []
        while not first.done() and len(newcomers) < 50:
            newcomers.append(asyncio.create_task(respond(loop, writes, 9, [A_WRITE])))
            await asyncio.sleep(0)
        await asyncio.gather(*newcomers)
        await first
    order = [who for who, body in loop.written if body]
    assert order[:4] == [0, 0, 1, 2]
    assert order.index(9) > order.index(3)
