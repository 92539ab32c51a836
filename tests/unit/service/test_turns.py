"""Requests that begin, few at each turn of the loop."""

import asyncio
from functools import partial

import pytest

from proxy.service.turns import Turns

pytestmark = pytest.mark.anyio


async def test_the_first_of_a_turn_begin_at_once_and_the_others_later() -> None:
    turns, begun = Turns(2), list[int]()
    for number in range(5):
        turns.begin(partial(begun.append, number))
    seen = [len(begun)]
    while len(begun) < 5:
        await asyncio.sleep(0)
        seen.append(len(begun))
    assert (begun, seen) == ([0, 1, 2, 3, 4], [2, 4, 5])


async def test_a_newcomer_does_not_overtake() -> None:
    turns, begun = Turns(1), list[int]()
    for number in range(3):
        turns.begin(partial(begun.append, number))
    await asyncio.sleep(0)
    turns.begin(partial(begun.append, 3))
    assert begun == [0, 1]
    while len(begun) < 4:
        await asyncio.sleep(0)
    assert begun == [0, 1, 2, 3]


async def test_each_turn_begins_anew() -> None:
    turns, begun = Turns(1), list[int]()
    for number in range(3):
        turns.begin(partial(begun.append, number))
        assert begun[-1] == number
        await asyncio.sleep(0)
