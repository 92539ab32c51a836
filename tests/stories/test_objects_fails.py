"""An object store that is dead, slow, mad, locked or not there: nobody sees an error or a wrong byte."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest

from proxy.cache import behind
from proxy.cache.tier import Budget
from tests.house import STORY, House, cache_did, house
from tests.ports import free_port
from tests.s3_server import KEY_ID, SECRET, Store, running_s3, settings_with
from tests.scripted_origin import SERIES, ScriptedOrigin, codestream, frame_of
from tests.streams import streams
from tests.valkey_server import relay, saying

pytestmark = pytest.mark.anyio

BODIES = [codestream(300_000 + number, seed=number) for number in range(8)]
SINGLE = {"accept": "image/jphc"}
FIRST = SINGLE | {"range": "bytes=0-65535"}
STUDY = SERIES.partition("/series")[0]
LATE = Budget(0.001, 0.001)
"""Limits that a server passes for certain if it needs 50 ms."""
NUMBERS = count()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running_s3() as port:
        yield port


@pytest.fixture
async def store(port: int) -> Store:
    return await asyncio.to_thread(Store, port, f"broken-{next(NUMBERS)}")


@asynccontextmanager
async def at(
    folder: Path,
    port: int,
    bucket: str = "frames",
    budget: Budget | None = None,
    origin: ScriptedOrigin | None = None,
) -> AsyncIterator[House]:
    """A house with an origin of its own, or with one that others had before: then it finds their frames."""
    origin = origin or ScriptedOrigin().with_series(BODIES)
    async with house(origin, **settings_with(folder, port, bucket)) as home:
        if budget is not None:
            home.app.tiered.tiers[-1].budget = budget  # type: ignore[misc, union-attr]
        yield home


async def each_frame_comes(home: House) -> None:
    """Each frame comes from the origin, complete and without an error."""
    for number, body in enumerate(BODIES):
        answer = await home.viewer.get(frame_of(number), headers=SINGLE)
        assert (answer.status_code, answer.content) == (200, body)
        assert cache_did(answer) == "fwd=miss; stored"


def lookups(home: House, outcome: str) -> float:
    return home.metric("tier_lookups_total", tier="objects", part="first", outcome=outcome)


async def test_a_store_that_is_dead(tmp_path: Path) -> None:
    async with at(tmp_path, free_port()) as home:
        await each_frame_comes(home)
        assert lookups(home, "failed") == behind.FAILURES  # then it is left alone


async def test_a_purge_while_the_store_is_dead_says_so(tmp_path: Path) -> None:
    async with at(tmp_path, free_port()) as home:
        await each_frame_comes(home)
        assert home.app.tiered is not None
        home.app.tiered.patience = 0.0
        assert (await home.admin.delete(f"/cache{STUDY}")).status_code == 503
        assert home.app.tiered._memory.size == 0


async def test_a_store_that_is_slow(store: Store, tmp_path: Path) -> None:
    async with relay(store.port, delay=0.05) as slow, at(tmp_path, slow, store.bucket, LATE) as home:
        await each_frame_comes(home)
        assert lookups(home, "late") == behind.FAILURES


async def test_answers_that_come_too_late_are_never_those_to_another_look_up(
    store: Store, tmp_path: Path
) -> None:
    origin = ScriptedOrigin().with_series(BODIES)
    async with relay(store.port, delay=0.05) as slow:
        async with at(tmp_path, slow, store.bucket, origin=origin) as home:
            await each_frame_comes(home)
            await home.until_written()
        async with at(tmp_path, slow, store.bucket, origin=origin) as home:
            tiered = home.app.tiered
            assert tiered is not None
            tiered._tiers[0]._clock = lambda: float("inf")  # never alone
            for budget in (LATE, Budget(STORY, STORY)):
                tiered.tiers[0].budget = budget  # type: ignore[misc]
                answers = await asyncio.gather(
                    *(home.viewer.get(frame_of(number), headers=SINGLE) for number in range(8))
                )
                assert [answer.content for answer in answers] == BODIES
                await home.until_written()
            assert lookups(home, "wrong") == 0


async def test_a_bucket_that_is_missing(port: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with at(tmp_path, port, "nowhere") as home:
        await each_frame_comes(home)
        assert lookups(home, "failed") == behind.FAILURES
    assert "NoSuchBucket" in "".join(repr(vars(record)) for record in caplog.records)


def http(status: str, body: str, *headers: str) -> bytes:
    said = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join(said) + f"\r\n\r\n{body}").encode()


DENIED = f"<Error><Code>AccessDenied</Code><Message>{KEY_ID} may not</Message></Error>"
DATED = ("Last-Modified: Sun, 29 Nov 2026 08:00:00 GMT", 'ETag: "x"')
GARBAGE = {
    "access denied": http("403 Forbidden", DENIED),
    "another protocol": b"-ERR unknown command\r\n",
    "nothing known": b"\x00\xff" * 99,
    "server errors": http("503 Slow Down", "<Error><Code>SlowDown</Code></Error>"),
    "a page": http("200 OK", "<html>log in</html>", *DATED),
    "other bytes": http("206 Partial Content", "x" * 8, "Content-Range: bytes 0-7/8", *DATED),
    "another range": http("206 Partial Content", "x" * 8, "Content-Range: bytes 8-15/64", *DATED),
    "no end": http("206 Partial Content", "x" * 8, "Content-Range: bytes 0-99999999/99999999", *DATED),
    "redirects": http("307 Temporary Redirect", "", "Location: http://127.0.0.1:1/"),
    "XML": http("200 OK", "<ListBucketResult><Contents><Key>x</Key></Contents></ListBucketResult>"),
}


@pytest.mark.parametrize("name", GARBAGE)
async def test_a_store_that_answers_garbage(tmp_path: Path, name: str) -> None:
    async with saying(lambda _: GARBAGE[name]) as mad, at(tmp_path, mad) as home:
        await each_frame_comes(home)
        assert lookups(home, "hit") == 0
        assert lookups(home, "failed") + lookups(home, "wrong") > 0


async def test_a_store_that_accepts_and_says_nothing(tmp_path: Path) -> None:
    async with saying(lambda _: b"") as silent, at(tmp_path, silent, budget=LATE) as home:
        await each_frame_comes(home)
        assert lookups(home, "late") == behind.FAILURES


async def test_a_store_that_may_only_be_read(store: Store, tmp_path: Path) -> None:
    """Its frames are used, and nothing is written."""
    origin = ScriptedOrigin().with_series(BODIES)
    async with at(tmp_path, store.port, store.bucket, origin=origin) as home:
        await each_frame_comes(home)
        await home.until_written()
    written = await asyncio.to_thread(store.paths)

    async def passed(content: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", store.port)
        writer.write(content.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        answer = await reader.read(-1)
        writer.close()
        return answer

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(await passed(head) if head.startswith(b"GET") else GARBAGE["access denied"])
            await writer.drain()
        finally:
            writer.close()

    async with streams(serve) as port, at(tmp_path, port, store.bucket, origin=origin) as home:
        for number, body in enumerate(BODIES):
            answer = await home.viewer.get(frame_of(number), headers=FIRST)
            assert (answer.content, cache_did(answer)) == (body[:65536], "hit; detail=objects")
            assert (await home.viewer.get(frame_of(number), headers=SINGLE)).content == body
        await home.until_written()
    assert await asyncio.to_thread(store.paths) == written


async def test_no_secret_is_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with saying(lambda _: GARBAGE["access denied"]) as locked, at(tmp_path, locked) as home:
        await each_frame_comes(home)
        await home.until_written()
    said = "".join(repr(vars(record)) for record in caplog.records if record.name.startswith("proxy"))
    assert "AccessDenied" in said
    assert SECRET not in said
    assert KEY_ID not in said
