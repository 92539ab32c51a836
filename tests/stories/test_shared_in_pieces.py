"""Frames reach a shared server piece by piece: another replica goes on if the one that fetches dies."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import httpx
import pytest
from valkey.asyncio import Valkey

from proxy.cache.tier import piece_end
from proxy.frame.frame import SMALL_PIECE
from proxy.wire.ranges import RangeRequest, parse_range
from tests.house import House, a_proxy, houses, read_until
from tests.scripted_origin import FRAME, Asked, Reply, Script, ScriptedOrigin, codestream, honest, running
from tests.stories.test_shared import BODY, SINGLE, key_of, kill, origin_with, port, replica, server, shared

__all__ = ["port", "replica", "server"]  # fixtures
pytestmark = pytest.mark.anyio

SEAL = 28
"""Bytes of a value beside those of its frame."""


def written(came: int) -> int:
    """The end of the last piece of a frame that has come so far."""
    end = 65536
    while piece_end(end) <= came:
        end = piece_end(end)
    return end


def stops_after(came: int, until: asyncio.Event, body: bytes = BODY) -> Script:
    """The origin has sent so many bytes of the frame, and sends the others after an event."""

    def script(asked: Asked) -> Reply | None:
        if asked.path != FRAME:
            return None
        reply, wanted = honest(body, asked), parse_range(asked.range)
        start = wanted.first or 0 if isinstance(wanted, RangeRequest) else 0
        (content,) = reply.pieces
        assert isinstance(content, bytes)
        at = max(0, min(came - start, len(content)))
        return replace(reply, pieces=(content[:at], until, content[at:]) if at < len(content) else (content,))

    return script


async def until_shared(home: House, server: Valkey, came: int) -> None:
    """Waits until so much of the frame has come, and the server has each piece of that."""
    at, fills = shared(home)._keys.of(key_of(FRAME)), home.app.fills
    await home.until(lambda: (fill := fills.get(key_of(FRAME))) is not None and fill.size == came)
    await home.app.tiered.settled()  # type: ignore[union-attr]
    values = [key async for key in server.scan_iter(at.record + b":*") if key != at.lease]
    assert sum([await server.strlen(key) - SEAL for key in values]) == written(came)


CAME = [65536, 65537, 131_008, 165_536, 1_600_000, 2_999_999]
"""Bytes that have come of a frame when its replica dies."""


@pytest.mark.parametrize("came", CAME)
async def test_if_a_replica_dies_in_the_middle_of_a_frame_another_one_goes_on_after_the_last_piece(
    replica: dict[str, Any], server: Valkey, came: int
) -> None:
    origin = ScriptedOrigin(script=stops_after(came, asyncio.Event()))
    async with running(origin), AsyncExitStack() as stack:
        dying, one, two = [await stack.enter_async_context(a_proxy(origin, replica)) for _ in range(3)]
        shared(dying).fences.lease = 1.0
        waiting = asyncio.create_task(dying.viewer.get(FRAME, headers=SINGLE))
        await until_shared(dying, server, came)
        await kill(dying)
        origin.script = origin_with().script
        origin.asked.clear()
        got = await asyncio.gather(*(each.viewer.get(FRAME, headers=SINGLE) for each in (one, two)))
        assert [each.content for each in got] == [BODY, BODY]
        assert origin.ranges_of(FRAME) == [f"bytes={written(came)}-"]
        assert came - written(came) < max(SMALL_PIECE, came / 8)
        waiting.cancel()
        await origin.stop()


async def test_others_get_each_piece_of_a_frame_as_it_comes(replica: dict[str, Any], server: Valkey) -> None:
    came, goes_on = 1_000_000, asyncio.Event()
    async with houses(ScriptedOrigin(script=stops_after(came, goes_on)), 2, **replica) as (one, two):
        first = asyncio.create_task(one.viewer.get(FRAME, headers=SINGLE))
        await until_shared(one, server, came)
        async with two.viewer.stream("GET", FRAME, headers=SINGLE) as answer:
            chunks = answer.aiter_raw()
            early = await read_until(chunks, written(came))
            goes_on.set()
            assert early + b"".join([chunk async for chunk in chunks]) == BODY
        assert (await first).content == BODY
        assert one.origin.ranges_of(FRAME) == ["bytes=0-65535", "bytes=65536-"]


async def test_a_replica_that_was_paused_and_goes_on_with_an_old_version_brings_nothing_back(
    replica: dict[str, Any], server: Valkey
) -> None:
    """While it was paused, another one took the frame over, and the archive had corrected it."""
    came, goes_on, new = 1_600_000, asyncio.Event(), codestream(3_000_000, seed=2)
    origin = ScriptedOrigin(script=stops_after(came, goes_on))
    async with houses(origin, 3, **replica) as (paused, one, two):
        first = asyncio.create_task(paused.viewer.get(FRAME, headers=SINGLE))
        await until_shared(paused, server, came)
        for task in paused.app._replicas._tasks:
            task.cancel()
        await server.delete(shared(paused)._keys.of(key_of(FRAME)).lease)
        origin.script = origin_with(new).script
        with pytest.raises(httpx.TransportError):  # the bytes of two versions are not joined
            await one.viewer.get(FRAME, headers=SINGLE)
        await one.until_written()
        goes_on.set()
        assert (await first).content == BODY
        await paused.until_written()
        for home in (one, two):
            assert (await home.viewer.get(FRAME, headers=SINGLE)).content == new
