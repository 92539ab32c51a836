"""What the service says over real sockets: representations, conditions, handing through, bad input."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import pytest

from tests.house import cache_did, house
from tests.scripted_origin import FRAME, LABEL, UID, Asked, Reply, ScriptedOrigin, codestream

pytestmark = pytest.mark.anyio

BODY = codestream(200_000)
SINGLE = {"accept": "image/jphc"}
PART = "image/jphc;transfer-syntax=1.2.840.10008.1.2.4.202"


def one_frame() -> ScriptedOrigin:
    return ScriptedOrigin({FRAME: BODY})


async def test_single_part_by_header_and_by_argument() -> None:
    async with house(one_frame()) as home:
        by_header = await home.viewer.get(FRAME, headers=SINGLE)
        by_argument = await home.viewer.get(FRAME + "?accept=image/jphc", headers={"accept": "text/html"})
        for answer in (by_header, by_argument):
            assert answer.headers["content-type"] == PART
            assert answer.content == BODY
        assert by_header.headers["etag"] == by_argument.headers["etag"]
        assert by_header.headers["accept-ranges"] == "bytes"
        assert len(home.origin.frame_requests) == 2


@pytest.mark.parametrize(
    "accept",
    [
        "*/*",
        "multipart/related; type=application/octet-stream; transfer-syntax=*",
        'multipart/related; type="image/jphc"; transfer-syntax=1.2.840.10008.1.2.4.202',
        "undefined",
    ],
)
async def test_multipart_is_the_same_at_every_request_and_ranges_over_all_of_it(accept: str) -> None:
    async with house(one_frame()) as home:
        whole = await home.viewer.get(FRAME, headers={"accept": accept})
        boundary = re.fullmatch(
            r'multipart/related; type="image/jphc"; boundary=([0-9a-f]{32})', whole.headers["content-type"]
        )
        assert boundary is not None
        before = f"--{boundary[1]}\r\nContent-Type: {PART}\r\n\r\n".encode()
        assert whole.content == before + BODY + f"\r\n--{boundary[1]}--".encode()
        parts = [
            await home.viewer.get(FRAME, headers={"accept": accept, "range": wanted})
            for wanted in ("bytes=0-65535", "bytes=65536-131071", "bytes=131072-")
        ]
        assert b"".join(part.content for part in parts) == whole.content
        total = len(whole.content)
        assert parts[2].headers["content-range"] == f"bytes 131072-{total - 1}/{total}"
        assert {part.headers["etag"] for part in parts} == {whole.headers["etag"]}


async def test_two_services_say_the_same_of_one_frame() -> None:
    said = []
    for _ in range(2):
        async with house(one_frame()) as home:
            answer = await home.viewer.get(FRAME)
            said.append((answer.headers["etag"], answer.headers["content-type"], answer.content))
    assert said[0] == said[1]


async def test_if_none_match_goes_before_range() -> None:
    async with house(one_frame()) as home:
        etag = (await home.viewer.get(FRAME, headers=SINGLE)).headers["etag"]
        headers = SINGLE | {"if-none-match": etag, "range": "bytes=0-99"}
        answer = await home.viewer.get(FRAME, headers=headers)
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)


async def test_if_unmodified_since_is_ignored_because_a_frame_has_no_date() -> None:
    async with house(one_frame()) as home:
        headers = SINGLE | {"if-unmodified-since": "Sat, 01 Jan 2000 00:00:00 GMT"}
        answer = await home.viewer.get(FRAME, headers=headers)
        assert (answer.status_code, answer.content) == (200, BODY)
        assert "last-modified" not in answer.headers


async def test_if_range_of_another_version_gives_the_whole() -> None:
    async with house(one_frame()) as home:
        etag = (await home.viewer.get(FRAME, headers=SINGLE)).headers["etag"]
        for tag, status in ((etag, 206), ('"other"', 200), (f"W/{etag}", 200)):
            headers = SINGLE | {"if-range": tag, "range": "bytes=0-199"}
            answer = await home.viewer.get(FRAME, headers=headers)
            assert answer.status_code == status
            assert answer.content == (BODY[:200] if status == 206 else BODY)


async def test_head_tells_what_get_would_and_completes_nothing() -> None:
    async with house(one_frame()) as home:
        head = await home.viewer.head(FRAME, headers=SINGLE | {"range": "bytes=0-9"})
        await home.until_idle()
        assert (head.status_code, head.headers["content-length"]) == (200, str(len(BODY)))
        assert home.origin.ranges == ["bytes=0-65535"]
        get = await home.viewer.get(FRAME, headers=SINGLE)
        assert get.headers["etag"] == head.headers["etag"]
        assert get.content == BODY


async def test_a_frame_within_the_first_fetch_gets_no_completion() -> None:
    small = codestream(50_000)
    async with house(ScriptedOrigin({FRAME: small})) as home:
        assert (await home.viewer.get(FRAME, headers=SINGLE)).content == small
        assert (await home.viewer.get(FRAME, headers=SINGLE | {"range": "bytes=0-65535"})).content == small
        beyond = await home.viewer.get(FRAME, headers=SINGLE | {"range": "bytes=65536-"})
        assert (beyond.status_code, beyond.content) == (416, b"")
        assert beyond.headers["content-range"] == f"bytes */{len(small)}"
        assert home.origin.ranges == ["bytes=0-65535"]


NONSENSE = [
    "bytes=5-4",
    "bytes=a-b",
    "bytes=-",
    "bytes=0-1,3-4",
    "bytes=" + ",".join(["0-0"] * 1000),
    "bytes=-0",
]


@pytest.mark.parametrize("wanted", NONSENSE)
async def test_a_nonsense_range_is_416_with_an_empty_body_and_loses_nothing(wanted: str) -> None:
    async with house(one_frame()) as home:
        await home.viewer.get(FRAME, headers=SINGLE)
        answer = await home.viewer.get(FRAME, headers=SINGLE | {"range": wanted})
        assert (answer.status_code, answer.content) == (416, b"")
        assert answer.headers["content-range"] == f"bytes */{len(BODY)}"
        assert cache_did(await home.viewer.get(FRAME, headers=SINGLE)) == "hit"


async def test_an_unknown_range_unit_is_ignored() -> None:
    async with house(one_frame()) as home:
        answer = await home.viewer.get(FRAME, headers=SINGLE | {"range": "items=0-5"})
        assert (answer.status_code, answer.content) == (200, BODY)


BAD_FRAMES = {
    "frame 0": FRAME.replace("frames/1", "frames/0"),
    "leading zero": FRAME.replace("frames/1", "frames/01"),
    "nothing between two commas": FRAME.replace("frames/1", "frames/1,,2"),
    "more frames than anybody needs": FRAME.replace("frames/1", "frames/1" + ",1" * 1000),
    "no number": FRAME.replace("frames/1", "frames/one"),
    "letters in a UID that no ASCII has": FRAME.replace(f"{UID}.2", "1.2.%C3%A4"),
    "empty component": FRAME.replace(f"{UID}.2", "1..2"),
    "long UID": FRAME.replace(f"{UID}.3", "1." + "2" * 70),
    "quoted slash": FRAME.replace("frames/1", "frames/1%2f2"),
    "parameter": FRAME.replace("frames/1", "frames/1;x.css"),
}


@pytest.mark.parametrize("path", BAD_FRAMES.values(), ids=BAD_FRAMES)
async def test_what_names_no_frame_is_400_and_never_reaches_the_origin(path: str) -> None:
    async with house(one_frame()) as home:
        answer = await home.viewer.get(path, headers=SINGLE)
        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["title"] == "BadResource"
        assert len(answer.json()["detail"]) > 10
        assert home.origin.frame_requests == []


async def test_a_frame_beyond_the_last_is_the_origins_404() -> None:
    async with house(one_frame()) as home:
        path = FRAME.replace("frames/1", "frames/2")
        answer = await home.viewer.get(path, headers=SINGLE)
        assert (answer.status_code, answer.json()["title"]) == (404, "OriginRefused")
        ranged = await home.viewer.get(path, headers=SINGLE | {"range": "bytes=0-65535"})
        assert (ranged.status_code, ranged.content) == (404, b"")
        assert ranged.headers["content-type"] == "multipart/related"
        assert ranged.headers["problem"] == "OriginRefused: the origin answered 404"


async def test_an_origin_that_is_down_is_502_and_hits_go_on() -> None:
    async with house(one_frame()) as home:
        await home.viewer.get(FRAME, headers=SINGLE)
        await home.origin.stop()
        missed = await home.viewer.get(FRAME.replace("frames/1", "frames/2"), headers=SINGLE)
        assert (missed.status_code, missed.json()["title"]) == (502, "OriginUnreachable")
        passed = await home.viewer.get("/studies")
        assert (passed.status_code, passed.json()["title"]) == (502, "OriginUnreachable")
        held = await home.viewer.get(FRAME, headers=SINGLE)
        assert (held.content, cache_did(held)) == (BODY, "hit")


async def test_an_unknown_profile_is_404_and_names_those_there_are() -> None:
    async with house(one_frame()) as home:
        answer = await home.viewer.get(FRAME + "?profile=none", headers=SINGLE)
        assert (answer.status_code, answer.json()["title"]) == (404, "UnknownName")
        assert "sequential, single, streaming" in answer.json()["detail"]


@pytest.mark.parametrize("profile", ["single", "streaming"])
async def test_a_profile_of_one_plain_request_makes_one(profile: str) -> None:
    async with house(one_frame()) as home:
        answer = await home.viewer.get(f"{FRAME}?profile={profile}", headers=SINGLE)
        assert answer.content == BODY
        assert home.origin.ranges == [None]


async def test_what_is_not_held_is_handed_through_as_it_came() -> None:
    def script(asked: Asked) -> Reply | None:
        if "/frames/" not in asked.path:
            return None
        headers = {"content-type": "image/png", "connection": "keep-alive, x-hop", "x-hop": "1", "x-end": "2"}
        return Reply(200, headers, (b"\x89PNG",))

    async with house(ScriptedOrigin({}, script)) as home:
        path = FRAME + "/rendered?viewport=64,64&x=%41"
        answer = await home.viewer.get(f"/pacs{path}", headers={"accept": "image/png", "cookie": "a=b"})
        assert (answer.content, answer.headers["x-end"]) == (b"\x89PNG", "2")
        assert "x-hop" not in answer.headers
        asked = home.origin.frame_requests[0]
        assert (asked.path, asked.headers["cookie"]) == (path, "a=b")
        other_form = await home.viewer.get(FRAME, headers={"accept": "image/png"})
        assert other_form.content == b"\x89PNG"


async def test_stow_is_streamed_through_with_its_body() -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"x" * 100_000

    def script(asked: Asked) -> Reply | None:
        return Reply(200, {"content-type": "application/dicom+json"}, (b"{}",)) if asked.body else None

    async with house(ScriptedOrigin({}, script)) as home:
        headers = {"content-type": 'multipart/related; type="application/dicom"; boundary=b'}
        contents: tuple[bytes | AsyncIterator[bytes], ...] = (b"y" * 1_000_000, parts())
        for content in contents:
            answer = await home.viewer.post("/pacs/studies", content=content, headers=headers)
            assert (answer.status_code, answer.content) == (200, b"{}")
            stored = home.origin.asked[-1]
            assert (stored.method, stored.path, len(stored.body)) == ("POST", "/studies", 1_000_000)
            assert stored.headers["content-type"] == headers["content-type"]


@pytest.mark.parametrize("content", [b"x" * 10, b"x" * 200_000])
async def test_the_body_of_a_get_is_not_handed_on(content: bytes) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield content

    async with house(one_frame()) as home:
        for body in (content, parts()):
            await home.viewer.request("GET", "/studies/1/series", content=body)
            asked = home.origin.asked[-1]
            assert (asked.method, asked.path, asked.body) == ("GET", "/studies/1/series", b"")
            assert not {"content-length", "transfer-encoding"} & set(asked.headers)


async def test_the_body_of_any_other_method_is_handed_on_if_there_is_one() -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"abc"

    async with house(one_frame()) as home:
        for method in ("POST", "PUT", "PATCH", "DELETE", "QUERY"):
            for body, whole in ((b"abc", b"abc"), (parts(), b"abc"), (None, b"")):
                await home.viewer.request(method, "/studies/1", content=body)
                assert (home.origin.asked[-1].method, home.origin.asked[-1].body) == (method, whole)


@pytest.mark.parametrize(
    ("wanted", "is_handed_on"),
    [
        ("bytes=0-9", True),
        ("bytes=0-0,2-3,-5", True),
        ("bytes=0-0,1-1,2-2,3-3", False),
        ("bytes=" + "0-0," * 1000, False),
        ("bytes=,,,,", False),
    ],
)
async def test_of_what_is_handed_through_few_ranges_are_asked_for(wanted: str, is_handed_on: bool) -> None:
    async with house(one_frame()) as home:
        await home.viewer.get(f"{FRAME}/rendered", headers={"range": wanted, "accept": "image/png"})
        assert home.origin.asked[-1].range == (wanted if is_handed_on else None)


@pytest.mark.parametrize(
    "path",
    [
        "/studies/../admin",
        "/studies/%2e%2e/admin",
        "/./studies",
        "/studies/..%2f..%2fadmin",
        "/studies/..;x/admin",
        "/studies/%5c..%5c../admin",
    ],
)
async def test_a_path_that_could_climb_is_refused(path: str) -> None:
    async with house(one_frame()) as home:
        host, port = str(home.viewer.base_url.host), home.viewer.base_url.port
        before = len(home.origin.asked)
        answer = await raw_get(host, port or 0, path)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert len(home.origin.asked) == before


async def test_headers_beyond_ascii_go_through_and_break_nothing() -> None:
    def script(asked: Asked) -> Reply | None:
        return Reply(200, {"content-type": "text/plain", "x-place": "K\xf6ln", "x-end": "1"}, (b"ok",))

    async with house(one_frame()) as home:
        cookie = [(b"cookie", "name=Müller".encode())]
        framed = await home.viewer.get(FRAME, headers=[*cookie, (b"accept", b"image/jphc")])
        assert framed.content == BODY
        assert home.origin.asked[-1].headers["cookie"].encode("latin-1") == cookie[0][1]
        home.origin.script = script
        passed = await home.viewer.get("/studies", headers=cookie)
        assert (passed.content, passed.headers["x-end"]) == (b"ok", "1")


async def test_more_headers_than_anybody_needs_are_431() -> None:
    async with house(one_frame()) as home:
        answer = await home.viewer.get(FRAME, headers={"x-long": "x" * 40_000})
        assert (answer.status_code, answer.json()["title"]) == (431, "TooLarge")


async def raw_get(host: str, port: int, target: str) -> bytes:
    """A request whose target no client library may tidy."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer


