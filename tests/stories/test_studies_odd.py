"""The study around its frames, at origins that change, lie or break, and for viewers that ask oddly."""

import asyncio
import gzip
import json

import httpx
import pytest

from tests.house import cache_did
from tests.scripted_origin import HANG_UP, Asked, Reply, ScriptedOrigin, codestream
from tests.stories.test_studies import INSTANCE, JSON, METADATA, STUDY, Archive, opened

pytestmark = pytest.mark.anyio

OLD_DATE, NEW_DATE = "Thu, 01 Jan 2026 00:00:00 GMT", "Fri, 02 Jan 2026 00:00:00 GMT"
OF_AN_INSTANCE = (f"{INSTANCE}/metadata", INSTANCE, f"{INSTANCE}/bulkdata/7fe00010", f"{INSTANCE}/rendered")
NEW = b'[{"00080018": {"vr": "UI", "Value": ["2"]}}]'
PAGE = b"<html>Sorry, we are down for maintenance.</html>"


@pytest.mark.parametrize("has_validators", [True, False])
@pytest.mark.parametrize("path", OF_AN_INSTANCE)
async def test_an_instance_that_is_replaced_shows_to_the_second_who_asks_after_its_time(
    path: str, *, has_validators: bool
) -> None:
    archive = Archive()
    archive.has_validators = has_validators
    async with opened(archive) as at:
        await at.get(path)
        old = (await at.get(path)).headers["etag"]
        archive.default = NEW
        at.now += 31
        await at.get(path)
        answer = await at.get(path, if_none_match=old)
        assert (answer.status_code, answer.content, cache_did(answer)) == (200, NEW, "hit; ttl=30")
        assert answer.headers["etag"] != old
        part = await at.get(path, range="bytes=3-", if_range=old)
        assert (part.status_code, part.content) == (200, NEW)  # no rest of the new one behind the old one


async def test_an_origin_that_knows_only_dates_is_asked_by_date() -> None:
    archive = Archive()
    archive.has_validators = False
    date = [OLD_DATE]
    archive.then = lambda asked, reply: (
        Reply(304, {"last-modified": date[0]})
        if asked.headers.get("if-modified-since") == date[0]
        else Reply(200, reply.headers | {"last-modified": date[0], "date": NEW_DATE}, reply.pieces)
    )
    async with opened(archive) as at:
        for since, status in ((OLD_DATE, 304), (NEW_DATE, 200)):
            await at.get(METADATA)
            assert (await at.get(METADATA, if_modified_since=since)).status_code == status
        at.now += 331
        assert await at.did(METADATA) == (200, "fwd=stale; fwd-status=304")
        date[0], archive.default = NEW_DATE, NEW
        at.now += 331
        assert (await at.get(METADATA)).content == NEW
        said = [asked.headers.get("if-modified-since") for asked in archive.of(METADATA)]
        assert said == [None, OLD_DATE, OLD_DATE]


async def test_a_head_is_never_answered_with_a_part_and_asks_nothing_that_is_held() -> None:
    archive = Archive()
    archive.then = lambda asked, reply: Reply(405, {}) if asked.method == "HEAD" else reply
    headers = {"accept": JSON}
    async with opened(archive) as at:
        assert (await at.home.viewer.head(METADATA, headers=headers)).status_code == 405
        etag = (await at.get(METADATA)).headers["etag"]
        head = await at.home.viewer.head(METADATA, headers=headers | {"range": "bytes=0-3"})
        assert (head.status_code, "content-range" in head.headers) == (200, False)
        assert head.headers["content-length"] == str(len(archive.default))
        same = await at.home.viewer.head(METADATA, headers=headers | {"if-none-match": etag})
        assert (same.status_code, same.headers["etag"]) == (304, etag)
        assert [asked.method for asked in archive.of(METADATA)] == ["HEAD", "GET"]


@pytest.mark.parametrize("names", [("if-match", '"x"'), ("if-unmodified-since", OLD_DATE)], ids=str)
async def test_a_condition_that_only_the_origin_can_judge_goes_to_it(names: tuple[str, str]) -> None:
    archive = Archive()
    archive.then = lambda asked, reply: Reply(412, {}) if names[0] in asked.headers else reply
    async with opened(archive) as at:
        await at.get(METADATA)
        assert await at.did(METADATA, **{names[0]: names[1]}) == (412, "")
        assert await at.did(METADATA) == (200, "hit; ttl=30")


async def test_a_reload_is_a_hit_too() -> None:
    archive = Archive()
    async with opened(archive) as at:
        await at.get(METADATA)
        for said in ("no-cache", "max-age=0", "no-store"):
            assert await at.did(METADATA, cache_control=said, pragma="no-cache") == (200, "hit; ttl=30")


