"""Replicas that share a cache at a real server: what each gets from the others, and what they tell."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from valkey.asyncio import Valkey

from proxy.cache.fences import Taken
from proxy.cache.patience import Patience
from proxy.cache.places import Places
from proxy.cache.shared import Shared
from proxy.cache.tier import piece_end
from proxy.frame.key import FrameKey
from proxy.wire.resource import parse_frame_path
from tests.guarded_origin import BODIES, PLAIN, GuardedOrigin
from tests.house import STORY, House, a_proxy, cache_did, house, houses
from tests.revalidating_origin import OLD, RevalidatingOrigin, is_conditional
from tests.scripted_origin import (
    FRAME,
    SERIES,
    Asked,
    Reply,
    ScriptedOrigin,
    codestream,
    frame_of,
    honest,
    running,
)
from tests.valkey_server import running_valkey, settings_with

pytestmark = pytest.mark.anyio

BODY = codestream(3_000_000)
SINGLE = {"accept": "image/jphc"}
FIRST, REST = SINGLE | {"range": "bytes=0-65535"}, SINGLE | {"range": "bytes=65536-"}
STUDY = SERIES.partition("/series")[0]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with running_valkey(tmp_path_factory.mktemp("valkey")) as port:
        yield port


@pytest.fixture
async def server(port: int) -> AsyncIterator[Valkey]:
    async with Valkey(port=port, socket_timeout=STORY) as client:
        await client.flushall()
        yield client


@pytest.fixture
def replica(server: Valkey, port: int, tmp_path: Path) -> dict[str, Any]:
    """Settings of a replica."""
    return settings_with(tmp_path, f"valkey://127.0.0.1:{port}")


def shared(home: House) -> Shared:
    assert home.app.tiered is not None
    tier = home.app.tiered._tiers[-1]._tier
    assert isinstance(tier, Shared)
    return tier


def origin_with(body: bytes = BODY, etag: str | None = None) -> ScriptedOrigin:
    return ScriptedOrigin(
        script=lambda asked: honest(body, asked, etag=etag) if asked.path == FRAME else None
    )


async def test_a_replica_gets_what_another_one_fetched(replica: dict[str, Any]) -> None:
    async with houses(origin_with(), 2, **replica) as (one, two):
        assert (await one.viewer.get(FRAME, headers=SINGLE)).content == BODY
        await one.until_written()
        one.origin.asked.clear()
        first = await two.viewer.get(FRAME, headers=FIRST)
        assert (first.content, cache_did(first)) == (BODY[:65536], "hit; detail=shared")
        assert (await two.viewer.get(FRAME, headers=REST)).content == BODY[65536:]
        assert one.origin.requests_of(FRAME) == 0
        assert two.metric("tier_lookups_total", tier="shared", part="rest", outcome="hit") == 1


class CountingOrigin(ScriptedOrigin):
    """An origin of one volume, which counts the bytes that it sends of each frame."""

    def __init__(self, bodies: list[bytes]) -> None:
        super().__init__(script=self._counted)
        self.bodies = {frame_of(number): body for number, body in enumerate(bodies)}
        self.sent: Counter[str] = Counter()
        self.held: dict[str, asyncio.Event] = {}
        """Frames whose bytes after the first piece wait for an event."""
        self.with_series(bodies)

    def _counted(self, asked: Asked) -> Reply | None:
        if asked.path not in self.bodies:
            return None
        reply = honest(self.bodies[asked.path], asked)
        self.sent[asked.path] += sum(len(piece) for piece in reply.pieces if isinstance(piece, bytes))
        if asked.path in self.held:
            return replace(reply, pieces=(self.held[asked.path], *reply.pieces))
        return reply

    @property
    def sent_twice(self) -> dict[str, int]:
        """Bytes of each frame that were sent more than once, or not at all (negative)."""
        sizes = {path: self.sent[path] - len(body) for path, body in self.bodies.items()}
        return {path: size for path, size in sizes.items() if size}


def volume(number: int = 12, size: int = 400_000) -> list[bytes]:
    return [codestream(size + 1000 * each, seed=each) for each in range(number)]


async def view(home: House, origin: CountingOrigin, seed: int) -> None:
    """A viewer shows each frame of the volume, in an order of its own, and checks each byte."""
    paths = list(origin.bodies)
    Random(seed).shuffle(paths)
    for path in paths:
        first, rest = await asyncio.gather(
            home.viewer.get(path, headers=FIRST), home.viewer.get(path, headers=REST)
        )
        assert first.content + rest.content == origin.bodies[path]


async def test_thirty_viewers_of_three_replicas_take_each_byte_from_the_origin_once(
    replica: dict[str, Any],
) -> None:
    origin = CountingOrigin(volume())
    async with houses(origin, 3, **replica) as homes:
        await asyncio.gather(*(view(homes[number % 3], origin, number) for number in range(30)))
        assert origin.sent_twice == {}
        fetched = [home.metric("origin_bytes_total", origin="pacs") for home in homes]
        assert min(fetched) < sum(len(body) for body in origin.bodies.values())


async def test_small_frames_are_fetched_once_too(replica: dict[str, Any]) -> None:
    origin = CountingOrigin(volume(size=100_000))
    async with houses(origin, 3, **replica) as homes:
        await asyncio.gather(*(view(homes[number % 3], origin, number) for number in range(9)))
        assert origin.sent_twice == {}


@pytest.mark.slow
async def test_if_a_replica_dies_the_others_fetch_only_what_it_had_begun(replica: dict[str, Any]) -> None:
    origin = CountingOrigin(volume())
    begun = list(origin.bodies)[:3]
    origin.held = {path: asyncio.Event() for path in begun}
    async with running(origin), AsyncExitStack() as stack:
        dying, one, two = [await stack.enter_async_context(a_proxy(origin, replica)) for _ in range(3)]
        shared(dying).fences.lease = 1.0
        waiting = [asyncio.create_task(dying.viewer.get(path, headers=SINGLE)) for path in begun]
        await dying.until(lambda: all(origin.sent[path] == len(origin.bodies[path]) for path in begun))
        await kill(dying)
        origin.held.clear()
        before = Counter(origin.sent)
        viewing = (view((one, two)[number % 2], origin, number) for number in range(20))
        await asyncio.gather(*viewing)
        for task in waiting:
            task.cancel()
        assert origin.sent - before == {path: len(body) for path, body in origin.bodies.items()}


async def kill(home: House) -> None:
    """The replica does nothing more at the server: it renews no lease and gives none back."""
    server = shared(home)._server
    client, server._client, server._made = server._client, None, never  # type: ignore[method-assign]
    for task in home.app._replicas._tasks:
        task.cancel()
    await asyncio.wait(home.app._replicas._tasks)  # a task that ends later would leave its connection open
    await server._calls.aclose()
    await client.aclose()


def never() -> Any:
    raise ConnectionError("this replica is dead")


async def test_what_the_server_evicted_is_fetched_by_a_range(replica: dict[str, Any], server: Valkey) -> None:
    async with houses(origin_with(), 2, **replica) as (one, two):
        await one.viewer.get(FRAME, headers=SINGLE)
        await one.until_written()
        start = piece_end(piece_end(65536))
        (piece,) = [key async for key in server.scan_iter(f"*:{start}")]
        await server.delete(piece)
        one.origin.asked.clear()
        assert (await two.viewer.get(FRAME, headers=SINGLE)).content == BODY
        (wanted,) = one.origin.ranges_of(FRAME)
        assert wanted == f"bytes={start}-"
        await two.until_written()
        assert await server.exists(piece)


async def test_pieces_that_outlived_their_record_are_not_joined_to_a_shorter_first_piece(
    replica: dict[str, Any], server: Valkey
) -> None:
    short = {"short": {"first": "4KiB", "complete": "on-demand"}}
    async with house(origin := origin_with(), **replica) as one:
        await one.viewer.get(FRAME, headers=SINGLE)
        await one.until_written()
        await server.delete(shared(one)._keys.of(key_of(FRAME)).record)
    async with house(origin, profiles=short, profile="short", **replica) as two:
        first = await two.viewer.get(FRAME, headers=SINGLE | {"range": "bytes=0-4095"})
        assert first.content == BODY[:4096]
        await two.until_written()
        assert (await two.viewer.get(FRAME, headers=SINGLE)).content == BODY


@pytest.mark.slow
async def test_no_bit_that_changes_at_the_server_reaches_a_viewer(
    replica: dict[str, Any], server: Valkey
) -> None:
    origin = origin_with()
    async with house(origin, **replica) as one:
        await one.viewer.get(FRAME, headers=SINGLE)
        await one.until_written()
    values = {key: await server.get(key) async for key in server.scan_iter()}
    assert len(values) >= 3 + 1 + 1 + 3  # fences, record, first bytes, pieces
    for number, (key, value) in enumerate(values.items()):
        await server.flushall()
        await server.mset(values)
        at = Random(number).randrange(8 * len(value))
        await server.setrange(key, at // 8, bytes([value[at // 8] ^ (1 << at % 8)]))
        async with house(origin, **replica) as two:
            assert (await two.viewer.get(FRAME, headers=FIRST)).content == BODY[:65536]
            assert (await two.viewer.get(FRAME, headers=SINGLE)).content == BODY


async def test_values_of_another_frame_are_not_taken_for_this_one(
    replica: dict[str, Any], server: Valkey
) -> None:
    """Somebody who can write to the server swaps values."""
    origin = CountingOrigin(volume(2))
    one_path, other_path = origin.bodies
    async with house(origin, **replica) as one:
        for path in origin.bodies:
            await one.viewer.get(path, headers=SINGLE)
        await one.until_written()
    firsts = [key async for key in server.scan_iter("*:first")]
    first, other = [await server.get(key) for key in firsts]
    await server.mset({firsts[0]: other, firsts[1]: first})
    async with house(origin, **replica) as two:
        for path in (one_path, other_path):
            assert (await two.viewer.get(path, headers=SINGLE)).content == origin.bodies[path]
        assert two.metric("tier_lookups_total", tier="shared", part="first", outcome="wrong") == 2


async def test_the_server_sees_no_uid_and_no_pixel(replica: dict[str, Any], server: Valkey) -> None:
    tagged = origin_with(etag='"1.2.826.0.1.3680043"')
    async with house(tagged, **replica) as one:
        await one.viewer.get(FRAME, headers=SINGLE)
        await one.until_written()
    seen = b"".join([key + (await server.get(key)) async for key in server.scan_iter()])
    for secret in (b"1.2.826.0.1.3680043", STUDY.rpartition("/")[2].encode(), BODY[:16], BODY[-64:]):
        assert secret not in seen


async def test_replicas_with_other_keys_or_origins_share_nothing(
    replica: dict[str, Any], tmp_path: Path
) -> None:
    async with house(origin_with(), **replica) as one:
        await one.viewer.get(FRAME, headers=SINGLE)
        await one.until_written()
    other = tmp_path / "other"
    other.write_bytes(b"o" * 32)
    for settings in (replica | {"access": {"key_file": str(other)}}, replica):
        async with house(origin_with(), **settings) as two:  # each origin has a port of its own
            assert cache_did(await two.viewer.get(FRAME, headers=SINGLE)) == "fwd=miss; stored"


async def test_a_replica_that_waits_in_vain_asks_the_origin_itself(
    replica: dict[str, Any], server: Valkey
) -> None:
    """Another one has the lease of each frame, and brings nothing."""
    origin = CountingOrigin(volume(3))
    async with house(origin, **replica) as one:
        tier = shared(one)
        tier.patience = Patience(STORY, 0.01, STORY, 0.01)
        for path, body in origin.bodies.items():
            await server.set(tier._keys.of(key_of(path)).lease, b"another")
            assert (await one.viewer.get(path, headers=SINGLE)).content == body
        assert origin.sent_twice == {}


async def test_what_another_one_writes_just_before_the_lease_is_taken_is_not_fetched_again(
    replica: dict[str, Any],
) -> None:
    lazy = {"lazy": {"first": "64KiB", "complete": "on-demand"}}
    async with houses(origin_with(), 2, profiles=lazy, profile="lazy", **replica) as (one, two):
        for home in (one, two):
            await home.viewer.get(FRAME, headers=FIRST)
            await home.until_written()
            await shared(home).fences.release(shared(home)._keys.of(key_of(FRAME)))
        take = shared(two).fences.take

        async def take_later(key: FrameKey, at: Places) -> Taken:
            shared(two).fences.take = take  # type: ignore[method-assign]
            await one.viewer.get(FRAME, headers=REST)
            await one.until_written()
            return await take(key, at)

        shared(two).fences.take = take_later  # type: ignore[method-assign]
        assert (await two.viewer.get(FRAME, headers=REST)).content == BODY[65536:]
        assert one.origin.ranges_of(FRAME) == ["bytes=0-65535", "bytes=65536-"]


def key_of(path: str) -> FrameKey:
    resource = parse_frame_path(path[1:])
    return FrameKey("pacs", b"", resource)


async def test_a_lease_is_given_back_if_the_frame_does_not_come(
    replica: dict[str, Any], server: Valkey
) -> None:
    missing = ScriptedOrigin()
    async with house(missing, **replica) as one:
        tier = shared(one)
        tier.fences.lease = 0.05
        assert (await one.viewer.get(FRAME, headers=SINGLE)).status_code == 404
        await one.until(lambda: not tier.fences._held)
        assert not await server.exists(tier._keys.of(key_of(FRAME)).lease)


async def test_a_purge_at_one_replica_empties_the_others(replica: dict[str, Any]) -> None:
    origin = CountingOrigin(volume(3))
    async with houses(origin, 3, **replica) as homes:
        for home in homes:
            await shared(home).channel.is_open.wait()
            for path in origin.bodies:
                await home.viewer.get(path, headers=SINGLE)
            await home.until_written()
        assert (await homes[0].admin.delete(f"/cache{STUDY}")).status_code == 204
        for home in homes[1:]:
            await until_empty(home)
        origin.sent.clear()
        for home in homes:
            for path in origin.bodies:
                await home.viewer.get(path, headers=SINGLE)
            await home.until_written()
        assert origin.sent_twice == {}  # once, and not from what the server still has


async def until_empty(home: House) -> None:
    """Waits until the memory of a replica is empty."""
    tiered = home.app.tiered
    assert tiered is not None
    await home.until(lambda: tiered._memory.size == 0)


async def test_what_is_fetched_before_a_purge_and_written_after_it_is_not_read(
    replica: dict[str, Any],
) -> None:
    """The replica that fetches hears nothing of the purge: it was cut off, or paused."""
    origin = CountingOrigin(volume(1))
    (path,) = origin.bodies
    origin.held[path] = asyncio.Event()
    async with houses(origin, 2, **replica) as (one, two):
        for task in two.app._replicas._tasks:
            task.cancel()
        shared(two).fences.lease = 1.0  # a refused write may leave it to end by itself
        late = asyncio.create_task(two.viewer.get(path, headers=SINGLE))
        await two.until(lambda: origin.sent[path] > 0)
        assert (await one.admin.delete(f"/cache{STUDY}")).status_code == 204
        origin.held.pop(path).set()
        await late
        await two.until_written()
        assert cache_did(await one.viewer.get(path, headers=SINGLE)) == "fwd=miss; stored"


async def test_after_a_purge_no_old_rest_follows_new_first_bytes(replica: dict[str, Any]) -> None:
    """The archive corrected the pixels, and names both by the same ETag."""
    lazy = {"lazy": {"first": "64KiB", "complete": "on-demand"}}
    old = codestream(3_000_000, seed=1)
    new = old[:100_000] + codestream(3_000_000, seed=2)[100_000:]
    origin = origin_with(old, etag='"same"')
    async with houses(origin, 2, profiles=lazy, profile="lazy", **replica) as (one, two):
        await one.viewer.get(FRAME, headers=SINGLE)
        await one.until_written()
        assert (await one.admin.delete(f"/cache{STUDY}")).status_code == 204
        origin.script = origin_with(new, etag='"same"').script
        assert (await one.viewer.get(FRAME, headers=FIRST)).content == new[:65536]
        await one.until_written()
        assert cache_did(await two.viewer.get(FRAME, headers=FIRST)) == "hit; detail=shared"
        for home in (one, two):
            assert (await home.viewer.get(FRAME, headers=SINGLE)).content == new


async def test_a_replica_that_may_have_missed_a_purge_asks_the_origin_about_all_that_it_has(
    replica: dict[str, Any], server: Valkey
) -> None:
    origin = RevalidatingOrigin(said="max-age=1000")
    async with houses(origin, 2, **replica) as (one, two):
        for home in (one, two):
            await shared(home).channel.is_open.wait()
            await home.viewer.get(FRAME, headers=SINGLE)
            await home.until_written()
        assert cache_did(await two.viewer.get(FRAME, headers=SINGLE)) == "hit"
        await server.incr(shared(two).channel._number)  # told to nobody
        await server.client_kill_filter(_type="pubsub")
        await two.until(lambda: two.app.tiered._memory._doubted > 0)  # type: ignore[union-attr]
        origin.asked.clear()
        assert (await two.viewer.get(FRAME, headers=SINGLE)).content == OLD
        assert [is_conditional(asked) for asked in origin.frame_requests] == [True]


@pytest.mark.parametrize("status", [401, 403])
async def test_a_caller_whom_the_origin_refuses_at_one_replica_is_asked_about_at_the_others(
    replica: dict[str, Any], status: int
) -> None:
    origin = GuardedOrigin("a", "b")
    paths = [frame_of(number) for number in range(len(BODIES))]
    async with houses(origin, 2, **(PLAIN | replica)) as (one, two):
        for home in (one, two):
            await shared(home).channel.is_open.wait()
            for who in ("a", "b"):
                await home.viewer.get(paths[0], headers=SINGLE | {"authorization": f"Bearer {who}"})
            await home.until_written()
        assert len(two.app.proofs._yes) == 2
        origin.readers.discard("a")
        origin.refusal = Reply(status, {}, (b"no",))
        headers = SINGLE | {"authorization": "Bearer a"}
        assert (await one.viewer.get(paths[1], headers=headers)).status_code == status
        await two.until(lambda: len(two.app.proofs._yes) == 1)
        assert (await two.viewer.get(paths[0], headers=headers)).status_code == status
        headers = SINGLE | {"authorization": "Bearer b"}
        assert cache_did(await two.viewer.get(paths[0], headers=headers)) == "hit"


async def test_a_message_that_is_garbage_stops_nobody(replica: dict[str, Any], server: Valkey) -> None:
    origin = CountingOrigin(volume(1))
    async with houses(origin, 2, **replica) as (one, two):
        for home in (one, two):
            await shared(home).channel.is_open.wait()
        for message in (b"", b"1", b"x:y", b"1:" + b"z" * 64, b"\xff" * 9):
            await server.publish(shared(two).channel._name, message)
        await two.viewer.get(next(iter(origin.bodies)), headers=SINGLE)
        await two.until(lambda: not shared(two).channel.is_open.is_set())
        await shared(two).channel.is_open.wait()
        assert (await one.admin.delete(f"/cache{STUDY}")).status_code == 204
        await until_empty(two)


async def test_waits_in_vain_are_misses_and_the_server_is_asked_on(
    replica: dict[str, Any], server: Valkey
) -> None:
    origin = CountingOrigin(volume(8, size=10_000))
    async with house(origin, **replica) as one:
        tier = shared(one)
        tier.patience = Patience(STORY, 0.01, STORY, 0.01)
        for path in origin.bodies:
            await server.set(tier._keys.of(key_of(path)).lease, b"another")
            await one.viewer.get(path, headers=SINGLE)
        assert one.metric("tier_lookups_total", tier="shared", part="first", outcome="miss") == 8


def test_the_budget_of_a_wait_is_longer_than_the_wait() -> None:
    patience = Patience(0.008, 0.05)
    assert patience.budget.first == patience.first + patience.wait
    assert patience.budget.piece >= 2 * patience.piece + patience.rest