async def test_origins_are_told_apart_by_name_and_one_is_the_default() -> None:
    async with house(one_frame()) as home:
        named = await home.viewer.get("/pacs" + FRAME, headers=SINGLE)
        unnamed = await home.viewer.get(FRAME, headers=SINGLE)
        assert (named.content, cache_did(unnamed)) == (BODY, "hit")


async def test_arguments_that_are_the_origins_business_go_there_and_into_the_key() -> None:
    async with house(one_frame()) as home:
        for query in ("?imageSetId=a", "?imageSetId=b", "?imageSetId=a"):
            assert (await home.viewer.get(FRAME + query + "&accept=image/jphc")).content == BODY
        paths = {asked.path for asked in home.origin.frame_requests}
        assert paths == {FRAME + "?imageSetId=a", FRAME + "?imageSetId=b"}
        assert len(home.origin.frame_requests) == 4


async def test_nothing_that_is_no_store_is_kept() -> None:
    def script(asked: Asked) -> Reply | None:
        if "/frames/" not in asked.path:
            return None
        return Reply(200, {"content-type": LABEL, "cache-control": "no-store"}, (BODY,))

    async with house(ScriptedOrigin({}, script)) as home:
        for _ in range(2):
            assert (await home.viewer.get(FRAME, headers=SINGLE)).content == BODY
            await home.until_idle()
        assert len(home.origin.frame_requests) == 2
        assert home.metric("cache_bytes", part="first") == 0