async def test_a_range_of_metadata_counts_the_bytes_of_the_form_that_the_viewer_accepts() -> None:
    archive = Archive()
    plain, packed = archive.default, gzip.compress(archive.default)
    archive.then = lambda asked, reply: Reply(200, reply.headers | {"content-encoding": "gzip"}, (packed,))
    async with opened(archive) as at:
        await at.get(METADATA)
        async with at.home.viewer.stream(
            "GET", METADATA, headers={"accept": JSON, "accept-encoding": "gzip", "range": "bytes=2-9"}
        ) as part:
            raw = b"".join([chunk async for chunk in part.aiter_raw()])
        assert (part.status_code, raw, part.headers["content-encoding"]) == (206, packed[2:10], "gzip")
        whole = await at.get(METADATA, accept_encoding="identity", range="bytes=2-9")
        assert (whole.status_code, whole.content) == (200, plain)
        assert not {"accept-ranges", "content-range"} & set(whole.headers)


@pytest.mark.parametrize("path", [f"{STUDY}/series", f"{STUDY}/instances", "/studies"])
async def test_a_search_reaches_the_origin_to_the_letter_and_each_spelling_has_its_own_answer(
    path: str,
) -> None:
    echo = ScriptedOrigin(
        script=lambda asked: Reply(200, {"content-type": JSON}, (json.dumps([asked.path]).encode(),))
    )
    queries = (
        "includefield=00081030&includefield=00080060",
        "includefield=00080060&includefield=00081030",
        "includefield=00081030,00080060",
        "includefield=all",
        "PatientName=m%C3%BCller&fuzzymatching=true",
        "PatientName=m%C3%BCller&fuzzymatching=false",
        "PatientName=m%c3%bcller&fuzzymatching=true",
        "limit=5&offset=5",
        "limit=5&offset=10",
        "StudyDate=20260101-20260102",
    )
    async with opened(echo) as at:
        for did in ("fwd=miss; stored", "hit; ttl="):
            for query in queries:
                answer = await at.get(f"{path}?{query}")
                assert answer.json() == [f"{path}?{query}"]
                assert cache_did(answer).startswith(did)
        assert len(echo.asked_after_greeting) == len(queries)


async def test_nothing_found_is_said_as_the_origin_says_it() -> None:
    archive = Archive()
    archive.then = lambda asked, reply: Reply(204, {})
    async with opened(archive) as at:
        for _ in range(2):
            answer = await at.get(f"{STUDY}/series?Modality=XX")
            assert (answer.status_code, answer.content) == (204, b"")
            assert "content-length" not in answer.headers


@pytest.mark.parametrize("charset", ["; charset=utf-8", ';charset="UTF-8"', "; charset=iso-8859-1"])
async def test_a_charset_is_told_as_it_came_and_asked_for_as_the_viewer_wrote_it(charset: str) -> None:
    archive = Archive()
    archive.headers = {"content-type": JSON + charset}
    archive.default = '[{"00100010": "Müller"}]'.encode("latin-1")
    async with opened(archive) as at:
        for accept in (JSON, JSON + charset, f"{JSON}, application/json;q=0.9"):
            for did in ("fwd=miss; stored", "hit; ttl=30"):
                answer = await at.get(METADATA, accept=accept)
                assert (cache_did(answer), answer.content) == (did, archive.default)
                assert answer.headers["content-type"] == JSON + charset
        assert (await at.did(METADATA, accept_charset="utf-16"))[1] == "fwd=miss; stored"
        accepts = [asked.headers["accept"] for asked in archive.of(METADATA)]
        assert accepts == [JSON, JSON + charset, f"{JSON}, application/json;q=0.9", JSON]


async def test_a_page_that_is_sent_in_place_of_metadata_displaces_nothing() -> None:
    archive = Archive()
    async with opened(archive) as at:
        await at.get(METADATA)
        archive.then = lambda asked, reply: Reply(200, {"content-type": "text/html; charset=utf-8"}, (PAGE,))
        at.now += 31
        for _ in range(5):
            assert await at.did(METADATA) == (200, "hit; ttl=-1")
        assert len(archive.of(METADATA)) == 2  # it is asked again a little later
        at.now += 300
        answer = await at.get(METADATA)
        assert (answer.content, answer.headers["content-type"]) == (PAGE, "text/html; charset=utf-8")
        archive.then = lambda asked, reply: reply
        assert await at.did(METADATA) == (200, "fwd=stale; fwd-status=304")


