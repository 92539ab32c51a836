"""No viewer gets bytes of two versions of a frame, whatever viewers, the origin and the cache do.

`tests.sequences` has the random tests. Three transports corrupt responses to check that it detects faults.
"""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from random import Random

import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sequences.theatre import HANGS_AFTER, Between, as_it_is, theatre
from tests.sequences.values import Ask, Sequence, sequence_of

pytestmark = pytest.mark.slow

EXAMPLES = 300
"""Random sequences per run. `python -m tests.bench sequences` plays ten thousand."""


@contextmanager
def opened(
    between: Between = as_it_is, hangs_after: float = HANGS_AFTER
) -> Iterator[Callable[[Sequence], None]]:
    """Opens a theatre and yields a function that plays one sequence in it."""
    with (
        start_blocking_portal(backend_options={"use_uvloop": True}) as portal,
        portal.wrap_async_context_manager(theatre(between, hangs_after)) as found,
    ):
        yield partial(portal.call, found.play)


def test_nobody_gets_two_versions_in_one_and_nothing_is_left_behind() -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=False))
    def is_well(chance: Random) -> None:
        play(sequence_of(chance))

    with opened() as play:
        is_well()


class Body(httpx.AsyncByteStream):
    """A response body with changed chunks. Closing it closes the real response."""

    def __init__(self, response: httpx.Response, chunks: AsyncIterator[bytes]) -> None:
        self._response = response
        self._chunks = chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks

    async def aclose(self) -> None:
        await self._response.aclose()


async def changed(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        yield chunk[:-1] + bytes((chunk[-1] ^ 1,))


async def endless(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        yield chunk
    await asyncio.Event().wait()


def wrong(
    body: Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]],
    request: httpx.Request,
    response: httpx.Response,
) -> httpx.Response:
    """A transport function that changes the body of a completion."""
    if request.headers.get("range") != "bytes=65536-":
        return response
    return httpx.Response(206, headers=response.headers, stream=Body(response, body(response.aiter_raw())))


def raising(request: httpx.Request, response: httpx.Response) -> httpx.Response:
    if "range" in request.headers:
        raise ZeroDivisionError
    return response


@pytest.mark.parametrize(
    ("between", "hangs_after", "words"),
    [
        (partial(wrong, changed), HANGS_AFTER, "of no version"),
        (partial(wrong, endless), 2, "it hangs"),
        (raising, HANGS_AFTER, "the origin did not make"),
    ],
    ids=["another byte", "no end", "a fault"],
)
def test_what_is_wrong_is_found_out_and_told_with_its_sequence(
    between: Between, hangs_after: float, words: str
) -> None:
    with opened(between, hangs_after) as play:
        with pytest.raises(AssertionError, match=words) as caught:
            play(Sequence(steps=(Ask(),)))
        assert caught.value.__notes__[:1] == ["Sequence(steps=(Ask(),))"]


def leave_a_failed_task() -> None:
    """An exception that nobody asks for, in a cycle that waits for the garbage collector."""

    async def fail() -> None:
        raise ZeroDivisionError

    async def leave() -> None:
        task = asyncio.ensure_future(fail())
        await asyncio.wait([task])
        knot: list[object] = [task]
        knot.append(knot)

    asyncio.run(leave())


def test_what_an_earlier_test_left_behind_is_no_fault_of_a_sequence() -> None:
    gc.collect()
    gc.disable()
    try:
        with opened() as play:
            leave_a_failed_task()
            gc.collect()
            play(Sequence(steps=(Ask(),)))
    finally:
        gc.enable()