async def test_neither_metrics_nor_logs_tell_of_a_patient(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = ("SENTINELTOKEN", "ZZSENTINEL", "9.8.7.6.5")
    path = FRAME.replace(UID, "9.8.7.6.5")
    async with house(ScriptedOrigin({path: BODY})) as home:
        headers = SINGLE | {"authorization": "Bearer SENTINELTOKEN"}
        for wanted in (path, path.replace("frames/1", "frames/2"), path.replace("frames/1", "frames/0")):
            refused = await home.viewer.get(wanted + "?PatientName=ZZSENTINEL", headers=headers)
            assert refused.status_code == 200 or not any(secret in refused.text for secret in secrets)
        await home.viewer.get("/studies?PatientName=ZZSENTINEL", headers=headers)
        exposed = (await home.admin.get("/metrics")).text
    logged = "\n".join(json.dumps(record.__dict__, default=str) for record in caplog.records)
    logged = "\n".join(line for line in logged.splitlines() if '"name": "proxy' in line)
    assert "proxy.viewers.frames" in logged
    for secret in secrets:
        assert secret not in exposed
        assert secret not in logged


async def test_uids_are_logged_where_the_settings_ask_for_them(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with house(one_frame(), log={"uids": True}) as home:
        await home.viewer.get(FRAME, headers=SINGLE)
    assert any(getattr(record, "resource", "") == FRAME[1:] for record in caplog.records)


async def test_metrics_tell_first_and_final_by_profile_and_cache() -> None:
    async with house(one_frame()) as home:
        for _ in range(3):
            await home.viewer.get(FRAME, headers=SINGLE)
        await home.until_inside(0)
        for kind in ("first", "final"):
            for did, count in (("miss", 1), ("hit", 2)):
                labels = {"profile": "sequential", "cache": did}
                assert home.metric(f"{kind}_delivery_seconds_count", **labels) == count
        assert home.metric("served_bytes_total", cache="hit") == 2 * len(BODY)
        assert home.metric("origin_bytes_total", origin="pacs", stage="first") == 65536
        assert home.metric("origin_bytes_total", origin="pacs", stage="completion") == len(BODY) - 65536
        exposition = await home.admin.get("/metrics")
        assert "progressive_proxy_first_delivery_seconds_bucket" in exposition.text
        assert (await home.admin.get("/livez")).status_code == 200


async def test_server_timing_tells_the_first_and_on_a_hit_the_final() -> None:
    async with house(one_frame()) as home:
        missed = await home.viewer.get(FRAME, headers=SINGLE)
        held = await home.viewer.get(FRAME, headers=SINGLE)
        assert re.fullmatch(r"first;dur=[0-9.]+", missed.headers["server-timing"])
        assert re.fullmatch(r"first;dur=[0-9.]+, final;dur=[0-9.]+", held.headers["server-timing"])


async def test_a_fault_of_the_proxy_is_500_and_logged_without_what_was_asked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    said: list[dict[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        said.append(dict(message))

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async with house(one_frame()) as home:
        scope = {"type": "http", "method": "GET", "headers": [(b"authorization", b"SENTINEL")]}
        await home.app.viewers(scope, receive, send)  # a server that left out the path
    assert said[0]["status"] == 500
    assert json.loads(said[1]["body"])["title"] == "InternalFault"
    assert "a fault inside the proxy" in caplog.text
    assert "SENTINEL" not in caplog.text


async def test_a_range_guarded_by_another_version_gets_all_though_nothing_is_completed() -> None:
    made = {"first": "64KiB", "complete": "on-demand"}
    lazy: dict[str, Any] = {"profiles": {"lazy": made}, "profile": "lazy"}
    async with house(one_frame(), **lazy) as home:
        guard = SINGLE | {"if-range": '"another"'}
        answer = await home.viewer.get(FRAME, headers=guard | {"range": "bytes=0-9"})
        assert (answer.status_code, answer.content) == (200, BODY)
        rest = await home.viewer.get(FRAME, headers=guard | {"range": "bytes=100-"})
        assert (rest.status_code, rest.content) == (416, b"")  # it would be put behind another version's part
        assert rest.headers["content-range"] == f"bytes */{len(BODY)}"


async def test_one_forwarded_request_too_many_is_refused_at_once_and_a_place_is_given_back() -> None:
    """Uploads and other requests have places of their own, and a place is held until the headers are in."""
    gate, sent = asyncio.Event(), asyncio.Event()

    def script(asked: Asked) -> Reply | None:
        if asked.path == "/studies/1/series":
            return Reply(200, {"content-length": "2"}, (b"o", gate, b"k"))
        return Reply(200, {}) if asked.method == "POST" else None

    async def upload() -> AsyncIterator[bytes]:
        yield b"o"
        sent.set()
        await gate.wait()
        yield b"k"

    origin = ScriptedOrigin({FRAME: BODY}, script)
    async with house(origin, origin={"limits": {"forwarded": 1}}) as home, asyncio.TaskGroup() as group:
        uploading = group.create_task(home.viewer.post("/studies", content=upload()))
        await sent.wait()
        while (full := await home.viewer.post("/studies", content=b"more")).status_code != 503:
            pass  # the first upload is not in yet
        assert full.json()["title"] == "OriginFull"
        assert full.headers["retry-after"] == "1"
        assert home.metric("origin_requests_total", origin="pacs", stage="pass", outcome="full") == 1
        assert (await home.viewer.get(FRAME, headers=SINGLE)).content == BODY
        async with home.viewer.stream("GET", "/studies/1/series") as slow:
            assert (await home.viewer.get("/studies/2")).status_code == 404
            gate.set()
            assert b"".join([chunk async for chunk in slow.aiter_raw()]) == b"ok"
        assert (await uploading).status_code == 200
        assert (await home.viewer.post("/studies", content=b"more")).status_code == 200