async def test_an_empty_text_is_never_kept_and_displaces_nothing() -> None:
    archive = Archive()

    def empty(_: Asked, reply: Reply) -> Reply:
        return Reply(200, reply.headers)

    archive.then = empty
    async with opened(archive) as at:
        for _ in range(2):
            answer = await at.get(METADATA)
            assert (answer.status_code, answer.content) == (200, b"")
        assert len(archive.of(METADATA)) == 2
        archive.then = lambda asked, reply: reply
        await at.get(METADATA)
        archive.then = empty
        at.now += 31
        for _ in range(3):
            assert (await at.get(METADATA)).content == archive.default


async def test_a_part_that_nobody_asked_for_is_handed_on_as_a_part_and_not_kept() -> None:
    archive = Archive()
    async with opened(archive) as at:
        archive.then = lambda asked, reply: Reply(
            206,
            reply.headers | {"content-range": f"bytes 0-9/{len(archive.default)}"},
            (archive.default[:10],),
        )
        for number in (1, 2):
            answer = await at.get(METADATA)
            assert (answer.status_code, answer.content) == (206, archive.default[:10])
            assert answer.headers["content-range"] == f"bytes 0-9/{len(archive.default)}"
            assert len(archive.of(METADATA)) == number
        archive.then = lambda asked, reply: reply
        assert await at.did(METADATA) == (200, "fwd=miss; stored")


async def test_a_304_to_no_condition_is_an_error_of_the_origin() -> None:
    archive = Archive()
    archive.then = lambda asked, reply: Reply(304, {"etag": '"a"'})
    async with opened(archive) as at:
        for headers in ({}, {"if_none_match": '"a"'}):
            assert (await at.get(METADATA, **headers)).status_code == 502
        archive.then = lambda asked, reply: reply
        assert await at.did(METADATA) == (200, "fwd=miss; stored")


async def test_bytes_behind_the_announced_length_belong_to_no_response() -> None:
    archive = Archive()
    lie = b"HTTP/1.1 200 OK\r\ncontent-type: application/dicom+json\r\ncontent-length: 2\r\n\r\n{}"
    archive.then = lambda asked, reply: (
        Reply(200, reply.headers | {"content-length": str(len(archive.default))}, (archive.default + lie,))
        if asked.path == METADATA
        else reply
    )
    async with opened(archive) as at:
        assert (await at.get(METADATA)).content == archive.default
        for number in range(8):
            answer = await at.get(f"{STUDY}/series?number={number}")
            assert answer.content == archive.default


@pytest.mark.parametrize("status", [400, 401, 403, 406, 429, 500, 501])
async def test_an_error_is_handed_on_and_not_kept(status: int) -> None:
    archive = Archive()
    archive.then = lambda asked, reply: Reply(
        status, {"content-type": "application/problem+json", "retry-after": "7"}, (b"{}",)
    )
    async with opened(archive) as at:
        for number in (1, 2):
            answer = await at.get(METADATA)
            assert (answer.status_code, answer.content, answer.headers["retry-after"]) == (status, b"{}", "7")
            assert len(archive.of(METADATA)) == number


@pytest.mark.parametrize("coding", ["br", "gzip, br", "compress"])
async def test_a_coding_that_the_proxy_cannot_undo_is_handed_on_and_not_kept(coding: str) -> None:
    archive = Archive()
    archive.then = lambda asked, reply: Reply(200, reply.headers | {"content-encoding": coding}, (b"\x0b",))
    async with opened(archive) as at:
        for number in (1, 2):
            async with at.home.viewer.stream("GET", METADATA, headers={"accept": JSON}) as answer:
                raw = b"".join([chunk async for chunk in answer.aiter_raw()])
            await at.settled()
            assert (raw, answer.headers["content-encoding"]) == (b"\x0b", coding)
            assert len(archive.of(METADATA)) == number


async def test_a_name_that_is_no_coding_keeps_nothing_out() -> None:
    archive = Archive()
    archive.headers = {"content-type": "image/jpeg", "content-encoding": "aws-chunked"}
    async with opened(archive) as at:
        for did in ("fwd=miss; stored", "hit; ttl=30"):
            answer = await at.get(f"{STUDY}/thumbnail", accept_encoding="identity")
            assert (answer.content, cache_did(answer)) == (archive.default, did)


