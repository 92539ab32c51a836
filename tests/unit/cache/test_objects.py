"""The tier in an object store: what it writes, what a purge leaves, and what it does not take."""

import asyncio
from collections.abc import AsyncGenerator
from itertools import count
from time import time

import obstore
import pytest
from obstore.store import MemoryStore

from proxy.cache.bucket import Bucket
from proxy.cache.objects import Objects
from proxy.cache.record import Clocks
from proxy.cache.sealed import Names
from proxy.cache.tier import SMALL, Wrong
from proxy.frame.frame import PIECE
from proxy.frame.identity import Condition, Lease
from proxy.frame.scope import FrameScope, scope_of
from tests.unit.cache.test_tier import BIG, KEY, OTHERS, SECRET, frame, rest_of, whole

pytestmark = pytest.mark.anyio

TTL = 1e6
HOUR = 3600.0


class Counting(Bucket):
    """Counts what is written, and can do something before that."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        super().__init__(self.store)
        self.written: list[str] = []
        self.barrier: asyncio.Event | None = None

    async def write(self, path: str, content: bytes) -> None:
        self.written.append(path.rpartition("/")[2] if "/frames/" in path else "fence")
        if self.barrier is not None:
            await self.barrier.wait()
        await super().write(path, content)

    def paths(self) -> list[str]:
        return [each["path"] for each in obstore.list(self.store).collect()]


@pytest.fixture
def bucket() -> Counting:
    return Counting()


def clocks(now: float, after: float) -> Clocks:
    """The clocks so many seconds after the origin made the response, which was at `now`."""
    return Clocks(lambda: 100.0 + after, lambda: now + after)


def replica(bucket: Bucket, clocks: Clocks | None = None) -> Objects:
    tier = Objects(bucket, Names(SECRET), SECRET, TTL, 240.0, clocks)
    tier._calls._limit = 240.0
    return tier


async def test_the_rest_is_written_before_the_head_that_names_it(bucket: Counting) -> None:
    tier = replica(bucket)
    await tier.first(KEY)
    await tier.put(KEY, frame(BIG))
    assert len(bucket.written) == 2
    assert bucket.written[1] == "head"


async def test_what_is_there_already_is_not_written_again(bucket: Counting) -> None:
    tier = replica(bucket)
    await tier.first(KEY)
    for kept in (frame(BIG, 65536), frame(BIG), frame(BIG), frame(BIG, 65536)):
        await tier.put(KEY, kept)
    assert len(bucket.written) == 2  # a head, a rest, and no head that would say the same
    later = Lease(since=5000.0, own=7.0, condition=Condition("if-none-match", '"1"'))
    await tier.put(KEY, frame(BIG, lease=later))
    assert bucket.written[2:] == ["head"]


async def test_a_frame_that_was_not_looked_up_is_not_written(bucket: Counting) -> None:
    await replica(bucket).put(KEY, frame(BIG))
    assert bucket.written == []


async def test_a_frame_that_was_fetched_before_a_purge_elsewhere_is_not_written(bucket: Counting) -> None:
    one, two = replica(bucket), replica(bucket)
    await two.first(KEY)
    await one.forget(FrameScope("pacs", "1.2"))
    await two.put(KEY, frame(BIG))
    assert bucket.written == ["fence"]
    assert await two.first(KEY) is None  # and from now on, what is fetched is fetched after the purge
    await two.put(KEY, frame(BIG))
    assert await one.first(KEY) is not None


@pytest.mark.parametrize(
    "named", [FrameScope("pacs"), FrameScope("pacs", "1.2"), FrameScope("pacs", "1.2", "1.3"), scope_of(KEY)]
)
async def test_a_purge_in_the_middle_of_a_write_is_not_undone(bucket: Counting, named: FrameScope) -> None:
    one, two = replica(bucket), replica(bucket)
    await one.first(KEY)
    bucket.barrier = asyncio.Event()
    writing = asyncio.create_task(one.put(KEY, frame(BIG)))
    while not bucket.written:
        await asyncio.sleep(0)
    barrier, bucket.barrier = bucket.barrier, None
    await two.forget(named)
    barrier.set()
    await writing
    for tier in (one, two):
        assert await tier.first(KEY) is None
        assert await rest_of(tier, frame(BIG), 65536) == b""


async def test_what_lies_there_from_before_a_purge_is_no_rest_of_what_came_after_it(bucket: Counting) -> None:
    """The archive names both by the same ETag."""
    one, two = replica(bucket), replica(bucket)
    await one.first(KEY)
    await one.put(KEY, frame(BIG))
    await two.forget(FrameScope("pacs", "1.2"))
    await one.first(KEY)
    await one.put(KEY, frame(BIG, 65536))
    assert await two.first(KEY) is not None
    assert await rest_of(two, frame(BIG), 65536) == b""


async def test_a_rest_that_outlived_its_head_is_not_joined_to_a_shorter_first_piece(bucket: Counting) -> None:
    tier = replica(bucket)
    await tier.first(KEY)
    await tier.put(KEY, frame(BIG))
    (head,) = [path for path in bucket.paths() if path.endswith("/head")]
    await bucket.drop(head)
    await tier.put(KEY, frame(BIG, 4096, first=4096))
    assert await rest_of(tier, frame(BIG), 4096) == b""


async def test_what_stayed_after_a_purge_of_another_series_is_written_again(bucket: Counting) -> None:
    tier = replica(bucket)
    await tier.first(KEY)
    await tier.forget(FrameScope("pacs", "1.2", "another"))
    await tier.put(KEY, frame(BIG))
    assert await tier.first(KEY) is not None


async def test_a_study_that_was_purged_is_deleted_and_nothing_else(bucket: Counting) -> None:
    tier = replica(bucket)
    for key in (KEY, OTHERS["frame"], OTHERS["study"], OTHERS["origin"]):
        await tier.first(key)
        await tier.put(key, frame(BIG))
    await tier.forget(FrameScope("pacs", "1.2"))
    await tier.tend()
    assert sum("/frames/" in path for path in bucket.paths()) == 4
    for key in (OTHERS["study"], OTHERS["origin"]):
        assert await rest_of(tier, frame(BIG), 65536, key) == whole(frame(BIG))[65536:]
    await tier.forget(FrameScope("pacs"))
    await tier.tend()
    assert sum("/frames/" in path for path in bucket.paths()) == 2


async def test_a_frame_whose_time_is_over_is_not_used(bucket: Counting) -> None:
    now = time()
    early, late, too_late = (replica(bucket, clocks(now, after)) for after in (0, TTL - HOUR, TTL + HOUR))
    await early.first(KEY)
    await early.put(KEY, frame(BIG))
    assert await late.first(KEY) is not None
    assert await too_late.first(KEY) is None
    await too_late.put(KEY, frame(BIG))
    assert len(bucket.written) == 2


@pytest.mark.parametrize("size", [0, 1, 7, 9, 100])
async def test_a_fence_of_another_size_hides_what_is_behind_it(bucket: Counting, size: int) -> None:
    tier = replica(bucket)
    await tier.first(KEY)
    await tier.put(KEY, frame(BIG))
    await tier.forget(FrameScope("pacs", "1.2"))
    (fence,) = [path for path in bucket.paths() if "/purged/" in path]
    await obstore.put_async(bucket.store, fence, bytes(size))
    with pytest.raises(Exception) as caught:  # noqa: PT011  # an empty object has no range
        await tier.first(KEY)
    assert size == 0 or caught.type is Wrong


async def test_a_head_with_a_record_that_is_too_long_is_not_written(bucket: Counting) -> None:
    tier = replica(bucket)
    await tier.first(KEY)
    await tier.put(KEY, frame(BIG, label="x" * 20_000))
    assert "head" not in bucket.written


class Endless(Counting):
    async def _chunks(self, path: str, start: int, stop: int) -> AsyncGenerator[bytes]:
        if "/frames/" in path and not path.endswith("/head"):
            for number in count():
                assert number < 99, "read without end"
                yield bytes(PIECE)
        async for chunk in super()._chunks(path, start, stop):
            yield chunk


async def test_a_rest_without_an_end_is_not_read_on() -> None:
    bucket = Endless()
    tier = replica(bucket)
    await tier.first(KEY)
    await tier.put(KEY, frame(BIG))
    with pytest.raises(Wrong):
        await rest_of(tier, frame(BIG), 65536)


async def test_a_bucket_is_tried_out_and_nothing_stays(bucket: Counting) -> None:
    await bucket.try_out()
    assert bucket.paths() == []


async def test_the_first_bytes_come_with_the_rest_if_they_are_asked_for(bucket: Counting) -> None:
    tier = replica(bucket)
    await tier.first(KEY)
    kept = frame(BIG, first=SMALL + 5)
    await tier.put(KEY, kept)
    for start in (0, 5, SMALL + 4, SMALL + 5, SMALL + 6):
        assert await rest_of(tier, kept, start) == whole(kept)[start:]
