"""The cache holds a stale frame, and the origin revalidates it (RFC 9111 4.3)."""

import asyncio

import pytest

from proxy.frame.key import FrameKey
from proxy.wire.resource import parse_frame_path
from tests.house import house
from tests.revalidating_origin import (
    FIRST,
    LAZY,
    NEW,
    OLD,
    REST,
    SINGLE,
    Naming,
    RevalidatingOrigin,
    asks,
    by_date,
    by_etag,
    by_nothing,
    by_weak_etag,
    origin_of,
    until_asked,
)
from tests.scripted_origin import FRAME

pytestmark = pytest.mark.anyio

ANNE = {"authorization": "Bearer a"}
KEY = FrameKey("pacs", b"", parse_frame_path(FRAME[1:]))
STRONG, NAMED = (by_etag, by_date), (by_etag, by_date, by_weak_etag)


@pytest.mark.parametrize("naming", NAMED)
@pytest.mark.parametrize("said", ["no-cache", "max-age=0, must-revalidate", "max-age=0"])
@pytest.mark.parametrize("is_multipart", [False, True], ids=["single", "multipart"])
async def test_a_complete_frame_that_the_origin_still_has_is_not_fetched_again(
    naming: Naming, said: str, is_multipart: bool
) -> None:
    async with house(RevalidatingOrigin(naming, said, is_multipart=is_multipart)) as home:
        await asks(home)
        for headers in ({}, FIRST, REST):
            body, did, seen = await asks(home, **headers)
            assert OLD.endswith(body) or OLD.startswith(body)
            assert (did, len(seen), seen[0][0]) == ("fwd=stale; stored", 1, True)
        assert home.metric("origin_bytes_total", origin="pacs", stage="completion") < len(OLD)


@pytest.mark.parametrize("naming", NAMED)
@pytest.mark.parametrize("headers", [{}, FIRST], ids=["whole", "first"])
async def test_another_version_replaces_the_stale_one_and_is_never_mixed_with_it(
    naming: Naming, headers: dict[str, str]
) -> None:
    origin = RevalidatingOrigin(naming)
    async with house(origin) as home:
        await asks(home)
        origin.body = NEW
        body, _, seen = await asks(home, **headers)
        assert body == (NEW[:65536] if headers else NEW)
        assert seen[0][0]
        assert (await asks(home))[0] == NEW


@pytest.mark.parametrize("naming", STRONG)
async def test_a_stale_prefix_is_revalidated_and_completed_under_its_validator(naming: Naming) -> None:
    origin = RevalidatingOrigin(naming)
    async with house(origin, **LAZY) as home:
        await asks(home, **FIRST)
        assert (await asks(home, **FIRST))[::2] == (OLD[:65536], [(True, "bytes=0-65535")])
        body, _, seen = await asks(home)
        assert (body, seen) == (OLD, [(True, "bytes=0-65535"), (False, "bytes=65536-")])
        assert origin.asked[-1].headers["if-range"] in naming(OLD).values()


@pytest.mark.parametrize("naming", STRONG)
async def test_a_prefix_of_another_version_is_not_completed(naming: Naming) -> None:
    origin = RevalidatingOrigin(naming)
    async with house(origin, **LAZY) as home:
        await asks(home, **FIRST)
        origin.body = NEW
        assert (await asks(home))[0] == NEW


@pytest.mark.parametrize("naming", [by_weak_etag, by_nothing])
async def test_a_prefix_without_a_strong_validator_is_fetched_anew(naming: Naming) -> None:
    async with house(RevalidatingOrigin(naming), **LAZY) as home:
        await asks(home, **FIRST)
        _, did, seen = await asks(home, **FIRST)
        assert (did, seen) == ("fwd=miss; stored", [(False, "bytes=0-65535")])


THEN = {  # Cache-Control of a 304: is there one more request, and does it have a condition
    "max-age=60": (False, False),
    "max-age=0": (True, True),
    "": (True, True),
    "no-store": (True, False),
    "private, max-age=60": (True, False),
}


@pytest.mark.parametrize(("value", "after"), THEN.items(), ids=THEN)
async def test_a_304_gives_the_frame_a_new_lifetime(value: str, after: tuple[bool, bool]) -> None:
    origin = RevalidatingOrigin()
    origin.then = {"cache-control": value} if value else {}
    async with house(origin) as home:
        await asks(home)
        assert (await asks(home))[1] == "fwd=stale; stored"
        seen = (await asks(home))[2]
        assert (bool(seen), bool(seen) and seen[0][0]) == after


async def test_a_frame_is_dropped_if_its_304_varies_by_everything() -> None:
    origin = RevalidatingOrigin()
    origin.then = {"vary": "*"}
    async with house(origin) as home:
        await asks(home)
        assert (await asks(home))[0] == OLD
        assert (await asks(home))[1] == "fwd=miss; stored"


