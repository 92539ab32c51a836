"""A cache in an object store with the S3 API: what replicas and sites get from it, and what a purge does."""

import asyncio
import ssl
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trustme

from proxy.cache.objects import Objects
from proxy.frame.frame import PIECE
from tests.guarded_origin import BODIES, GuardedOrigin, guarded
from tests.house import House, cache_did, house, houses
from tests.s3_server import KEY_ID, REGION, SECRET, Store, running_s3, settings_with
from tests.scripted_origin import FRAME, SERIES, Reply, ScriptedOrigin, codestream, frame_of, honest
from tests.stories.test_shared import CountingOrigin, until_empty, volume
from tests.valkey_server import relay, running_valkey

pytestmark = pytest.mark.anyio

BODY = codestream(3_000_000)
SINGLE = {"accept": "image/jphc"}
FIRST, REST = SINGLE | {"range": "bytes=0-65535"}, SINGLE | {"range": "bytes=65536-"}
STUDY = SERIES.partition("/series")[0]
NUMBERS = count()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running_s3() as port:
        yield port


@pytest.fixture
async def store(port: int) -> Store:
    """A bucket of its own."""
    return await asyncio.to_thread(Store, port, f"bucket-{next(NUMBERS)}")


@pytest.fixture
def replica(store: Store, tmp_path: Path) -> dict[str, Any]:
    """Settings of a replica."""
    return settings_with(tmp_path, store.port, store.bucket)


def objects(home: House) -> Objects:
    assert home.app.tiered is not None
    tier = home.app.tiered.tiers[-1]
    assert isinstance(tier, Objects)
    return tier


def origin_with(body: bytes = BODY, etag: str | None = None) -> ScriptedOrigin:
    return ScriptedOrigin(
        script=lambda asked: honest(body, asked, etag=etag) if asked.path == FRAME else None
    )


async def values_in(store: Store) -> dict[str, bytes]:
    return {path: await asyncio.to_thread(store.read, path) for path in await asyncio.to_thread(store.paths)}


async def rewrite(store: Store, values: dict[str, bytes]) -> None:
    for path in await asyncio.to_thread(store.paths):
        await asyncio.to_thread(store.drop, path)
    for path, value in values.items():
        await asyncio.to_thread(store.write, path, value)


async def test_a_new_site_gets_what_another_one_fetched(replica: dict[str, Any]) -> None:
    async with houses(origin_with(), 2, **replica) as (one, two):
        assert (await one.viewer.get(FRAME, headers=SINGLE)).content == BODY
        await one.until_written()
        one.origin.asked.clear()
        first = await two.viewer.get(FRAME, headers=FIRST)
        assert (first.content, cache_did(first)) == (BODY[:65536], "hit; detail=objects")
        assert (await two.viewer.get(FRAME, headers=REST)).content == BODY[65536:]
        assert one.origin.requests_of(FRAME) == 0
        assert two.metric("tier_lookups_total", tier="objects", part="rest", outcome="hit") == 1


async def test_a_volume_is_fetched_once_for_a_site_after_the_other(replica: dict[str, Any]) -> None:
    origin = CountingOrigin([*volume(8), *volume(4, size=90_000)])
    async with houses(origin, 3, **replica) as homes:
        for home in homes:
            answers = await asyncio.gather(*(home.viewer.get(path, headers=SINGLE) for path in origin.bodies))
            assert [answer.content for answer in answers] == list(origin.bodies.values())
            await home.until_written()
        assert origin.sent_twice == {}


async def test_a_frame_has_a_head_and_a_rest_and_a_small_one_only_a_head(
    replica: dict[str, Any], store: Store
) -> None:
    origin = CountingOrigin([codestream(3_000_000, seed=1), codestream(100_000, seed=2)])
    async with house(origin, **replica) as one:
        for path in origin.bodies:
            await one.viewer.get(path, headers=SINGLE)
        await one.until_written()
    paths = list(await values_in(store))
    assert len(paths) == 3
    assert sum(path.endswith("/head") for path in paths) == 2
    assert all(path.startswith("frames/pp2/") for path in paths)


async def test_what_is_gone_is_fetched_by_a_range_and_written_again(
    replica: dict[str, Any], store: Store
) -> None:
    async with houses(origin_with(), 2, **replica) as (one, two):
        await one.viewer.get(FRAME, headers=SINGLE)
        await one.until_written()
        (rest,) = [path for path in await values_in(store) if not path.endswith("/head")]
        await asyncio.to_thread(store.drop, rest)
        one.origin.asked.clear()
        assert (await two.viewer.get(FRAME, headers=SINGLE)).content == BODY
        assert one.origin.ranges_of(FRAME) == ["bytes=65536-"]
        await two.until_written()
        assert rest in await values_in(store)


