"""The study around its frames: metadata, searches and pictures are fetched once and kept for a short time."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.house import House, cache_did, house
from tests.scripted_origin import (
    HANG_UP,
    SERIES,
    UID,
    Asked,
    Piece,
    Reply,
    ScriptedOrigin,
    codestream,
    etag_of,
)

pytestmark = pytest.mark.anyio

STUDY = f"/studies/{UID}.1"
METADATA = f"{SERIES}/metadata"
INSTANCE = f"{SERIES}/instances/{UID}.3"
JSON = "application/dicom+json"
KINDS = {
    "metadata of an instance": f"{INSTANCE}/metadata",
    "metadata of a series": METADATA,
    "metadata of a study": f"{STUDY}/metadata",
    "series": f"{STUDY}/series",
    "instances of a study": f"{STUDY}/instances",
    "instances of a series": f"{SERIES}/instances",
    "thumbnail": f"{SERIES}/thumbnail",
    "rendered picture": f"{INSTANCE}/rendered",
    "picture of a frame": f"{INSTANCE}/frames/1/rendered",
    "bulk data": f"{INSTANCE}/bulkdata/7fe00010",
    "instance": INSTANCE,
}


class Archive(ScriptedOrigin):
    """An origin whose bodies a story replaces. It has validators unless told otherwise."""

    def __init__(self, **bodies: bytes) -> None:
        super().__init__(script=self._answer)
        self.bodies: dict[str, bytes] = bodies
        self.default = b'[{"00080018": {"vr": "UI", "Value": ["1"]}}]'
        self.headers: dict[str, str] = {"content-type": JSON}
        self.has_validators = True
        self.then: Callable[[Asked, Reply], Reply] = lambda asked, reply: reply

    def _answer(self, asked: Asked) -> Reply | None:
        is_frame = "/frames/1" in asked.path and "rendered" not in asked.path
        if is_frame or not asked.path.startswith("/studies/"):
            return None
        body = self.bodies.get(asked.path.partition("?")[0], self.default)
        tag = {"etag": etag_of(body)} if self.has_validators else {}
        if tag and asked.headers.get("if-none-match") == tag["etag"]:
            return self.then(asked, Reply(304, tag))
        return self.then(asked, Reply(200, self.headers | tag, (body,)))

    def of(self, path: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.path == path]

    def conditions(self, path: str) -> list[str | None]:
        return [asked.headers.get("if-none-match") for asked in self.of(path)]


class Open:
    """A house in which time passes only when a story says so."""

    def __init__(self, home: House) -> None:
        self.home = home
        self.now = 1000.0
        home.app.resources.holding.clock = lambda: self.now

    async def get(self, path: str, who: str = "", **headers: str) -> httpx.Response:
        proof = {"authorization": f"Bearer {who}"} if who else {}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await self.home.viewer.get(path, headers={"accept": JSON} | proof | named)
        await self.settled()
        return answer

    async def did(self, path: str, who: str = "", **headers: str) -> tuple[int, str]:
        answer = await self.get(path, who, **headers)
        return answer.status_code, cache_did(answer)

    async def settled(self) -> None:
        await self.home.until(lambda: not len(self.home.app.resources))


@asynccontextmanager
async def opened(origin: ScriptedOrigin, /, **settings: Any) -> AsyncIterator[Open]:
    async with house(origin, **settings) as home:
        yield Open(home)


@pytest.mark.parametrize("path", KINDS.values(), ids=KINDS)
async def test_300_viewers_who_open_a_study_at_once_cause_one_request(path: str) -> None:
    archive, barrier = Archive(), asyncio.Event()
    archive.then = lambda asked, reply: Reply(reply.status, reply.headers, (barrier, *reply.pieces))
    async with opened(archive) as at:
        many = [asyncio.ensure_future(at.home.viewer.get(path, headers={"accept": JSON})) for _ in range(300)]
        await at.home.until_inside(300)
        barrier.set()
        answers = await asyncio.gather(*many)
        assert {(answer.status_code, answer.content) for answer in answers} == {(200, archive.default)}
        assert sorted({cache_did(answer) for answer in answers}) == [
            "fwd=miss; collapsed",
            "fwd=miss; stored",
        ]
        assert len(archive.of(path)) == 1


async def test_within_its_time_nothing_is_asked_then_once_with_a_condition() -> None:
    archive = Archive()
    async with opened(archive, cache={"study_ttl": 30, "study_stale": 300}) as at:
        assert await at.did(METADATA) == (200, "fwd=miss; stored")
        at.now += 29
        assert await at.did(METADATA) == (200, "hit; ttl=1")
        assert archive.conditions(METADATA) == [None]
        at.now += 2
        assert await at.did(METADATA) == (200, "hit; ttl=-1")  # at once, while the origin is asked
        assert archive.conditions(METADATA) == [None, etag_of(archive.default)]
        assert await at.did(METADATA) == (200, "hit; ttl=30")
        at.now += 331
        assert await at.did(METADATA) == (200, "fwd=stale; fwd-status=304")
        assert len(archive.of(METADATA)) == 3


async def test_many_who_come_after_its_time_cause_one_request() -> None:
    archive, barrier = Archive(), asyncio.Event()
    async with opened(archive) as at:
        await at.get(METADATA)
        at.now += 31
        archive.door = barrier
        answers = [await at.home.viewer.get(METADATA, headers={"accept": JSON}) for _ in range(20)]
        assert {cache_did(answer) for answer in answers} == {"hit; ttl=-1"}
        barrier.set()
        await at.settled()
        assert len(archive.of(METADATA)) == 2


async def test_a_study_that_grows_shows_its_new_series_to_the_second_who_asks_after_its_time() -> None:
    archive = Archive()
    path = f"{STUDY}/series"
    async with opened(archive) as at:
        old = (await at.get(path)).content
        archive.bodies[path] = b'[{"new": "series"}]'
        at.now += 29
        assert (await at.get(path)).content == old
        at.now += 2
        assert (await at.get(path)).content == old
        assert (await at.get(path)).content == archive.bodies[path]


@pytest.mark.parametrize("path", [STUDY, "/studies"])
async def test_what_a_store_through_the_proxy_touches_is_fetched_anew(path: str) -> None:
    archive = Archive()
    other = f"/studies/{UID}.9/series"
    stored = json.dumps({"00081199": {"Value": [{"00081190": {"Value": [f"{STUDY}/series/1/instances/2"]}}]}})

    script = archive.script
    assert script is not None
    archive.script = lambda asked: (
        Reply(200, {"content-type": JSON}, (stored.encode(),)) if asked.method == "POST" else script(asked)
    )
    async with opened(archive) as at:
        await at.get("/studies?PatientName=A")
        for each in (METADATA, f"{STUDY}/series", other):
            await at.get(each)
        archive.default = b'[{"another": "instance"}]'
        assert (await at.home.viewer.post(path, content=b"x")).status_code == 200
        for each in (METADATA, f"{STUDY}/series"):
            assert (await at.get(each)).content == archive.default
        assert await at.did(other) == (200, "hit; ttl=30")


async def test_an_old_response_that_is_on_its_way_when_the_study_changes_is_not_kept() -> None:
    archive, barrier = Archive(), asyncio.Event()
    archive.then = lambda asked, reply: Reply(reply.status, reply.headers, (barrier, *reply.pieces))
    script = archive.script
    assert script is not None
    archive.script = lambda asked: Reply(204, {}) if asked.method == "DELETE" else script(asked)
    async with opened(archive) as at:
        waiting = asyncio.ensure_future(at.home.viewer.get(METADATA, headers={"accept": JSON}))
        await at.home.until(lambda: len(archive.of(METADATA)) == 1)
        await at.home.viewer.delete(INSTANCE)
        barrier.set()
        assert (await waiting).content == archive.default
        await at.settled()
        assert await at.did(METADATA) == (200, "fwd=miss; stored")


async def test_a_study_that_the_origin_has_no_longer_is_dropped() -> None:
    archive = Archive()
    async with opened(archive) as at:
        for path in (f"{STUDY}/metadata", METADATA, f"{SERIES}/thumbnail", f"{STUDY}/series"):
            await at.get(path)
        at.now += 31
        archive.then = lambda asked, reply: Reply(404, {"content-type": "text/plain"}, (b"gone",))
        assert (await at.get(f"{STUDY}/metadata")).status_code == 200  # it is asked behind
        at.now -= 31  # all of it would still be fresh
        for path in (f"{STUDY}/metadata", METADATA, f"{SERIES}/thumbnail"):
            answer = await at.get(path)
            assert (answer.status_code, answer.content) == (404, b"gone")
        assert not any(key.resource.series for key in at.home.app.resources.holding._held)


async def test_a_thumbnail_that_is_missing_drops_nothing_else() -> None:
    archive = Archive()
    archive.then = lambda asked, reply: Reply(404, {}) if "thumbnail" in asked.path else reply
    async with opened(archive) as at:
        await at.get(METADATA)
        assert (await at.get(f"{SERIES}/thumbnail")).status_code == 404
        assert await at.did(METADATA) == (200, "hit; ttl=30")


async def test_an_origin_without_validators_is_asked_for_all_and_viewers_still_get_304() -> None:
    archive = Archive()
    archive.has_validators = False
    async with opened(archive) as at:
        await at.get(METADATA)
        first = await at.get(METADATA)
        etag = first.headers["etag"]
        assert await at.did(METADATA, if_none_match=etag) == (304, "hit; ttl=30")
        at.now += 400
        assert (await at.get(METADATA, if_none_match=etag)).status_code == 304  # the same bytes came again
        assert archive.conditions(METADATA) == [None, None]
        at.now += 400
        archive.default = b"[]"
        again = await at.get(METADATA, if_none_match=etag)
        assert (again.status_code, again.content) == (200, b"[]")


async def test_a_viewer_that_holds_the_version_gets_304_whatever_is_held_here() -> None:
    archive = Archive()
    tag = etag_of(archive.default)
    async with opened(archive) as at:
        missed = await at.get(METADATA, if_none_match=tag)
        assert (missed.status_code, missed.content, missed.headers["etag"]) == (304, b"", tag)
        assert await at.did(METADATA, if_none_match=f'"x", W/{tag}') == (304, "hit; ttl=30")
        assert await at.did(METADATA, if_none_match='"x"') == (200, "hit; ttl=30")


@pytest.mark.parametrize(
    ("accept", "label"),
    [
        (JSON, JSON),
        ("application/dicom+xml", "application/dicom+xml"),
        ("multipart/related; type=application/dicom+xml", "multipart/related; boundary=b"),
        ("application/json", "application/json"),
    ],
)
async def test_each_form_of_metadata_is_kept_as_it_came(accept: str, label: str) -> None:
    archive = Archive()
    archive.then = lambda asked, reply: Reply(
        200, reply.headers | {"content-type": label, "x-more": "kept"}, (asked.headers["accept"].encode(),)
    )
    async with opened(archive) as at:
        for did in ("fwd=miss; stored", "hit; ttl=30"):
            answer = await at.get(METADATA, accept=accept)
            assert (answer.content.decode(), answer.headers["content-type"]) == (accept, label)
            assert (answer.headers["x-more"], cache_did(answer)) == ("kept", did)
        assert len(archive.of(METADATA)) == 1


async def test_the_query_the_accepted_types_and_unknown_headers_are_part_of_the_key() -> None:
    archive = Archive()
    async with opened(archive) as at:
        for query in ("", "?a=1&b=2", "?b=2&a=1"):
            assert (await at.did(METADATA + query))[1] == "fwd=miss; stored"
            assert (await at.did(METADATA + query))[1] == "hit; ttl=30"
        for headers in ({"x_site_id": "1"}, {"x_site_id": "2"}, {"x_forwarded_host": "viewer.example"}):
            assert (await at.did(METADATA, **headers))[1] == "fwd=miss; stored"
            sent = archive.asked[-1].headers
            assert all(sent[name.replace("_", "-")] == value for name, value in headers.items())
        for headers in ({"user_agent": "x"}, {"accept_language": "de"}, {"x_request_id": "7"}):
            assert (await at.did(METADATA, **headers))[1] == "hit; ttl=30"


async def test_a_search_of_the_archive_is_kept_for_seconds_and_by_caller() -> None:
    search = "/studies?PatientName=A"
    archive = Archive()
    archive.metadata[search] = b"[]"
    async with opened(archive, cache={"search_ttl": 3}) as at:
        for who in ("one", "two"):
            assert await at.did(search, who) == (200, "fwd=miss; stored")
            assert await at.did(search, who) == (200, "hit; ttl=3")
        at.now += 4
        assert (await at.did(search, "one"))[1].startswith("fwd=stale")
        assert len(archive.of(search)) == 3


CUT: dict[str, tuple[dict[str, str], tuple[Piece, ...]]] = {
    "shorter than announced": ({"content-length": "99"}, (b"[1,", HANG_UP)),
    "a chunk that is missing": ({"transfer-encoding": "chunked"}, (b"3\r\n[1,\r\n", HANG_UP)),
}


@pytest.mark.parametrize("kind", CUT)
async def test_a_response_that_is_cut_is_never_kept(kind: str) -> None:
    headers, pieces = CUT[kind]
    archive = Archive()
    archive.then = lambda asked, reply: Reply(200, reply.headers | headers, pieces)
    async with opened(archive) as at:
        for number in (1, 2):
            with pytest.raises(httpx.TransportError):
                await at.home.viewer.get(METADATA, headers={"accept": JSON})
            await at.settled()
            assert len(archive.of(METADATA)) == number


async def test_an_origin_that_fails_in_the_middle_cuts_all_who_read_and_the_next_one_gets_all() -> None:
    archive, barrier = Archive(), asyncio.Event()
    archive.then = lambda asked, reply: Reply(
        200, reply.headers | {"content-length": "99"}, (b"[" * 9, barrier, HANG_UP)
    )
    async with opened(archive) as at:
        many = [
            asyncio.ensure_future(at.home.viewer.get(METADATA, headers={"accept": JSON})) for _ in range(5)
        ]
        await at.home.until_inside(5)
        await at.home.until(lambda: len(archive.of(METADATA)) == 1)
        barrier.set()
        assert all(
            isinstance(each, httpx.TransportError)
            for each in await asyncio.gather(*many, return_exceptions=True)
        )
        archive.then = lambda asked, reply: reply
        assert await at.did(METADATA) == (200, "fwd=miss; stored")


async def test_an_origin_that_is_down_for_a_moment_is_asked_behind_and_nobody_notices() -> None:
    archive = Archive()
    async with opened(archive) as at:
        await at.get(METADATA)
        archive.then = lambda asked, reply: Reply(503, {})
        at.now += 31
        for _ in range(5):
            assert await at.did(METADATA) == (200, "hit; ttl=-1")
        assert len(archive.of(METADATA)) == 2
        at.now += 300
        assert (await at.get(METADATA)).status_code == 503


@pytest.mark.parametrize(
    "headers",
    [
        {"cache-control": "no-store"},
        {"cache-control": "private"},
        {"vary": "*"},
        {"set-cookie": "session=1"},
        {"content-type": "text/html"},
    ],
    ids=str,
)
async def test_what_is_for_one_caller_only_is_kept_for_nobody(headers: dict[str, str]) -> None:
    archive, barrier = Archive(), asyncio.Event()
    archive.then = lambda asked, reply: Reply(200, reply.headers | headers, (barrier, *reply.pieces))
    async with opened(archive) as at:
        many = [
            asyncio.ensure_future(at.home.viewer.get(METADATA, headers={"accept": JSON})) for _ in range(3)
        ]
        await at.home.until_inside(3)
        barrier.set()
        for answer in await asyncio.gather(*many):
            assert (answer.status_code, cache_did(answer)) == (200, "fwd=miss")
            assert headers.items() <= dict(answer.headers).items()
        assert len(archive.of(METADATA)) == 3


async def test_a_cookie_goes_only_to_the_caller_who_asked() -> None:
    archive = Archive()
    archive.then = lambda asked, reply: Reply(200, reply.headers | {"set-cookie": "route=1"}, reply.pieces)
    async with opened(archive, access="credential") as at:
        assert (await at.get(METADATA, "a")).headers["set-cookie"] == "route=1"
        at.home.viewer.cookies.clear()
        held = await at.get(METADATA, "a")
        assert (cache_did(held), "set-cookie" in held.headers) == ("hit; ttl=30", False)


async def test_a_longer_body_than_is_kept_passes() -> None:
    archive = Archive()
    archive.default = bytes(300_000)
    async with opened(archive, cache={"study_bytes": "100KiB"}) as at:
        for _ in range(2):
            answer = await at.get(METADATA)
            assert (answer.content, cache_did(answer)) == (archive.default, "fwd=miss")
        archive.then = lambda asked, reply: Reply(
            200,
            {"content-type": JSON, "transfer-encoding": "chunked"},
            (b"%x\r\n" % len(archive.default), archive.default, b"\r\n0\r\n\r\n"),
        )
        for number in (3, 4):  # nobody knows at first that it is long
            answer = await at.get(METADATA)
            assert answer.content == archive.default
            assert len(archive.of(METADATA)) == number
        assert at.home.app.resources.holding._held.size == 0


async def test_instances_have_a_limit_of_their_own() -> None:
    archive = Archive()
    archive.default = bytes(2000)
    async with opened(archive, cache={"instances": 1000}) as at:
        assert (await at.did(INSTANCE))[1] == "fwd=miss"
        assert (await at.did(METADATA))[1] == "fwd=miss; stored"
    async with opened(archive, cache={"instances": 0}) as at:
        assert (await at.did(INSTANCE))[1] == ""  # it is forwarded


async def test_ranges_and_heads_are_answered_from_what_is_held() -> None:
    archive = Archive()
    body = archive.default
    async with opened(archive) as at:
        path = f"{INSTANCE}/bulkdata/7fe00010"
        first = await at.get(path, range="bytes=3-7")
        assert cache_did(first) == ""  # it goes to the origin as it is
        etag = (await at.get(path)).headers["etag"]
        part = await at.get(path, range="bytes=3-7")
        assert (part.status_code, part.content) == (206, body[3:8])
        assert part.headers["content-range"] == f"bytes 3-7/{len(body)}"
        assert (await at.get(path, range="bytes=3-7", if_range=etag)).status_code == 206
        assert (await at.get(path, range="bytes=3-7", if_range='"x"')).content == body
        several = await at.get(path, range="bytes=0-1,3-7")
        assert (several.status_code, several.content) == (200, body)
        beyond = await at.get(path, range="bytes=999-")
        assert (beyond.status_code, beyond.content) == (416, b"")
        asked = len(archive.of(path))
        head = await at.home.viewer.head(path, headers={"accept": JSON})
        assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(body)), b"")
        assert len(archive.of(path)) == asked


async def test_a_compressed_response_is_kept_as_it_came_and_undone_for_who_does_not_accept_it() -> None:
    archive = Archive()
    plain, packed = archive.default, gzip.compress(archive.default)
    archive.then = lambda asked, reply: Reply(200, reply.headers | {"content-encoding": "gzip"}, (packed,))
    async with opened(archive) as at:
        for accepted, coding in (("gzip", "gzip"), ("identity", None), ("br, gzip;q=0.5", "gzip")):
            async with at.home.viewer.stream(
                "GET", METADATA, headers={"accept": JSON, "accept-encoding": accepted}
            ) as answer:
                raw = b"".join([chunk async for chunk in answer.aiter_raw()])
            assert (raw, answer.headers.get("content-encoding")) == (packed if coding else plain, coding)
            assert answer.headers["etag"].startswith("W/") == (coding is None)
        assert [asked.headers["accept-encoding"] for asked in archive.of(METADATA)] == ["gzip"]


async def test_it_comes_to_all_who_wait_while_it_arrives() -> None:
    archive, barrier = Archive(), asyncio.Event()
    archive.then = lambda asked, reply: Reply(
        200, reply.headers | {"content-length": "6"}, (b"[1,", barrier, b"2] ")
    )
    async with opened(archive) as at:
        async with (
            at.home.viewer.stream("GET", METADATA, headers={"accept": JSON}) as one,
            at.home.viewer.stream("GET", METADATA, headers={"accept": JSON}) as two,
        ):
            bodies = [each.aiter_raw() for each in (one, two)]
            assert [await anext(body) for body in bodies] == [b"[1,", b"[1,"]
            barrier.set()
            assert [await anext(body) for body in bodies] == [b"2] ", b"2] "]
        assert len(archive.of(METADATA)) == 1


async def test_a_viewer_that_leaves_stops_nothing() -> None:
    archive, barrier = Archive(), asyncio.Event()
    archive.then = lambda asked, reply: Reply(
        200, reply.headers | {"content-length": "6"}, (b"[1,", barrier, b"2] ")
    )
    async with opened(archive) as at:
        async with at.home.viewer.stream("GET", METADATA, headers={"accept": JSON}) as one:
            assert await anext(one.aiter_raw()) == b"[1,"
        await at.home.until_inside(0)
        barrier.set()
        await at.settled()
        assert await at.did(METADATA) == (200, "hit; ttl=30")


async def test_a_plan_reads_the_metadata_that_a_viewer_fetched_and_the_other_way_round() -> None:
    for is_plan_first in (False, True):
        origin = ScriptedOrigin().with_series([codestream(9000, seed) for seed in range(3)])
        async with opened(origin) as at:
            if not is_plan_first:
                await at.get(METADATA)
            made = await at.home.begin_plan("sequential")
            assert (await at.home.events(made))[-1][1]["state"] == "done"
            answer = await at.get(METADATA)
            assert (answer.content, cache_did(answer)) == (origin.metadata[METADATA], "hit; ttl=30")
            assert origin.requests_of(METADATA) == 1


async def test_a_picture_of_the_origin_is_kept_and_one_that_it_refuses_is_made() -> None:
    archive = Archive()
    archive.headers = {"content-type": "image/png"}
    async with opened(archive, origin={"rendered": "if-missing"}) as at:
        for did in ("fwd=miss; stored", "hit; ttl=30"):
            assert await at.did(f"{SERIES}/thumbnail", accept="image/png") == (200, did)
        archive.then = lambda asked, reply: Reply(406, {}) if "rendered" in asked.path else reply
        answer = await at.get(f"{INSTANCE}/rendered", accept="image/png")
        assert "Problem" in answer.headers or answer.status_code != 406  # the proxy tried


async def test_answers_are_counted_by_kind() -> None:
    async with opened(Archive()) as at:
        for _ in range(3):
            await at.get(METADATA)
        assert at.home.metric("resource_answers_total", kind="metadata", cache="miss") == 1
        assert at.home.metric("resource_answers_total", kind="metadata", cache="hit") == 2


@pytest.mark.parametrize("said", ["no-cache", "max-age=0, must-revalidate", "max-age=10, must-revalidate"])
async def test_what_must_be_revalidated_waits_for_the_origin(said: str) -> None:
    archive = Archive()
    archive.headers = {"content-type": JSON, "cache-control": said}
    async with opened(archive) as at:
        await at.get(METADATA)
        at.now += 11
        assert await at.did(METADATA) == (200, "fwd=stale; fwd-status=304")
    archive.asked.clear()
    async with opened(archive, origin={"trust": "dicom"}) as at:
        await at.get(METADATA)
        at.now += 11
        assert await at.did(METADATA) == (200, "hit; ttl=19")
