"""Metadata and searches that the proxy compresses: by `Accept-Encoding`, once, and for all who wait."""

import asyncio
import gzip
import json
import sys
import zlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.house import cache_did
from tests.scripted_origin import SERIES, Reply, ScriptedOrigin, codestream, etag_of
from tests.stories.test_studies import JSON, METADATA, STUDY, Archive, Open, opened

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.anyio

TEXT = json.dumps([{"00080018": {"vr": "UI", "Value": [f"1.2.{number}"]}} for number in range(9000)]).encode()
UNDO: dict[str | None, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "zstd": zstd.decompress,
    None: bytes,
}
START: dict[str, Callable[[], Any]] = {"gzip": lambda: zlib.decompressobj(31), "zstd": zstd.ZstdDecompressor}
BROWSER, OLDER, BARE = "gzip, deflate, br, zstd", "gzip", "identity"


def archive_of(text: bytes = TEXT, *, has_validators: bool = True) -> Archive:
    archive = Archive()
    archive.default, archive.has_validators = text, has_validators
    return archive


async def got(
    at: Open, accepted: str, path: str = METADATA, **more: str
) -> tuple[bytes, str | None, httpx.Response]:
    """The body as it came, its coding, and the response."""
    headers = {name.replace("_", "-"): value for name, value in more.items()}
    asked = {"accept": JSON, "accept-encoding": accepted} | headers
    async with at.home.viewer.stream("GET", path, headers=asked) as answer:
        raw = b"".join([chunk async for chunk in answer.aiter_raw()])
    await at.settled()
    return raw, answer.headers.get("content-encoding"), answer


@pytest.mark.parametrize(
    ("setting", "codings"),
    [
        ("gzip", {BROWSER: "gzip", OLDER: "gzip", BARE: None}),
        ("zstd", {BROWSER: "zstd", OLDER: "gzip", BARE: None, "zstd;q=0, gzip;q=0.1": "gzip"}),
    ],
)
async def test_each_viewer_gets_a_coding_that_it_accepts_and_the_origin_is_asked_once(
    setting: str, codings: dict[str, str | None]
) -> None:
    archive = archive_of()
    async with opened(archive, listen={"compress": setting}) as at:
        for did in ("fwd=miss; stored", "hit; ttl=30", "hit; ttl=30"):
            for accepted, coding in codings.items():
                raw, named, answer = await got(at, accepted)
                assert (named, UNDO[coding](raw)) == (coding, TEXT)
                assert len(raw) < len(TEXT) / 5 or coding is None
                assert answer.headers["vary"] == "Accept, Accept-Encoding"
                assert answer.headers["etag"] == f"W/{etag_of(TEXT)}"
                assert cache_did(answer) == did
                did = "hit; ttl=30"
        assert len(archive.of(METADATA)) == 1


async def test_the_first_viewer_gets_it_compressed_as_it_accepts_while_it_arrives() -> None:
    for accepted, coding in ((BROWSER, "zstd"), (OLDER, "gzip")):
        archive, barrier = archive_of(), asyncio.Event()
        length = {"content-length": str(len(TEXT))}
        archive.then = (
            lambda asked, reply, length=length, barrier=barrier: Reply(  # type: ignore[misc]
                200, reply.headers | length, (TEXT[:1000], barrier, TEXT[1000:])
            )
        )
        async with opened(archive, listen={"compress": "zstd"}) as at:
            asked = {"accept": JSON, "accept-encoding": accepted}
            async with at.home.viewer.stream("GET", METADATA, headers=asked) as answer:
                pieces = answer.aiter_raw()
                first, decoder = await anext(pieces), START[coding]()
                assert decoder.decompress(first) == TEXT[:1000]
                barrier.set()
                rest = b"".join([piece async for piece in pieces])
            assert (answer.headers["content-encoding"], UNDO[coding](first + rest)) == (coding, TEXT)


async def test_many_who_need_another_coding_cause_it_to_be_made_once_and_it_counts() -> None:
    archive = archive_of()
    async with opened(archive, listen={"compress": "zstd"}) as at:
        await got(at, BROWSER)
        held = at.home.app.resources.holding._held
        before = held.size
        answers = await asyncio.gather(*(got(at, OLDER) for _ in range(50)))
        assert {(coding, gzip.decompress(raw)) for raw, coding, _ in answers} == {("gzip", TEXT)}
        assert len({raw for raw, _, _ in answers}) == 1
        assert held.size >= before + len(answers[0][0])
        assert not at.home.app.resources.compression._making
        at.now += 331
        assert cache_did((await got(at, OLDER))[2]) == "fwd=stale; fwd-status=304"
        assert held.size >= before + len(answers[0][0])  # it outlives a 304
        assert (await at.home.admin.delete(f"/cache{STUDY}")).status_code in (200, 204)
        assert held.size == 0


