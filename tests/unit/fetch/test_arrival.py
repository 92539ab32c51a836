"""A response that arrives: any number of readers, and a bound on what is held while it passes."""

import asyncio
import gzip

import pytest

from proxy.cache.representation import Head
from proxy.cache.room import STRETCH, Room
from proxy.errors import OriginHungUp
from proxy.fetch.arrival import AHEAD, Arrival, ArrivalReader, Unread
from proxy.frame.key import ResourceKey
from proxy.wire.dicomweb import Kind, StudyResource

pytestmark = pytest.mark.anyio

KEY = ResourceKey("pacs", b"", StudyResource(Kind.METADATA, "1"), "studies/1/metadata", "*/*")
OK = Head(200, (), is_kept=True, is_shared=True)
CHUNK = bytes(64 * 1024)


def room_of(budget: int = 1 << 30) -> Room:
    return Room(budget, lambda: 0, lambda: None)


def arriving(room: Room | None = None, most: int = 1 << 20, head: Head = OK) -> Arrival:
    arrival = Arrival(KEY, b"", room or room_of(), most)
    arrival.begin(head)
    return arrival


async def body_of(reader: ArrivalReader) -> bytes:
    return b"".join([piece async for piece in reader.pieces()])


async def until_it_waits(work: asyncio.Future[None]) -> None:
    for _ in range(20):
        await asyncio.sleep(0)
    assert not work.done()


async def test_a_reader_who_comes_late_gets_all_from_the_first_byte() -> None:
    arrival = arriving()
    await arrival.extend(b"one ")
    late = asyncio.ensure_future(body_of(arrival.reader()))
    await arrival.extend(b"two")
    arrival.end()
    assert await late == b"one two"
    whole = arrival.representation()
    assert whole is not None
    assert (whole.pieces, whole.size) == ((b"one ", b"two"), 7)


async def test_nobody_has_to_read_what_is_kept() -> None:
    room = room_of()
    arrival = arriving(room)
    for _ in range(8):
        await arrival.extend(CHUNK)
    assert room.filling > 8 * len(CHUNK)
    arrival.end()
    arrival.release()
    assert room.filling == 0


async def test_a_failure_reaches_each_reader_and_nothing_of_it_is_kept() -> None:
    arrival = arriving()
    readers = [asyncio.ensure_future(body_of(arrival.reader())) for _ in range(3)]
    await arrival.extend(b"one")
    arrival.end(OriginHungUp("the body ended early"))
    assert all(
        isinstance(each, OriginHungUp) for each in await asyncio.gather(*readers, return_exceptions=True)
    )
    assert arrival.representation() is None


@pytest.mark.parametrize("why", ["it is too long", "room is short", "its length is said", "it is no 200"])
async def test_what_passes_is_held_only_as_far_as_its_slowest_reader_needs(why: str) -> None:
    room = room_of(STRETCH // 2 if why == "room is short" else 1 << 30)
    heads = {"its length is said": Head(200, (), length=1 << 40, is_kept=True), "it is no 200": Head(404, ())}
    arrival = arriving(room, AHEAD if why == "it is too long" else 1 << 20, heads.get(why, OK))
    fast, slow = arrival.reader(), arrival.reader()
    reading = asyncio.ensure_future(body_of(fast))

    async def come() -> None:
        for _ in range(64):
            await arrival.extend(CHUNK)
        arrival.end()

    coming = asyncio.ensure_future(come())
    await until_it_waits(coming)
    assert room.filling <= AHEAD + 2 * len(CHUNK)
    slow.leave()  # it no longer holds the others back
    await coming
    assert len(await reading) == 64 * len(CHUNK)
    assert arrival.representation() is None


async def test_what_passes_ends_without_readers() -> None:
    arrival = arriving(head=Head(404, ()))
    reader = arrival.reader()
    await arrival.extend(CHUNK)
    reader.leave()
    with pytest.raises(Unread):
        await arrival.extend(CHUNK)


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
async def test_the_time_of_a_compression_makes_no_other_digest(size: int) -> None:
    async def digest(body: bytes) -> str:
        arrival = arriving(head=Head(200, (), coding="gzip", is_kept=True))
        for at in range(0, len(body), size):
            await arrival.extend(body[at : at + size])
        arrival.end()
        whole = arrival.representation()
        assert whole is not None
        return whole.digest

    same = [await digest(gzip.compress(b"[]", mtime=time)) for time in (1, 2)]
    assert same[0] == same[1] != await digest(gzip.compress(b"[1]", mtime=1))


async def test_bytes_that_come_one_by_one_count_with_what_they_cost() -> None:
    arrival = arriving(most=1000)
    arrival.reader()
    for _ in range(10):
        await arrival.extend(b"x")
    assert arrival.is_kept
    for _ in range(10):
        await arrival.extend(b"x")
    assert not arrival.is_kept


async def test_in_a_crowd_what_nobody_reads_ends() -> None:
    is_crowded = False
    arrival = Arrival(KEY, b"", room_of(), 1 << 20, None, lambda: is_crowded)
    arrival.begin(OK)
    await arrival.extend(CHUNK)
    is_crowded = True
    reader = arrival.reader()
    await arrival.extend(CHUNK)
    reader.leave()
    with pytest.raises(Unread):
        await arrival.extend(CHUNK)
