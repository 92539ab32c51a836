"""The least rate of a body, in virtual time."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from proxy.errors import OriginStalled
from proxy.origin.bodies import Bodies, LeastRate
from proxy.telemetry.telemetry import Telemetry
from tests.simulation import clock as virtual

LEAST = LeastRate(1000, 30.0)
Chunks = list[tuple[float, int]]
"""For each chunk, the seconds until it comes, and its bytes."""


class Dripping(httpx.AsyncByteStream):
    """A body whose chunks come at their times. The time runs only while it is read."""

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for pause, size in self._chunks:
            await asyncio.sleep(pause)
            yield bytes(size)


def read(chunks: Chunks, *, held: float = 0.0, stage: str = "completion") -> tuple[int, float]:
    """Reads a body, and holds back for some seconds after each chunk.

    Returns its bytes, less than 0 if it was given up, and when it ended.
    """
    bodies = Bodies("pacs", 1 << 30, LEAST, Telemetry())

    async def reading() -> tuple[int, float]:
        size = 0
        try:
            async for chunk in bodies.arriving(httpx.Response(200, stream=Dripping(chunks)), stage):
                size += len(chunk)
                await asyncio.sleep(held)
        except OriginStalled:
            return -size, asyncio.get_running_loop().time()
        return size, asyncio.get_running_loop().time()

    return virtual.run(reading())


@pytest.mark.parametrize(
    ("chunks", "size"),
    [
        pytest.param([(1, 1000)] * 100, 100_000, id="at the least rate"),
        pytest.param([(1, 999)] * 100, -29_970, id="below it"),
        pytest.param([(1, 1)] * 100, -30, id="a byte a second"),
        pytest.param([(0, 1_000_000)] + [(1, 1)] * 100, -1_000_060, id="fast at first"),
        pytest.param([(10, 20_000)] * 10, 200_000, id="in pieces"),
        pytest.param([(29, 1)], 1, id="small"),
        pytest.param([(15, 1), (14, 1)], 2, id="over before it is looked at"),
    ],
)
def test_a_body_that_comes_too_slowly_is_given_up(chunks: Chunks, size: int) -> None:
    assert read(chunks)[0] == size


def test_the_time_in_which_it_is_not_read_does_not_count() -> None:
    size, took = read([(0.1, 200)] * 100, held=1000.0)
    assert (size, round(took)) == (20_000, 100_010)


def test_bodies_that_are_forwarded_have_the_same_least_rate() -> None:
    assert read([(1, 1)] * 100, stage="pass")[0] == read([(1, 1)] * 100)[0] < 100