async def test_another_text_is_never_given_in_the_coding_of_the_one_before() -> None:
    archive = archive_of()
    async with opened(archive, listen={"compress": "zstd"}) as at:
        for accepted in (BROWSER, OLDER):
            await got(at, accepted)
        archive.default = TEXT + b" "
        at.now += 331
        assert gzip.decompress((await got(at, OLDER))[0]) == archive.default
        for accepted, undo in ((BROWSER, None), (OLDER, gzip.decompress), (BARE, bytes)):
            raw, coding, _ = await got(at, accepted)
            assert (undo or UNDO[coding])(raw) == archive.default


async def test_without_validators_the_etag_names_the_text_however_it_came_in_pieces() -> None:
    archive = archive_of(has_validators=False)
    async with opened(archive, listen={"compress": "zstd"}) as at:
        await got(at, BROWSER)
        etag = (await got(at, BROWSER))[2].headers["etag"]
        assert etag.startswith('W/"')
        chunks = tuple(
            b"%x\r\n%b\r\n" % (len(piece), piece)
            for piece in (*(TEXT[at : at + 999] for at in range(0, len(TEXT), 999)), b"")
        )
        archive.then = lambda asked, reply: Reply(
            200, reply.headers | {"transfer-encoding": "chunked"}, chunks
        )
        for accepted in (BROWSER, OLDER, BARE):
            at.now += 400
            raw, _, answer = await got(at, accepted, if_none_match=etag)
            assert (answer.status_code, raw, answer.headers["etag"]) == (304, b"", etag)


async def test_bytes_that_the_proxy_made_have_no_ranges() -> None:
    archive = archive_of()
    async with opened(archive, listen={"compress": "zstd"}) as at:
        await got(at, BROWSER)
        for accepted in (BROWSER, OLDER, BARE):
            raw, coding, answer = await got(at, accepted, range="bytes=0-9")
            assert (answer.status_code, UNDO[coding](raw)) == (200, TEXT)
            assert "accept-ranges" not in answer.headers


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (f"{SERIES}/thumbnail", {"content-type": "image/jpeg"}),
        (METADATA, {"content-type": JSON, "cache-control": "no-transform"}),
        (METADATA, {"content-type": JSON, "cache-control": "no-store"}),
    ],
    ids=str,
)
async def test_pictures_and_what_must_stay_as_it_is_are_not_compressed(
    path: str, headers: dict[str, str]
) -> None:
    archive = archive_of()
    archive.headers = headers
    async with opened(archive, listen={"compress": "zstd"}) as at:
        for _ in range(2):
            raw, coding, _ = await got(at, BROWSER, path)
            assert (raw, coding) == (TEXT, None)


async def test_what_the_origin_compressed_is_not_compressed_again() -> None:
    archive = archive_of()
    packed = gzip.compress(TEXT)
    archive.then = lambda asked, reply: Reply(200, reply.headers | {"content-encoding": "gzip"}, (packed,))
    async with opened(archive, listen={"compress": "zstd"}) as at:
        for accepted, coding in ((BROWSER, "gzip"), (OLDER, "gzip"), (BARE, None), ("zstd", None)):
            raw, named, _ = await got(at, accepted)
            assert (named, raw) == (coding, packed if coding else TEXT)


async def test_a_text_that_is_mostly_nothing_is_not_kept() -> None:
    archive = archive_of(b"[" + b" " * 5_000_000 + b"]")
    async with opened(archive, listen={"compress": "zstd"}, cache={"study_bytes": "64KiB"}) as at:
        for number in (1, 2):
            raw, coding, _ = await got(at, BROWSER)
            assert (coding, zstd.decompress(raw)) == ("zstd", archive.default)
            assert len(archive.of(METADATA)) == number
        assert at.home.app.resources.holding._held.size == 0


async def test_a_plan_reads_what_the_proxy_compressed() -> None:
    origin = ScriptedOrigin().with_series([codestream(9000, seed) for seed in range(3)])
    async with opened(origin, listen={"compress": "zstd"}) as at:
        assert (await got(at, BROWSER))[1] == "zstd"
        made = await at.home.begin_plan("sequential")
        assert (await at.home.events(made))[-1][1]["state"] == "done"
        assert origin.requests_of(METADATA) == 1
