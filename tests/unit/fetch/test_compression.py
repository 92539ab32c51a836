"""A body is taken turn by turn, so that one that comes without a wait does not hold up the loop."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from proxy.cache.representation import Head
from proxy.cache.room import Room
from proxy.fetch.arrival import Arrival
from proxy.fetch.compression import A_TURN, arrive
from proxy.frame.key import ResourceKey
from proxy.origin.codings import TURN
from proxy.wire.dicomweb import Kind, StudyResource

pytestmark = pytest.mark.anyio

KEY = ResourceKey("pacs", b"", StudyResource(Kind.METADATA, "1"), "studies/1/metadata", "*/*")
CHUNK = bytes(64 * 1024)


async def without_a_wait(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield CHUNK


@pytest.mark.parametrize(("coding", "a_turn"), [("", A_TURN), ("gzip", TURN), ("zstd", TURN)])
async def test_others_have_their_turn_while_a_body_is_taken(coding: str, a_turn: int) -> None:
    turns, count = 0, 10 * A_TURN // len(CHUNK)

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    arrival = Arrival(KEY, b"", Room(1 << 30, lambda: 0, lambda: None), 1 << 30)
    waiting = asyncio.ensure_future(others())
    await arrive(arrival, Head(200, (), is_kept=True), without_a_wait(count), coding)
    waiting.cancel()
    assert turns >= count * len(CHUNK) // a_turn - 1
    arrival.end()
    whole = arrival.representation()
    assert whole is not None
    assert whole.head.coding == coding
