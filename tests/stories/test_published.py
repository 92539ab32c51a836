"""URLs of an origin that lead to the proxy: it tells the origin where viewers are, or rewrites JSON."""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.house import STORY, House, house, read_until
from tests.scripted_origin import SERIES, Asked, Piece, Reply, ScriptedOrigin, running
from tests.stories.test_compressed import UNDO

pytestmark = pytest.mark.anyio

JSON = "application/dicom+json"
METADATA = f"{SERIES}/metadata"
HOST = {"x-forwarded-host": "imaging.example"}
TELLING = {"forwarded", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-prefix"}
TWO_HOSTS = {"listen": {"hosts": ["a.example", "b.example"]}}
OTHER = "/capabilities"
"""A path that the proxy only forwards."""


def text(base: str, more: str = "") -> bytes:
    """Metadata with a URL below a base."""
    return json.dumps([{"00281201": {"vr": "OW", "BulkDataURI": f"{base}{SERIES}/bulk/1"}}, more]).encode()


def answering(
    content: Callable[[str], bytes] = text,
    headers: Mapping[str, str] | None = None,
    status: int = 200,
    path: str = "/dicom-web",
) -> ScriptedOrigin:
    """An origin that answers everything with the same, in which it names itself."""
    origin = ScriptedOrigin()

    def script(asked: Asked) -> Reply:
        told = {"content-type": JSON, **(headers or {})}
        return Reply(status, told, (content(f"{origin.url}{path}"),))

    origin.script = script
    return origin


def asked_for_metadata(origin: ScriptedOrigin) -> list[Asked]:
    return [asked for asked in origin.asked if asked.path.endswith("/metadata")]


async def got(home: House, path: str = METADATA, **headers: str) -> Any:
    return await home.viewer.get(path, headers=HOST | {"accept": JSON} | headers)


async def got_at(home: House, host: str, **headers: str) -> httpx.Response:
    """The same for a viewer that knows the proxy by this name."""
    async with httpx.AsyncClient(base_url=home.viewer.base_url, timeout=STORY) as client:
        return await client.get(METADATA, headers={"accept": JSON, "host": host} | headers)


def base_in(content: bytes) -> str:
    uri: str = json.loads(content)[0]["00281201"]["BulkDataURI"]
    return uri.partition("/studies")[0]


@asynccontextmanager
async def below(
    origin: ScriptedOrigin, rest: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[House]:
    """The proxy before an origin whose base URL has a path. `rest` is settings beside those of the origin."""
    async with running(origin):
        pass  # so that it has a port, and keeps it
    url = f"{origin.url}/dicom-web"
    async with house(origin, origin={"url": url, **settings}, **(rest or {})) as home:
        assert url == f"{origin.url}/dicom-web"
        yield home


@pytest.mark.parametrize(
    ("headers", "public"),
    [
        ({}, "http://imaging.example"),
        ({"x-forwarded-proto": "https"}, "https://imaging.example"),
        ({"x-forwarded-host": "a.example, b.example"}, "http://a.example"),
        ({"x-forwarded-host": "a.example", "x-forwarded-prefix": "/pacs/"}, "http://a.example/pacs"),
        ({"forwarded": 'for=_1;host="a.example:8443";proto=https, host=b'}, "https://a.example:8443"),
        ({"x-forwarded-prefix": '/a"b'}, "http://imaging.example"),
        ({"x-forwarded-prefix": "/a/../b"}, "http://imaging.example"),
        ({"x-forwarded-prefix": "//evil.example"}, "http://imaging.example"),
    ],
)
async def test_the_urls_in_json_lead_to_where_the_viewer_sent_its_request(
    headers: dict[str, str], public: str
) -> None:
    origin = answering()
    async with below(origin, rewrite=True) as home:
        answer = await got(home, **headers)
        assert base_in(answer.content) == public
        assert set(answer.headers["vary"].split(", ")) >= TELLING
        assert "content-length" not in answer.headers


@pytest.mark.parametrize(("path", "public"), [("", "/pacs"), ("/cloud", "/pacs/cloud")])
async def test_a_setting_says_where_viewers_are_whatever_they_say(path: str, public: str) -> None:
    origin, url = answering(), "https://imaging.example/pacs/"
    rest = {"listen": {"public_url": url}}
    async with below(origin, rest, rewrite=True, name="cloud", default=True) as home:
        answer = await got(home, f"{path}{METADATA}", **{"x-forwarded-host": "evil.example"})
        assert base_in(answer.content) == f"https://imaging.example{public}"
        assert not set(answer.headers["vary"].split(", ")) & TELLING


async def test_a_url_that_was_rewritten_finds_the_origin_again() -> None:
    origin = answering()
    async with below(origin, rewrite=True) as home:
        answer = await home.viewer.get(METADATA, headers={"accept": JSON})
        uri = json.loads(answer.content)[0]["00281201"]["BulkDataURI"]
        await home.viewer.get(uri, headers={"accept": "*/*"})
        assert origin.asked[-1].path == f"/dicom-web{SERIES}/bulk/1"


async def test_without_the_setting_json_passes_as_it_is() -> None:
    origin = answering(headers={"etag": '"a"'})
    async with below(origin) as home:
        answer = await got(home)
        assert answer.content == text(f"{origin.url}/dicom-web")
        assert (answer.headers["etag"], "content-length" in answer.headers) == ('"a"', True)


async def test_a_text_is_sent_while_it_arrives_and_a_base_may_be_cut_anywhere() -> None:
    origin, barrier = ScriptedOrigin(), asyncio.Event()

    def script(asked: Asked) -> Reply | None:
        if "metadata" not in asked.path:
            return None
        whole = text(f"{origin.url}/dicom-web", "x" * 100_000) * 3
        at = whole.rindex(b"dicom-web")
        pieces: tuple[Piece, ...] = (whole[:at], barrier, whole[at:])
        return Reply(200, {"content-type": JSON}, pieces)

    origin.script = script
    async with below(origin, rewrite=True) as home:
        async with home.viewer.stream("GET", METADATA, headers=HOST) as answer:
            chunks = answer.aiter_raw()
            begun = await read_until(chunks, 200_000)  # before the origin goes on
            barrier.set()
            whole = begun + b"".join([chunk async for chunk in chunks])
        assert whole == text("http://imaging.example", "x" * 100_000) * 3


DIGESTS = {"content-digest": "sha-256=:a:", "repr-digest": "sha-256=:a:", "content-md5": "a", "digest": "a"}


async def test_what_names_or_measures_the_bytes_does_not_outlive_them() -> None:
    headers = DIGESTS | {
        "etag": '"a"',
        "accept-ranges": "bytes",
        "last-modified": "Sun, 06 Nov 1994 08:49:37 GMT",
    }
    origin = answering(headers=headers)
    async with below(origin, rewrite=True) as home:
        etags = set()
        for method in ("HEAD", "GET"):
            for path in (METADATA, OTHER):
                answer = await home.viewer.request(method, path, headers=HOST | {"accept": JSON})
                etags.add(answer.headers["etag"])
                assert "last-modified" in answer.headers
                assert not {"content-length", "accept-ranges", *DIGESTS} & set(answer.headers)
        (etag,) = etags
        assert etag.startswith('W/"a-')


async def test_a_304_has_the_etag_of_the_response_that_the_viewer_keeps() -> None:
    origin = ScriptedOrigin()

    def script(asked: Asked) -> Reply:
        is_same = "a" in asked.headers.get("if-none-match", "")
        return Reply(304, {"etag": '"a"'}) if is_same else Reply(200, {"content-type": JSON, "etag": '"a"'})

    origin.script = script
    async with house(origin, origin={"rewrite": True}) as home:
        got_here = (await got(home, OTHER)).headers["etag"]
        for asked, of_origin in ((got_here, 'W/"a"'), ('"a"', '"a"')):
            answer = await got(home, OTHER, **{"if-none-match": asked})
            assert (answer.status_code, answer.headers["etag"]) == (304, asked)
            assert origin.asked[-1].headers["if-none-match"] == of_origin


async def test_one_copy_is_kept_and_each_viewer_gets_it_with_its_own_urls() -> None:
    origin = answering(headers={"etag": '"a"'})
    hosts = ("a.example", "b.example", "a.example")
    async with below(origin, TWO_HOSTS, rewrite=True) as home:
        answers = [await got_at(home, host) for host in hosts]
        assert len(asked_for_metadata(origin)) == 1
        assert [base_in(answer.content) for answer in answers] == [f"http://{host}" for host in hosts]
        a, b, again = (answer.headers["etag"] for answer in answers)
        assert (a == again, a == b) == (True, False)
        for etag, status in ((a, 304), (b, 200), ('"a"', 200), ('W/"a"', 200)):
            assert (await got_at(home, hosts[0], **{"if-none-match": etag})).status_code == status
        assert len(asked_for_metadata(origin)) == 1


async def test_a_date_says_nothing_about_urls() -> None:
    date = "Sun, 06 Nov 1994 08:49:37 GMT"
    origin = answering(headers={"last-modified": date})
    async with below(origin, rewrite=True) as home:
        for _ in range(2):
            answer = await got(home, **{"if-modified-since": date})
            assert (answer.status_code, base_in(answer.content)) == (200, "http://imaging.example")


async def test_a_kept_text_with_other_urls_has_no_ranges_and_not_the_origin_s_coding() -> None:
    origin = answering(lambda base: gzip.compress(text(base)), {"content-encoding": "gzip"})
    async with below(origin, rewrite=True) as home:
        for headers in ({}, {}, {"range": "bytes=0-9"}):
            answer = await got(home, **headers, **{"accept-encoding": "gzip"})
            assert (answer.status_code, base_in(answer.content)) == (200, "http://imaging.example")
            assert not {"content-encoding", "content-length", "accept-ranges"} & set(answer.headers)
        assert len(asked_for_metadata(origin)) == 1
        head = await home.viewer.head(METADATA, headers=HOST | {"accept": JSON})
        assert (head.headers["etag"], "content-length" in head.headers) == (answer.headers["etag"], False)


SEARCH = "/studies?PatientID=1"


@pytest.mark.parametrize("path", [METADATA, SEARCH, f"{SERIES.rpartition('/series')[0]}/series", OTHER])
@pytest.mark.parametrize("caching", ["max-age=1", "no-store"])
@pytest.mark.parametrize("accepted", ["gzip, zstd", "gzip", "identity"])
async def test_json_with_other_urls_is_compressed_as_each_viewer_accepts(
    path: str, caching: str, accepted: str
) -> None:
    origin = answering(lambda base: text(base, "x" * 500_000), {"etag": '"a"', "cache-control": caching})
    coding = {"gzip, zstd": "zstd", "gzip": "gzip"}.get(accepted)
    async with below(origin, {"listen": {"compress": "zstd"}}, rewrite=True) as home:
        asked = HOST | {"accept": JSON, "accept-encoding": accepted}
        for more in ({}, {}, {"range": "bytes=0-9"}):
            async with home.viewer.stream("GET", path, headers=asked | more) as answer:
                raw = b"".join([chunk async for chunk in answer.aiter_raw()])
            assert (answer.status_code, answer.headers.get("content-encoding")) == (200, coding)
            assert UNDO[coding](raw) == text("http://imaging.example", "x" * 500_000)
            assert not {"content-length", "accept-ranges"} & set(answer.headers)
            assert "accept-encoding" in answer.headers["vary"].lower()
        etag = answer.headers["etag"]
        assert etag.startswith('W/"a-')
        head = await home.viewer.head(path, headers=asked)
        assert (head.headers["etag"], head.headers.get("content-encoding")) == (etag, coding)
        assert (head.content, "content-length" in head.headers) == (b"", False)


async def test_one_copy_serves_all_codings_and_the_etag_of_one_gets_304_in_all() -> None:
    origin = answering(headers={"etag": '"a"'})
    async with below(origin, {"listen": {"compress": "zstd"}}, rewrite=True) as home:
        codings = ("gzip, zstd", "gzip", "identity")
        etags = {(await got(home, **{"accept-encoding": said})).headers["etag"] for said in codings}
        (etag,) = etags
        for said in codings:
            same = await got(home, **{"accept-encoding": said, "if-none-match": etag})
            assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
        assert len(asked_for_metadata(origin)) == 1


async def test_compressed_json_with_other_urls_is_sent_while_it_arrives() -> None:
    origin, barrier = ScriptedOrigin(), asyncio.Event()

    def script(asked: Asked) -> Reply | None:
        if not asked.path.endswith((METADATA, OTHER)):
            return None
        whole = text(f"{origin.url}/dicom-web", "x" * 1000) * 3
        return Reply(200, {"content-type": JSON}, (whole[:2000], barrier, whole[2000:]))

    origin.script = script
    async with below(origin, {"listen": {"compress": "gzip"}}, rewrite=True) as home:
        for path in (METADATA, OTHER):
            barrier.clear()
            headers = HOST | {"accept-encoding": "gzip"}
            async with home.viewer.stream("GET", path, headers=headers) as answer:
                chunks, decoder = answer.aiter_raw(), zlib.decompressobj(31)
                begun = b""
                while len(begun) < 1500:  # before the origin goes on
                    begun += decoder.decompress(await anext(chunks))
                barrier.set()
                whole = begun + b"".join([decoder.decompress(chunk) async for chunk in chunks])
            assert (whole, decoder.eof) == (text("http://imaging.example", "x" * 1000) * 3, True)


@pytest.mark.parametrize(("path", "method"), [(METADATA, "GET"), (OTHER, "GET"), ("/studies", "POST")])
async def test_what_has_no_transform_and_the_response_to_an_upload_are_not_compressed(
    path: str, method: str
) -> None:
    origin = answering(headers={"cache-control": "no-transform"} if method == "GET" else {})
    async with below(origin, {"listen": {"compress": "gzip"}}, rewrite=True) as home:
        headers = HOST | {"accept": JSON, "accept-encoding": "gzip"}
        answer = await home.viewer.request(method, path, headers=headers)
        is_moved = base_in(answer.content) == "http://imaging.example"
        assert (answer.status_code, is_moved) == (200, method == "POST")
        assert "content-encoding" not in answer.headers


async def test_what_an_origin_builds_from_the_url_that_it_is_told_is_kept_for_that_url_only() -> None:
    origin = ScriptedOrigin()

    def script(asked: Asked) -> Reply:
        host = asked.headers.get("x-forwarded-host")
        return Reply(200, {"content-type": JSON, "etag": '"a"'}, (text(f"http://{host}"),))

    origin.script = script
    async with below(origin, TWO_HOSTS, forwarded="x-forwarded") as home:
        for host in ("a.example", "b.example", "a.example", "b.example"):
            answer = await got_at(home, host)
            assert base_in(answer.content) == f"http://{host}"
        assert len(asked_for_metadata(origin)) == 2


async def test_json_is_asked_for_whole_and_without_a_coding_and_other_things_by_range() -> None:
    origin = answering()
    async with below(origin, rewrite=True) as home:
        await got(home, **{"range": "bytes=0-9", "if-range": '"a"', "accept-encoding": "gzip"})
        asked = origin.asked[-1].headers
        assert (asked.get("range"), asked.get("if-range"), asked["accept-encoding"]) == (
            None,
            None,
            "identity",
        )
        await got(home, accept="application/octet-stream", range="bytes=0-9")
        assert origin.asked[-1].headers["range"] == "bytes=0-9"


async def test_a_coding_that_comes_all_the_same_is_undone() -> None:
    origin = answering(lambda base: gzip.compress(text(base)), {"content-encoding": "gzip"})
    async with below(origin, rewrite=True) as home:
        answer = await got(home)
        assert "content-encoding" not in answer.headers
        assert base_in(answer.content) == "http://imaging.example"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"cache-control": "max-age=1, no-transform"}, 200),
        ({"content-encoding": "br"}, 200),
        ({"content-type": "application/octet-stream"}, 200),
        ({"content-type": 'multipart/related; type="application/dicom+json"'}, 200),
        ({"content-range": "bytes 0-1/9"}, 206),
    ],
)
async def test_what_may_not_or_can_not_be_rewritten_passes_as_it_is(
    headers: dict[str, str], status: int
) -> None:
    origin = answering(headers=headers, status=status)
    async with below(origin, rewrite=True) as home:
        async with home.viewer.stream("GET", METADATA, headers=HOST | {"accept": "*/*"}) as answer:
            content = b"".join([chunk async for chunk in answer.aiter_raw()])
        assert content == text(f"{origin.url}/dicom-web")
        assert int(answer.headers["content-length"]) == len(content)


