"""Places that callers share: who gets the next one, and how many one caller may hold."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from proxy.fetch.places import Places

pytestmark = pytest.mark.anyio


class Story:
    """Requests that hold their places until the story ends them. Callers have names of one letter."""

    def __init__(self, number: int, most_each: int) -> None:
        self.places = Places(number, most_each)
        self.got = ""
        self.running: list[tuple[str, asyncio.Event]] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def come(self, callers: str) -> None:
        for caller in callers:
            self.tasks.append(asyncio.create_task(self._run(caller)))
            await settle()

    async def _run(self, caller: str) -> None:
        async with self.places.place(caller.encode()):
            self.got += caller
            self.running.append((caller, asyncio.Event()))
            await self.running[-1][1].wait()

    async def end(self, caller: str) -> None:
        """The oldest request of a caller ends."""
        found = next(each for each in self.running if each[0] == caller)
        self.running.remove(found)
        found[1].set()
        await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@asynccontextmanager
async def story(number: int, most_each: int) -> AsyncIterator[Story]:
    told = Story(number, most_each)
    yield told
    for task in told.tasks:
        task.cancel()
    await asyncio.gather(*told.tasks, return_exceptions=True)
    assert (told.places._free, dict(told.places._held), told.places._waiting) == (number, {}, {})


@pytest.mark.parametrize(
    ("came", "ends", "got"),
    [
        pytest.param("aaaa", "", "aaa", id="one caller does not get them all"),
        pytest.param("aaaabc", "", "aaab", id="a place is left for others"),
        pytest.param("aaaab", "a", "aaaba", id="the next of one caller, once it may"),
        pytest.param("aaabbbbc", "a", "aaabb", id="who waits first goes first"),
        pytest.param("aaabbbbc", "ab", "aaabbc", id="in rotation"),
        pytest.param("aaabbbbaaac", "aaabbc", "aaabbacbab", id="in rotation, until none waits"),
        pytest.param("aaaab", "b", "aaab", id="one that holds its share waits on"),
    ],
)
async def test_callers_get_places_in_rotation(came: str, ends: str, got: str) -> None:
    async with story(4, 3) as told:
        await told.come(came)
        for caller in ends:
            await told.end(caller)
        assert "".join(told.got) == got


async def test_who_leaves_while_waiting_gives_its_place_on() -> None:
    async with story(1, 1) as told:
        await told.come("abc")
        told.tasks[1].cancel()
        await told.end("a")
        assert told.got == "ac"


async def test_who_leaves_in_the_moment_of_being_called_gives_its_place_on() -> None:
    async with story(1, 1) as told:
        await told.come("abc")
        told.running[0][1].set()
        told.tasks[0].add_done_callback(lambda _: told.tasks[1].cancel())
        await settle()
        assert told.got[-1] == "c"