async def test_a_frame_that_comes_with_its_age_can_be_stale_at_once() -> None:
    origin = RevalidatingOrigin(said="max-age=60")
    origin.said["age"] = "60"
    async with house(origin) as home:
        await asks(home)
        assert (await asks(home))[1] == "fwd=stale; stored"


@pytest.mark.parametrize("naming", [by_etag, by_weak_etag, by_date])
async def test_a_304_about_another_version_is_not_believed(naming: Naming) -> None:
    origin = RevalidatingOrigin(naming)
    async with house(origin) as home:
        await asks(home)
        old = naming(OLD)
        origin.naming = lambda body: naming(body) | (old if origin.is_rash else {})
        origin.then = naming(NEW) | {"etag": '"another"'}
        origin.body, origin.is_rash = NEW, True
        answer = await home.viewer.get(FRAME, headers=SINGLE)
        assert [conditional for conditional, _ in origin.seen[-2:]] == [True, False]
        assert answer.status_code == 502  # the origin answers 304 to the plain request, too
        origin.is_rash, origin.naming = False, naming
        assert (await asks(home))[0] == NEW


async def test_a_304_to_an_unconditional_request_is_502() -> None:
    origin = RevalidatingOrigin()
    origin.is_rash = True
    async with house(origin) as home:
        assert (await home.viewer.get(FRAME, headers=SINGLE)).status_code == 502
        origin.is_rash = False
        assert (await asks(home))[0] == OLD


@pytest.mark.parametrize(("status", "told"), [(500, 502), (404, 404), (401, 401)])
async def test_a_stale_frame_is_not_served_if_the_origin_fails_or_refuses(status: int, told: int) -> None:
    origin = RevalidatingOrigin()
    async with house(origin) as home:
        home.app.origins["pacs"].missing.kept = 0.0
        await asks(home)
        origin.status = status
        assert (await home.viewer.get(FRAME, headers=SINGLE)).status_code == told
        await home.until_idle()
        origin.status = 200
        assert (await asks(home))[1] == ("fwd=stale; stored" if status == 500 else "fwd=miss; stored")


async def test_viewers_that_come_at_once_share_one_revalidation() -> None:
    async with house(RevalidatingOrigin()) as home:
        await asks(home)
        asking = await until_asked(home, *[{}] * 5)
        before = len(origin_of(home).seen)
        origin_of(home).barrier.set()
        assert [answer.content for answer in await asyncio.gather(*asking)] == [OLD] * 5
        assert len(origin_of(home).seen) == before


async def test_a_frame_evicted_during_its_revalidation_is_served_and_stored_again() -> None:
    async with house(RevalidatingOrigin()) as home:
        await asks(home)
        asking = await until_asked(home, {}, {})
        home.app.fills._store.drop(KEY)
        origin_of(home).barrier.set()
        assert [answer.content for answer in await asyncio.gather(*asking)] == [OLD] * 2
        assert (await asks(home))[1] == "fwd=stale; stored"


async def test_a_frame_deleted_during_its_revalidation_is_served_and_not_stored() -> None:
    async with house(RevalidatingOrigin()) as home:
        await asks(home)
        asking = await until_asked(home, {}, {})
        await home.viewer.delete(FRAME.partition("/series")[0])
        origin_of(home).barrier.set()
        assert [answer.content for answer in await asyncio.gather(*asking)] == [OLD] * 2
        await home.until_idle()
        assert (await asks(home))[1] == "fwd=miss; stored"


@pytest.mark.parametrize("said", ["private, no-cache", "private, max-age=0"])
async def test_a_private_frame_is_revalidated_for_its_caller_only(said: str) -> None:
    async with house(RevalidatingOrigin(said=said)) as home:
        for who, did in ((ANNE, "fwd=stale; stored"), ({}, "fwd=miss; stored")):
            await asks(home, **who)
            assert (await asks(home, **who))[1] == did


@pytest.mark.parametrize("headers", [{"cache-control": "no-store"}, {"vary": "*"}], ids=["no-store", "vary"])
async def test_a_response_that_may_not_be_stored_is_not_revalidated(headers: dict[str, str]) -> None:
    origin = RevalidatingOrigin()
    origin.said = headers
    async with house(origin) as home:
        await asks(home)
        assert (await asks(home))[1] == "fwd=miss; stored"
        assert home.metric("cache_bytes", part="first") == 0


async def test_a_fresh_frame_is_not_revalidated() -> None:
    async with house(RevalidatingOrigin(said="max-age=60")) as home:
        await asks(home)
        assert (await asks(home))[1:] == ("hit", [])