async def test_the_response_to_an_upload_is_rewritten_too() -> None:
    origin = answering()
    async with below(origin, rewrite=True) as home:
        answer = await home.viewer.post("/studies", content=b"x", headers=HOST)
        assert base_in(answer.content) == "http://imaging.example"


@pytest.mark.parametrize(
    ("location", "becomes"),
    [
        ("{}/studies/2", "http://imaging.example/studies/2"),
        ("{}2/studies", "{}2/studies"),
        ("http://login.example/", "http://login.example/"),
        ("/dicom-web/studies/2", "/dicom-web/studies/2"),
    ],
)
async def test_a_redirect_to_the_origin_s_own_url_leads_to_the_proxy(location: str, becomes: str) -> None:
    origin = ScriptedOrigin()

    def script(asked: Asked) -> Reply | None:
        told = {"location": location.format(f"{origin.url}/dicom-web")}
        return Reply(307, told) if "metadata" in asked.path else None

    origin.script = script
    async with below(origin, rewrite=True) as home:
        answer = await got(home)
        assert answer.headers["location"] == becomes.format(f"{origin.url}/dicom-web")


SPOOFED = {
    "forwarded": "host=evil.example;proto=https",
    "x-forwarded-host": "evil.example",
    "x-forwarded-port": "444",
    "x-forwarded-prefix": "/evil",
}
TOLD = ("forwarded", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-prefix", "x-forwarded-port")


@pytest.mark.parametrize(
    ("kind", "url", "told"),
    [
        ("rfc7239", "https://imaging.example", {"forwarded": "host=imaging.example;proto=https"}),
        ("rfc7239", "http://imaging.example:81", {"forwarded": 'host="imaging.example:81";proto=http'}),
        (
            "x-forwarded",
            "https://imaging.example/pacs",
            {
                "x-forwarded-host": "imaging.example",
                "x-forwarded-proto": "https",
                "x-forwarded-prefix": "/pacs/clinic",
            },
        ),
        (None, "https://imaging.example", SPOOFED),
    ],
)
async def test_an_origin_is_told_where_viewers_are_if_it_is_to_be(
    kind: str | None, url: str, told: dict[str, str]
) -> None:
    origin = ScriptedOrigin()
    settings = {"name": "clinic", "forwarded": kind}
    async with house(origin, origin=settings, listen={"public_url": url}) as home:
        for path in (f"/clinic{METADATA}", "/clinic/studies?limit=3"):
            await home.viewer.get(path, headers=SPOOFED)
            asked = origin.asked[-1].headers
            assert {name: asked[name] for name in TOLD if name in asked} == told


async def test_what_an_origin_built_from_that_is_not_rewritten_twice() -> None:
    """Some put their own path behind the public host, some behind the prefix that they are told."""
    origin = ScriptedOrigin()

    def script(asked: Asked) -> Reply:
        told = asked.headers
        host = f"{told.get('x-forwarded-proto')}://{told.get('x-forwarded-host')}"
        bases = (f"{host}/dicom-web", f"{host}{told.get('x-forwarded-prefix')}", f"{origin.url}/dicom-web")
        content = json.dumps([f"{base}/studies/1" for base in bases])
        return Reply(200, {"content-type": JSON}, (content.encode(),))

    origin.script = script
    async with below(origin, rewrite=True, forwarded="x-forwarded", name="pacs") as home:
        answer = await got(home, f"/pacs{METADATA}")
        assert set(answer.json()) == {"http://imaging.example/pacs/studies/1"}
