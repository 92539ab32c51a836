"""An HTTP proxy on the way to an origin: absolute-form requests, and tunnels to origins that speak TLS."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from tests.house import cache_did, house, read_until
from tests.outbound_proxy import OutboundProxy, outbound_proxy
from tests.scripted_origin import FRAME, Asked, Reply, ScriptedOrigin, codestream, honest, running
from tests.streams import streams

pytestmark = pytest.mark.anyio

FIRST, BODY = 65536, codestream(300_000)
VIEWER = {
    "accept": "image/jphc",
    "authorization": "Bearer viewers",
    "proxy-authorization": "Basic dmlld2Vycw==",
}


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("s3cret\n", "utf-8")
    return path


@asynccontextmanager
async def in_between(origin: ScriptedOrigin, login: str = "") -> AsyncIterator[OutboundProxy]:
    """An HTTP proxy that knows the origin as pacs.example."""
    async with running(origin), outbound_proxy({"pacs.example:80": origin.port}, login) as proxy:
        yield proxy


async def test_frames_and_all_else_of_an_http_origin_go_through_it(password: Path) -> None:
    origin = ScriptedOrigin({FRAME: BODY})
    async with in_between(origin, "proxy:s3cret") as proxy:
        via = {"url": proxy.url, "user": "proxy", "password_file": str(password)}
        async with house(origin, origin={"url": "http://pacs.example", "via": via}) as home:
            assert (await home.viewer.get(FRAME, headers=VIEWER)).content == BODY
            assert (await home.viewer.get("/studies?limit=1", headers=VIEWER)).status_code == 200
            upload = await home.viewer.post("/studies", headers=VIEWER, content=b"x" * 100_000)
            assert upload.status_code == 404  # it is the scripted origin's own word
    assert {asked.headers["host"] for asked in origin.asked} == {"pacs.example"}
    assert not any("proxy-authorization" in asked.headers for asked in origin.asked)
    assert len(proxy.passed) == len(origin.asked)
    assert all(passed.target.startswith("http://pacs.example/studies") for passed in proxy.passed)
    assert "Basic dmlld2Vycw==" not in {passed.headers["proxy-authorization"] for passed in proxy.passed}


async def test_first_bytes_arrive_while_the_rest_waits_at_the_origin() -> None:
    gate = asyncio.Event()

    def held(asked: Asked) -> Reply | None:
        is_rest = "/frames/" in asked.path and asked.range == f"bytes={FIRST}-"
        return honest(BODY, asked, before=(gate,)) if is_rest else None

    origin = ScriptedOrigin({FRAME: BODY}, held)
    async with (
        in_between(origin) as proxy,
        house(origin, origin={"url": "http://pacs.example", "via": proxy.url}) as home,
        home.viewer.stream("GET", FRAME, headers=VIEWER) as answer,
    ):
        chunks = answer.aiter_raw()
        first = await read_until(chunks, FIRST)
        gate.set()
        assert first + b"".join([chunk async for chunk in chunks]) == BODY


@asynccontextmanager
async def over_tls(origin: ScriptedOrigin, folder: Path) -> AsyncIterator[tuple[int, Path]]:
    """The origin speaks TLS as pacs.example. Yields its port, and the file of its authority."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("pacs.example").configure_cert(context)
    await asyncio.to_thread(authority.cert_pem.write_to_path, folder / "ca.pem")
    async with streams(origin.serve, tls=context) as port:
        yield port, folder / "ca.pem"


async def test_an_origin_that_speaks_tls_is_reached_in_a_tunnel_that_shows_nothing(
    password: Path, tmp_path: Path
) -> None:
    origin = ScriptedOrigin({FRAME: BODY})
    async with (
        over_tls(origin, tmp_path) as (port, authority),
        outbound_proxy({"pacs.example:443": port}, "proxy:s3cret") as proxy,
    ):
        via = {"url": proxy.url, "user": "proxy", "password_file": str(password)}
        said = {"url": "https://pacs.example", "via": via, "tls": {"ca_file": str(authority)}}
        async with house(ScriptedOrigin(), origin=said) as home:
            assert (await home.viewer.get(FRAME, headers=VIEWER)).content == BODY
            again = await home.viewer.get(FRAME, headers=VIEWER)
            assert (again.content, cache_did(again).partition(";")[0]) == (BODY, "hit")
    assert {(passed.method, passed.target) for passed in proxy.passed} == {("CONNECT", "pacs.example:443")}
    assert not any("authorization" in passed.headers for passed in proxy.passed)
    assert proxy.tunnelled.startswith(b"\x16\x03")  # a TLS handshake
    assert b"viewers" not in proxy.tunnelled
    assert "Bearer viewers" in {asked.headers.get("authorization") for asked in origin.asked}
    assert not any("proxy-authorization" in asked.headers for asked in origin.asked)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_login_that_is_wrong_is_said_to_the_operator_and_never_asked_of_a_viewer(
    scheme: str, password: Path
) -> None:
    origin = ScriptedOrigin({FRAME: BODY})
    names = {"pacs.example:80": 1, "pacs.example:443": 1}
    async with outbound_proxy(names, "proxy:another") as proxy:
        via = {"url": proxy.url, "user": "proxy", "password_file": str(password)}
        async with house(origin, origin={"url": f"{scheme}://pacs.example", "via": via}, wait=False) as home:
            for path in (FRAME, "/studies?limit=1"):
                answer = await home.viewer.get(path, headers=VIEWER)
                assert answer.status_code == 502
                assert "wants a login, or another one" in answer.json()["detail"]
                assert "proxy-authenticate" not in answer.headers
                assert not any(word in answer.text for word in ("hidden", "s3cret", "hospital"))
            ready = await home.admin.get("/readyz?verbose")
            assert "wants a login" in ready.text