@pytest.mark.parametrize("coding", ["x-gzip", "GZIP", "gzip, identity"])
async def test_another_name_of_gzip_is_gzip(coding: str) -> None:
    archive = Archive()
    packed = gzip.compress(archive.default)
    archive.then = lambda asked, reply: Reply(200, reply.headers | {"content-encoding": coding}, (packed,))
    async with opened(archive) as at:
        for did in ("fwd=miss; stored", "hit; ttl=30"):
            bare = await at.get(METADATA, accept_encoding="identity")
            assert (bare.content, cache_did(bare)) == (archive.default, did)
            assert "content-encoding" not in bare.headers
            assert (await at.get(METADATA, accept_encoding="gzip")).headers["content-encoding"] == "gzip"


async def test_a_purge_in_the_middle_lets_readers_have_it_all_and_nobody_else() -> None:
    archive, barrier = Archive(), asyncio.Event()
    archive.then = lambda asked, reply: Reply(
        200,
        reply.headers | {"content-length": str(len(archive.default))},
        (b"[", barrier, archive.default[1:]),
    )
    async with (
        opened(archive) as at,
        at.home.viewer.stream("GET", METADATA, headers={"accept": JSON}) as one,
    ):
        body = one.aiter_raw()
        assert await anext(body) == b"["
        assert (await at.home.admin.delete(f"/cache{STUDY}")).status_code in (200, 204)
        late = asyncio.ensure_future(at.home.viewer.get(METADATA, headers={"accept": JSON}))
        await at.home.until(lambda: len(archive.of(METADATA)) == 2)  # it does not join
        barrier.set()
        assert b"[" + b"".join([chunk async for chunk in body]) == archive.default
        assert cache_did(await late) == "fwd=miss; stored"


async def test_a_purge_while_the_origin_confirms_leaves_nothing_behind() -> None:
    archive, barrier = Archive(), asyncio.Event()
    async with opened(archive) as at:
        await at.get(METADATA)
        at.now += 331
        archive.door = barrier
        waiting = asyncio.ensure_future(at.home.viewer.get(METADATA, headers={"accept": JSON}))
        await at.home.until(lambda: len(archive.of(METADATA)) == 2)
        assert (await at.home.admin.delete(f"/cache{STUDY}")).status_code in (200, 204)
        barrier.set()
        assert (await waiting).content == archive.default
        await at.settled()
        assert at.home.app.resources.holding._held.size == 0
        assert await at.did(METADATA) == (200, "fwd=miss; stored")


async def test_a_study_that_is_deleted_while_its_list_arrives_is_gone_for_the_next() -> None:
    archive = Archive()
    path = f"{STUDY}/metadata"
    archive.then = lambda asked, reply: Reply(200, reply.headers | {"content-length": "99"}, (b"[", HANG_UP))
    async with opened(archive) as at:
        with pytest.raises(httpx.TransportError):
            await at.home.viewer.get(path, headers={"accept": JSON})
        archive.then = lambda asked, reply: Reply(410, {"content-type": "text/plain"}, (b"gone",))
        for _ in range(2):
            answer = await at.get(path)
            assert (answer.status_code, answer.content) == (410, b"gone")


async def test_a_plan_is_not_misled_by_a_page_or_a_part() -> None:
    for status, headers in ((200, {"content-type": "text/html"}), (206, {"content-range": "bytes 0-1/9"})):
        origin = ScriptedOrigin().with_series([codestream(9000)])
        reply = Reply(status, {"content-type": JSON} | headers, (b"[]",))
        origin.script = lambda asked, reply=reply: reply if asked.path == METADATA else None
        async with opened(origin) as at:
            answer = await at.home.ask_plan("sequential")
            assert answer.status_code in (202, 404, 502)
            origin.script = None
            made = await at.home.begin_plan("sequential")
            assert (await at.home.events(made))[-1][1]["state"] == "done"


async def test_another_form_of_a_text_confirms_only_itself() -> None:
    archive = Archive()
    tags = {JSON: '"json"', "application/dicom+xml": '"xml"'}
    archive.then = lambda asked, reply: (
        Reply(304, {"etag": tags[asked.headers["accept"]]})
        if asked.headers.get("if-none-match") == tags[asked.headers["accept"]]
        else Reply(
            200,
            {"content-type": asked.headers["accept"], "etag": tags[asked.headers["accept"]]},
            (asked.headers["accept"].encode(),),
        )
    )
    async with opened(archive) as at:
        for _ in range(3):
            for accept in tags:
                assert (await at.get(METADATA, accept=accept)).content == accept.encode()
            at.now += 331
        said = [asked.headers.get("if-none-match") for asked in archive.of(METADATA)]
        assert said == [None, None, *tags.values(), *tags.values()]
        assert (await at.get(METADATA, accept="application/dicom+xml", if_none_match='"json"')).content
