"""The contract of a tier, held against each tier there is."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from obstore.store import MemoryStore

from proxy.cache.bucket import Bucket
from proxy.cache.disk import Disk
from proxy.cache.objects import Objects
from proxy.cache.record import VERSION, Clocks
from proxy.cache.sealed import Names
from proxy.cache.tier import SMALL, Tier
from proxy.frame.frame import PIECE, Frame, cut, frame_of
from proxy.frame.identity import Claim, Condition, Lease, identify
from proxy.frame.key import FrameKey
from proxy.frame.scope import FrameScope, scope_of
from proxy.telemetry.telemetry import Telemetry
from proxy.wire.picture import Picture
from proxy.wire.resource import FrameResource
from tests.scripted_origin import codestream
from tests.tiers import FakeTier

pytestmark = pytest.mark.anyio

KEY = FrameKey("pacs", b"asked", FrameResource("1.2", "1.3", "1.4", 1))
SECRET = bytes(range(32))
BIG = 3 * PIECE
MADE: dict[str, Callable[[Path], Tier]] = {
    "fake": lambda _: FakeTier(),
    "disk": lambda path: disk(path),
    "disk, encrypted": lambda path: disk(path, content_key=SECRET),
    "objects": lambda _: LookedUp(Bucket(MemoryStore()), Names(SECRET), SECRET, 1e6, 240.0),
}


class LookedUp(Objects):
    """Looks a frame up before it is put, as the proxy does before it fetches one."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._calls._limit = 240.0

    async def put(self, key: FrameKey, frame: Frame) -> bool:
        await self.first(key)
        return await super().put(key, frame)


def disk(
    path: Path,
    content_key: bytes | None = None,
    most: int = 1 << 30,
    ttl: float = 1e6,
    clocks: Clocks | None = None,
) -> Disk:
    return Disk(path / "disk", most, 0.5, ttl, Names(SECRET), SECRET, content_key, Telemetry(), clocks)


def frame(total: int, size: int | None = None, first: int = 65536, seed: int = 1, **claim: object) -> Frame:
    """A frame of so many bytes, or the first `size` bytes of it."""
    body = codestream(total, seed)
    lease = Lease(condition=Condition("if-none-match", f'"{seed}"'), since=100.0)
    said = Claim("image/jphc", total, f'"{seed}"', lease)
    return frame_of(identify(replace(said, **claim), body), [body[:size]], first)  # type: ignore[arg-type]


def whole(one: Frame) -> bytes:
    return b"".join(one.pieces)


@pytest.fixture(params=list(MADE.values()), ids=list(MADE))
async def tier(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Tier]:
    async with ended(await asyncio.to_thread(request.param, tmp_path)) as made:
        yield made


@asynccontextmanager
async def ended(tier: Any) -> AsyncIterator[Any]:
    try:
        yield tier
    finally:
        await tier.aclose()


async def rest_of(tier: Tier, kept: Frame, start: int, key: FrameKey = KEY) -> bytes:
    return b"".join([piece async for piece in tier.rest(key, kept.identity, start)])