async def test_a_password_that_is_changed_is_taken_up(password: Path) -> None:
    origin = ScriptedOrigin({FRAME: BODY})
    async with in_between(origin, "proxy:renewed") as proxy:
        via = {"url": proxy.url, "user": "proxy", "password_file": str(password)}
        async with house(origin, origin={"url": "http://pacs.example", "via": via}, wait=False) as home:
            assert (await home.viewer.get(FRAME, headers=VIEWER)).status_code == 502
            await asyncio.to_thread(password.write_text, "renewed", "utf-8")
            while (answer := await home.viewer.get(FRAME, headers=VIEWER)).status_code != 200:
                await asyncio.sleep(0.02)
            assert answer.content == BODY


@pytest.mark.parametrize(
    ("scheme", "words"),
    [("http", "no connection to the origin"), ("https", "no connection to the HTTP proxy on the way")],
)
async def test_an_http_proxy_that_is_away_is_an_origin_that_can_not_be_reached(
    scheme: str, words: str
) -> None:
    async with outbound_proxy({}) as proxy:
        pass
    said = {"url": f"{scheme}://pacs.example", "via": proxy.url}
    async with house(ScriptedOrigin(), origin=said, wait=False) as home:
        answer = await home.viewer.get(FRAME, headers=VIEWER)
        assert (answer.status_code, answer.json()["title"]) == (502, "OriginUnreachable")
        assert words in answer.json()["detail"]


async def test_a_tunnel_that_is_refused_is_no_answer_of_the_origin() -> None:
    async with outbound_proxy({}) as proxy:  # it answers 403 to each name
        said = {"url": "https://pacs.example", "via": proxy.url}
        async with house(ScriptedOrigin(), origin=said, wait=False) as home:
            answer = await home.viewer.get(FRAME, headers=VIEWER)
            assert (answer.status_code, answer.json()["title"]) == (502, "OriginUnreachable")
            assert "refuses to connect" in answer.json()["detail"]


@pytest.mark.parametrize("excepted", ["", "pacs.example,127.0.0.0/8"])
async def test_the_environment_counts_only_if_the_origin_says_so(
    excepted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = ScriptedOrigin({FRAME: BODY})
    async with in_between(origin, "user:pw") as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("http://", "http://user:pw@"))
        monkeypatch.setenv("NO_PROXY", excepted)
        async with house(origin) as home:  # without `via`
            assert (await home.viewer.get(FRAME, headers=VIEWER)).content == BODY
            assert proxy.passed == []
        async with house(origin, origin={"via": "environment"}) as home:
            proxy.names[origin.url.removeprefix("http://")] = origin.port
            assert (await home.viewer.get(f"{FRAME}?again", headers=VIEWER)).status_code == 200
            assert bool(proxy.passed) is not bool(excepted)


async def test_no_viewer_s_login_at_an_http_proxy_goes_anywhere() -> None:
    origin = ScriptedOrigin({FRAME: BODY})
    async with (
        in_between(origin) as proxy,  # it refuses each login
        house(origin, origin={"url": "http://pacs.example", "via": proxy.url}) as home,
    ):
        for method, path in (("GET", FRAME), ("GET", "/studies?limit=1"), ("POST", "/studies")):
            answer = await home.viewer.request(method, path, headers=VIEWER)
            assert answer.status_code in (200, 404)
    assert not any("proxy-authorization" in passed.headers for passed in proxy.passed)


async def test_a_407_of_the_origin_itself_reaches_no_viewer() -> None:
    challenge = {"proxy-authenticate": "Basic realm=hospital"}
    origin = ScriptedOrigin(script=lambda asked: Reply(407, challenge, (b"hidden",)))
    async with house(origin, wait=False) as home:
        for path in (FRAME, "/studies?limit=1"):
            answer = await home.viewer.get(path, headers=VIEWER)
            assert answer.status_code == 502
            assert "proxy-authenticate" not in answer.headers
            assert "hidden" not in answer.text
