"""Whole instances, series and studies: kept up to a size, coalesced, and handed on while they arrive."""

import asyncio

import pytest

from tests.house import cache_did
from tests.scripted_origin import SERIES, UID, Reply, etag_of
from tests.stories.test_studies import INSTANCE, STUDY, Archive, opened

pytestmark = pytest.mark.anyio

WHOLE = {"instance": INSTANCE, "series": SERIES, "study": STUDY}
ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'
LABEL = 'multipart/related; type="application/dicom"; boundary=b'


def files(number: int, size: int = 1000) -> bytes:
    """This many files in one multipart body."""
    part = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + bytes(128) + b"DICM" + bytes(size) + b"\r\n"
    return part * number + b"--b--\r\n"


def archive_of(body: bytes) -> Archive:
    archive = Archive()
    archive.default, archive.headers = body, {"content-type": LABEL}
    return archive


@pytest.mark.parametrize("path", WHOLE.values(), ids=WHOLE)
async def test_300_viewers_who_load_files_at_once_cause_one_request(path: str) -> None:
    archive, barrier = archive_of(files(3)), asyncio.Event()
    archive.then = lambda asked, reply: Reply(reply.status, reply.headers, (barrier, *reply.pieces))
    async with opened(archive) as at:
        many = [
            asyncio.ensure_future(at.home.viewer.get(path, headers={"accept": ACCEPT})) for _ in range(300)
        ]
        await at.home.until_inside(300)
        barrier.set()
        answers = await asyncio.gather(*many)
        assert {(each.content, each.headers["content-type"]) for each in answers} == {(files(3), LABEL)}
        await at.settled()
        assert await at.did(path, accept=ACCEPT) == (200, "hit; ttl=30")
        assert len(archive.of(path)) == 1


@pytest.mark.parametrize("path", WHOLE.values(), ids=WHOLE)
async def test_files_come_to_all_who_wait_while_they_arrive(path: str) -> None:
    body, barrier = files(2), asyncio.Event()
    first, rest = body[:1200], body[1200:]
    archive = archive_of(body)
    archive.then = lambda asked, reply: Reply(
        200, reply.headers | {"content-length": str(len(body))}, (first, barrier, rest)
    )
    async with opened(archive) as at:
        async with (
            at.home.viewer.stream("GET", path, headers={"accept": ACCEPT}) as one,
            at.home.viewer.stream("GET", path, headers={"accept": ACCEPT}) as two,
        ):
            bodies = [each.aiter_raw() for each in (one, two)]
            assert [await anext(each) for each in bodies] == [first, first]
            barrier.set()
            assert [await anext(each) for each in bodies] == [rest, rest]
        assert len(archive.of(path)) == 1


@pytest.mark.parametrize("is_told", [True, False], ids=["with a length", "in chunks"])
@pytest.mark.parametrize("path", WHOLE.values(), ids=WHOLE)
async def test_files_that_are_larger_than_the_limit_pass(path: str, *, is_told: bool) -> None:
    body = files(4, 100_000)
    archive = archive_of(body)
    if not is_told:
        chunks = b"%x\r\n" % len(body), body, b"\r\n0\r\n\r\n"
        archive.then = lambda asked, reply: Reply(
            200, reply.headers | {"transfer-encoding": "chunked"}, chunks
        )
    async with opened(archive, cache={"instances": "200KiB"}) as at:
        for number in (1, 2):
            assert (await at.get(path, accept=ACCEPT)).content == body
            assert len(archive.of(path)) == number
        assert at.home.app.resources.holding._held.size == 0
        assert at.home.app.resources._room.filling == 0


@pytest.mark.parametrize("path", WHOLE.values(), ids=WHOLE)
async def test_files_are_confirmed_after_their_time_and_ranged_while_they_are_held(path: str) -> None:
    archive = archive_of(files(3))
    async with opened(archive, cache={"study_stale": 0}) as at:
        await at.get(path, accept=ACCEPT)
        part = await at.get(path, accept=ACCEPT, range="bytes=40-99")
        assert (part.status_code, part.content, cache_did(part)) == (206, files(3)[40:100], "hit; ttl=30")
        at.now += 31
        assert await at.did(path, accept=ACCEPT) == (200, "fwd=stale; fwd-status=304")
        assert archive.conditions(path) == [None, etag_of(files(3))]


async def test_a_series_that_is_deleted_through_the_proxy_drops_the_study_and_not_another_series() -> None:
    archive = archive_of(files(1))
    other = f"{STUDY}/series/{UID}.4"
    script = archive.script
    assert script is not None
    archive.script = lambda asked: Reply(204, {}) if asked.method == "DELETE" else script(asked)
    async with opened(archive) as at:
        for path in (*WHOLE.values(), other):
            await at.get(path, accept=ACCEPT)
        await at.home.viewer.delete(SERIES)
        for path in WHOLE.values():
            assert (await at.did(path, accept=ACCEPT))[1] == "fwd=miss; stored"
        assert await at.did(other, accept=ACCEPT) == (200, "hit; ttl=30")
