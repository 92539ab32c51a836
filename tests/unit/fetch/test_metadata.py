"""Metadata is read within the budget of bytes: large ones one at a time, and none beyond its limit."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from proxy.cache.memory import MemoryStore
from proxy.errors import OriginFull, OriginMismatch
from proxy.fetch.metadata import SMALL, Metadata
from proxy.frame.key import SeriesKey
from proxy.origin.client import Origin
from proxy.origin.transport import Transport
from proxy.telemetry.telemetry import Telemetry
from tests.house import PATIENCE, STORY
from tests.scripted_origin import Asked, Reply, ScriptedOrigin, running

pytestmark = pytest.mark.anyio

MOST = 4 * SMALL
PIECE = bytes(SMALL // 4)


@dataclass
class Site:
    """Metadata of an origin, and the store whose budget it is read in."""

    metadata: Metadata
    store: MemoryStore

    async def read(self, series: str, origin: str = "pacs") -> int:
        """The length of a series' metadata."""
        return await self.metadata.read(SeriesKey(origin, b"", "1", series), (), _length)


def _length(chunks: Sequence[bytes]) -> int:
    return sum(map(len, chunks))


@asynccontextmanager
async def site_of(origin: ScriptedOrigin) -> AsyncIterator[Site]:
    async with asyncio.timeout(STORY), running(origin):
        telemetry = await asyncio.to_thread(Telemetry)
        site = Origin(
            "pacs", origin.url, Transport(PATIENCE), telemetry, SMALL, forwards=1, metadata_bytes=MOST
        )
        store = MemoryStore(1 << 30, 0.5, 3600.0, telemetry)
        try:
            yield Site(Metadata({"pacs": site, "other": site}, store.room), store)
            assert store.room.filling == 0
        finally:
            await site.aclose()


async def test_metadata_has_a_limit_of_its_own() -> None:
    origin = ScriptedOrigin(script=lambda asked: Reply(200, {}, (PIECE,) * (16 + ("9" in asked.path))))
    async with site_of(origin) as site:
        assert await site.read("1") == MOST  # four times as long as a frame may be
        with pytest.raises(OriginMismatch, match=f"metadata of more than {MOST} bytes") as refused:
            await site.read("9")
        assert refused.value.reason == "too_large"


async def test_large_metadata_is_read_one_at_a_time_and_small_metadata_meanwhile() -> None:
    barrier = asyncio.Event()

    def script(asked: Asked) -> Reply:
        if "series/9/" in asked.path:
            return Reply(200, {}, (PIECE,))
        return Reply(200, {}, ((PIECE,) * 8 + (barrier,) + (PIECE,) * 4))

    origin = ScriptedOrigin(script=script)
    async with site_of(origin) as site:
        many = [asyncio.ensure_future(site.read(str(series))) for series in range(4)]
        while len(site.metadata._places["pacs"]._waiters or ()) < 3:
            await asyncio.sleep(0.001)
        assert await site.read("9") == len(PIECE)
        assert site.store.room.filling <= 8 * len(PIECE) + 3 * SMALL
        assert site.store.counted == site.store.room.filling  # counted in the budget of all
        barrier.set()
        assert await asyncio.gather(*many) == [12 * len(PIECE)] * 4


async def test_who_waits_too_long_for_the_place_is_told_and_the_next_one_gets_it() -> None:
    barrier = asyncio.Event()
    origin = ScriptedOrigin(script=lambda _: Reply(200, {}, ((PIECE,) * 8 + (barrier, PIECE))))
    async with site_of(origin) as site:
        first = asyncio.ensure_future(site.read("1"))
        while site.store.room.filling < 8 * len(PIECE):
            await asyncio.sleep(0.001)
        site.metadata.patience = 0.0
        with pytest.raises(OriginFull):
            await site.read("2")
        first.cancel()
        await asyncio.wait([first])
        barrier.set()
        assert await site.read("2") == 9 * len(PIECE)


async def test_an_origin_that_drips_holds_up_no_other() -> None:
    barrier = asyncio.Event()

    def script(asked: Asked) -> Reply:
        before = (barrier,) if "series/9/" in asked.path else ()
        return Reply(200, {}, ((PIECE,) * 8 + before + (PIECE,) * 4))

    async with site_of(ScriptedOrigin(script=script)) as site:
        dripping = asyncio.create_task(site.read("9"))
        while site.store.room.filling < 8 * len(PIECE):
            await asyncio.sleep(0.001)
        assert await site.read("1", "other") == 12 * len(PIECE)
        barrier.set()
        assert await dripping == 12 * len(PIECE)