async def test_a_rest_that_was_cut_is_taken_as_far_as_it_goes(replica: dict[str, Any], store: Store) -> None:
    async with houses(origin_with(), 2, **replica) as (one, two):
        await one.viewer.get(FRAME, headers=SINGLE)
        await one.until_written()
        (rest,) = [path for path in await values_in(store) if not path.endswith("/head")]
        content = await asyncio.to_thread(store.read, rest)
        await asyncio.to_thread(store.write, rest, content[: PIECE + 1000])
        one.origin.asked.clear()
        assert (await two.viewer.get(FRAME, headers=SINGLE)).content == BODY
        assert one.origin.ranges_of(FRAME) == [f"bytes={65536 + PIECE}-"]
        await two.until_written()
        assert len(await asyncio.to_thread(store.read, rest)) == len(content)


async def test_no_bit_that_changes_in_the_store_reaches_a_viewer(
    replica: dict[str, Any], store: Store
) -> None:
    origin = origin_with()
    async with house(origin, **replica) as one:
        await one.admin.delete(f"/cache{STUDY}")  # so that there is a fence too
        await one.viewer.get(FRAME, headers=SINGLE)
        await one.until_written()
    values = await values_in(store)
    assert len(values) == 1 + 1 + 1  # fence, head, rest
    for number, (path, value) in enumerate(values.items()):
        at = Random(number).randrange(8 * len(value))
        flipped = bytearray(value)
        flipped[at // 8] ^= 1 << at % 8
        await rewrite(store, values | {path: bytes(flipped)})
        async with house(origin, **replica) as two:
            assert (await two.viewer.get(FRAME, headers=FIRST)).content == BODY[:65536]
            assert (await two.viewer.get(FRAME, headers=SINGLE)).content == BODY


async def test_a_head_that_is_wrong_is_counted_and_written_anew(
    replica: dict[str, Any], store: Store
) -> None:
    origin = origin_with()
    async with house(origin, **replica) as one:
        await one.viewer.get(FRAME, headers=SINGLE)
        await one.until_written()
    (head,) = [path for path in await values_in(store) if path.endswith("/head")]
    for garbage in (b"x", b"\xff" * 70_000, b"\0" * 4):
        await asyncio.to_thread(store.write, head, garbage)
        async with house(origin, **replica) as two:
            assert cache_did(await two.viewer.get(FRAME, headers=SINGLE)) == "fwd=miss; stored"
            assert two.metric("tier_lookups_total", tier="objects", part="first", outcome="wrong") == 1
            await two.until_written()
        async with house(origin, **replica) as three:
            assert cache_did(await three.viewer.get(FRAME, headers=FIRST)) == "hit; detail=objects"


async def test_objects_of_another_frame_are_not_taken_for_this_one(
    replica: dict[str, Any], store: Store
) -> None:
    """Somebody who can write to the bucket swaps objects."""
    origin = CountingOrigin(volume(2))
    async with house(origin, **replica) as one:
        for path in origin.bodies:
            await one.viewer.get(path, headers=SINGLE)
        await one.until_written()
    values = await values_in(store)
    for is_head in (True, False):
        first, other = [path for path in values if path.endswith("/head") == is_head]
        await rewrite(store, values | {first: values[other], other: values[first]})
        async with house(origin, **replica) as two:
            for path, body in origin.bodies.items():
                assert (await two.viewer.get(path, headers=SINGLE)).content == body
            part = "first" if is_head else "rest"
            assert two.metric("tier_lookups_total", tier="objects", part=part, outcome="wrong") == 2


async def test_the_store_sees_no_uid_and_no_pixel(replica: dict[str, Any], store: Store) -> None:
    tagged = origin_with(etag='"1.2.826.0.1.3680043"')
    async with house(tagged, **replica) as one:
        await one.viewer.get(FRAME, headers=SINGLE)
        await one.until_written()
    seen = b"".join(path.encode() + value for path, value in (await values_in(store)).items())
    for secret in (b"1.2.826.0.1.3680043", STUDY.rpartition("/")[2].encode(), BODY[:16], BODY[-64:]):
        assert secret not in seen


async def test_sites_with_other_keys_or_origins_share_nothing(
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


async def test_a_purge_at_one_replica_empties_the_store_for_all(
    replica: dict[str, Any], store: Store
) -> None:
    origin = CountingOrigin(volume(3))
    async with houses(origin, 2, **replica) as (one, two):
        for path in origin.bodies:
            await one.viewer.get(path, headers=SINGLE)
        await one.until_written()
        assert (await one.admin.delete(f"/cache{STUDY}")).status_code == 204
        for path in origin.bodies:
            assert cache_did(await two.viewer.get(path, headers=SINGLE)) == "fwd=miss; stored"


async def test_what_is_fetched_before_a_purge_and_written_after_it_is_not_read(
    replica: dict[str, Any],
) -> None:
    """Replicas hear nothing of each other's purges."""
    origin = CountingOrigin(volume(1))
    (path,) = origin.bodies
    origin.held[path] = asyncio.Event()
    async with houses(origin, 3, **replica) as (one, two, three):
        late = asyncio.create_task(two.viewer.get(path, headers=SINGLE))
        await two.until(lambda: origin.sent[path] > 0)
        assert (await one.admin.delete(f"/cache{STUDY}")).status_code == 204
        origin.held.pop(path).set()
        await late
        await two.until_written()
        assert cache_did(await one.viewer.get(path, headers=SINGLE)) == "fwd=miss; stored"
        await one.until_written()
        # What was fetched after the purge is there for all.
        assert cache_did(await three.viewer.get(path, headers=FIRST)) == "hit; detail=objects"


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
        assert cache_did(await two.viewer.get(FRAME, headers=FIRST)) == "hit; detail=objects"
        for home in (one, two):
            assert (await home.viewer.get(FRAME, headers=SINGLE)).content == new


async def test_what_was_purged_is_deleted_later_and_what_came_after_it_stays(
    replica: dict[str, Any], store: Store
) -> None:
    origin = CountingOrigin(volume(3))
    async with house(origin, **replica) as one:
        for path in origin.bodies:
            await one.viewer.get(path, headers=SINGLE)
        await one.until_written()
        assert len(await values_in(store)) == 6
        assert (await one.admin.delete(f"/cache{STUDY}")).status_code == 204
        assert len(await values_in(store)) == 6 + 1
        await objects(one).tend()
        (fence,) = await values_in(store)
        assert "/purged/" in fence


@pytest.mark.parametrize("status", [401, 403])
async def test_a_caller_whom_the_origin_refuses_gets_nothing_from_the_store(
    replica: dict[str, Any], status: int
) -> None:
    origin, path = GuardedOrigin("a"), frame_of(0)
    async with guarded(origin, **replica) as at:
        assert (await at.ask("a", path)).content == BODIES[0]
        await at.home.until_written()
    origin.refusal = Reply(status, {}, (b"no",))
    async with guarded(origin, **replica) as at:
        assert await at.did("a", path) == (200, "hit; detail=objects")
        assert (await at.ask("b", path)).status_code == status
        assert (await at.ask("", path)).status_code == status


async def test_tls_with_an_authority_of_one_s_own(store: Store, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    async with relay(store.port, delay=0, tls=tls) as secure:
        for ca, did in (({"ca_file": str(tmp_path / "ca.pem")}, "miss"), ({}, "failed")):
            given = settings_with(
                tmp_path, secure, store.bucket, endpoint=f"https://localhost:{secure}", **ca
            )
            async with house(origin_with(), **given) as one:
                assert (await one.viewer.get(FRAME, headers=SINGLE)).content == BODY
                assert one.metric("tier_lookups_total", tier="objects", part="first", outcome=did) == 1


async def test_credentials_of_the_environment(
    replica: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {key: value for key, value in replica["cache"]["objects"].items() if key in ("url", "endpoint")}
    for name, value in (("ACCESS_KEY_ID", KEY_ID), ("SECRET_ACCESS_KEY", SECRET), ("REGION", REGION)):
        monkeypatch.setenv(f"AWS_{name}", value)
    async with houses(origin_with(), 2, **replica | {"cache": {"objects": said}}) as (one, two):
        await one.viewer.get(FRAME, headers=SINGLE)
        await one.until_written()
        assert cache_did(await two.viewer.get(FRAME, headers=FIRST)) == "hit; detail=objects"


async def test_behind_a_server_that_replicas_share_a_purge_reaches_all(
    replica: dict[str, Any], tmp_path: Path
) -> None:
    origin = CountingOrigin(volume(3))
    with running_valkey(tmp_path) as valkey:
        both = {"cache": replica["cache"] | {"shared": {"url": f"valkey://127.0.0.1:{valkey}"}}}
        async with houses(origin, 2, **replica | both) as homes:
            for home in homes:
                tiered = home.app.tiered
                assert tiered is not None
                assert [tier.name for tier in tiered.tiers] == ["shared", "objects"]
                await tiered.tiers[0].channel.is_open.wait()  # type: ignore[attr-defined]
                for path in origin.bodies:
                    await home.viewer.get(path, headers=SINGLE)
                await home.until_written()
            assert (await homes[0].admin.delete(f"/cache{STUDY}")).status_code == 204
            await until_empty(homes[1])
            await homes[1].until_written()
            origin.sent.clear()
            for home in homes:
                for path in origin.bodies:
                    await home.viewer.get(path, headers=SINGLE)
                await home.until_written()
            assert origin.sent_twice == {}