@pytest.mark.parametrize("size", [100, 4096, 65536, 65537, SMALL, SMALL + 1, PIECE + 65536, BIG, BIG + 65537])
async def test_a_whole_frame_comes_back(tier: Tier, size: int) -> None:
    kept = frame(size)
    await tier.put(KEY, kept)
    first = await tier.first(KEY)
    assert first is not None
    assert first.size == (size if size <= SMALL else 65536)
    assert first.pieces[0] == kept.pieces[0]
    assert whole(first) == whole(kept)[: first.size]
    lease = first.identity.claim.lease
    assert lease.since == pytest.approx(100.0, abs=1.0)
    assert (
        replace(first.identity, claim=replace(first.identity.claim, lease=kept.identity.claim.lease))
        == kept.identity
    )
    for start in {0, 1, first.size, min(size - 1, 65536 + PIECE), size // 2, size - 1}:
        assert await rest_of(tier, kept, start) == whole(kept)[start:]


async def test_a_prefix_comes_back_with_its_first_piece_and_has_no_rest(tier: Tier) -> None:
    kept = frame(BIG, 500_000)
    await tier.put(KEY, kept)
    first = await tier.first(KEY)
    assert first is not None
    assert whole(first) == kept.pieces[0]
    assert await rest_of(tier, kept, 65536) == b""


async def test_nothing_is_a_miss(tier: Tier) -> None:
    assert await tier.first(KEY) is None
    assert await rest_of(tier, frame(BIG), 0) == b""
    await tier.forget(scope_of(KEY))
    await tier.tend()


async def test_the_rest_follows_a_prefix(tier: Tier) -> None:
    await tier.put(KEY, frame(BIG, 65536))
    await tier.put(KEY, frame(BIG))
    assert await rest_of(tier, frame(BIG), 65536) == whole(frame(BIG))[65536:]


async def test_a_prefix_takes_nothing_from_a_whole_and_brings_its_lease(tier: Tier) -> None:
    await tier.put(KEY, frame(BIG, seed=1))
    later = Lease(since=500.0, own=7.0, condition=Condition("if-none-match", '"1"'))
    await tier.put(KEY, frame(BIG, 4096, first=4096, lease=later))
    first = await tier.first(KEY)
    assert first is not None
    assert first.identity.claim.lease.own == 7.0
    assert first.identity.claim.lease.since == pytest.approx(500.0, abs=1.0)
    assert await rest_of(tier, frame(BIG), 4096) == whole(frame(BIG))[4096:]


@pytest.mark.parametrize("size", [None, 65536])
async def test_another_version_replaces_all_of_the_old_one(tier: Tier, size: int | None) -> None:
    old, new = frame(BIG, seed=1), frame(BIG, size, seed=2)
    await tier.put(KEY, old)
    await tier.put(KEY, new)
    assert await rest_of(tier, old, 65536) == b""
    first = await tier.first(KEY)
    assert first is not None
    assert first.pieces[0] == new.pieces[0]
    assert await rest_of(tier, new, 65536) == (whole(new)[65536:] if size is None else b"")


async def test_a_version_that_is_not_vouched_for_has_no_rest(tier: Tier) -> None:
    await tier.put(KEY, frame(BIG))
    doubtful = replace(frame(BIG).identity, is_vouched=False)
    assert [piece async for piece in tier.rest(KEY, doubtful, 0)] == []


OTHERS = {
    "origin": replace(KEY, origin="cloud"),
    "partition": replace(KEY, partition=b"another"),
    "study": replace(KEY, resource=replace(KEY.resource, study="9")),
    "series": replace(KEY, resource=replace(KEY.resource, series="9")),
    "instance": replace(KEY, resource=replace(KEY.resource, instance="9")),
    "frame": replace(KEY, resource=replace(KEY.resource, frame_number=9)),
    "query": replace(KEY, query="x=1"),
    "alternate": replace(KEY, frames_path="/jls/"),
    "form": replace(KEY, form="image/jls"),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
async def test_a_key_is_the_key_of_one_frame(tier: Tier, other: FrameKey) -> None:
    await tier.put(KEY, frame(BIG, seed=1))
    assert await tier.first(other) is None
    await tier.put(other, frame(BIG, seed=2))
    for key, seed in ((KEY, 1), (other, 2)):
        first = await tier.first(key)
        assert first is not None
        assert first.pieces[0] == frame(BIG, seed=seed).pieces[0]


SCOPES = {
    "the frame": (
        scope_of(KEY),
        {"frame", "series", "instance", "study", "origin", "partition", "alternate", "form"},
    ),
    "its study": (FrameScope("pacs", "1.2"), {"study", "origin"}),
    "its series": (FrameScope("pacs", "1.2", "1.3"), {"study", "origin", "series"}),
    "its instance": (FrameScope("pacs", "1.2", "1.3", "1.4"), {"study", "origin", "series", "instance"}),
    "its origin": (FrameScope("pacs"), {"origin"}),
    "its partition": (
        FrameScope("pacs", "1.2", "1.3", "1.4", 1, partition=b"asked"),
        {"frame", "series", "instance", "study", "origin", "partition"},
    ),
    "no alternates": (
        FrameScope("pacs", "1.2", "1.3", "1.4", 1, frames_path="", form=""),
        {"frame", "series", "instance", "study", "origin", "alternate", "form"},
    ),
}


def test_htj2k_keeps_the_name_that_earlier_releases_gave_it() -> None:
    names = Names(SECRET)
    told = ("exact", VERSION, "", KEY.partition, KEY.path, KEY.origin, None)
    assert names.of(KEY).exact == names._digest(told)[:16]
    assert names.of(KEY).levels[-1] == names._level("path", "")


@pytest.mark.parametrize(("named", "left"), SCOPES.values(), ids=SCOPES)
async def test_a_scope_is_forgotten_and_the_rest_stays(tier: Tier, named: FrameScope, left: set[str]) -> None:
    kept = frame(BIG)
    for key in (KEY, *OTHERS.values()):
        await tier.put(key, kept)
    await tier.forget(named)
    assert await tier.first(KEY) is None
    assert await rest_of(tier, kept, 65536) == b""
    found = {name for name, key in OTHERS.items() if await tier.first(key) is not None}
    assert found - {"query"} <= left
    assert found - {"query"} == left or isinstance(tier, Objects)  # it has no narrower fences
    for name in left & found:
        assert await rest_of(tier, kept, 65536, OTHERS[name]) == whole(kept)[65536:]


async def test_a_picture_is_of_its_parameters(tier: Tier) -> None:
    one, two = (replace(KEY, picture=Picture("image/jpeg", quality=quality)) for quality in (80, 90))
    await tier.put(one, frame(1000))
    assert await tier.first(two) is None


async def test_two_readers_of_a_rest_do_not_disturb_each_other(tier: Tier) -> None:
    kept = frame(BIG)
    await tier.put(KEY, kept)
    one, two = (tier.rest(KEY, kept.identity, 65536) for _ in range(2))
    got = [await anext(one), await anext(two)]
    await tier.put(KEY, frame(BIG, seed=2))  # its file goes, and those who read have it open
    first = b"".join([got[0], *[piece async for piece in one]])
    assert whole(kept)[65536:].startswith(first)
    await two.aclose()  # type: ignore[attr-defined]


async def test_a_reader_who_leaves_in_the_middle_leaves_nothing_open(tier: Tier) -> None:
    kept = frame(BIG)
    await tier.put(KEY, kept)
    for _ in range(50):
        pieces = tier.rest(KEY, kept.identity, 65536)
        await anext(pieces)
        await pieces.aclose()  # type: ignore[attr-defined]
    assert b"".join(cut(kept.pieces, 65536, BIG)) == await rest_of(tier, kept, 65536)
