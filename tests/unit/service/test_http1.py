"""Bytes on viewers' connections: whose they are, how many are taken, and for how long."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from proxy.service.http1 import SLICE, Http1
from proxy.service.listeners import Listener, open_socket
from proxy.service.rules import Rules
from proxy.wire.head import joined
from tests.house import STORY, House, house
from tests.ports import free_port
from tests.raw_server import OK, HangUp, serving
from tests.raw_server import Asked as RawAsked
from tests.scripted_origin import FRAME, Asked, Reply, ScriptedOrigin, codestream, honest
from tests.simulation.clock import JumpingLoop, jump
from tests.streams import streams

pytestmark = pytest.mark.anyio

BODY = codestream(5_000)
OTHERS = b"DELETE /studies/9 HTTP/1.1\r\nHost: localhost\r\nX-Rest: "
"""The head of a request, as far as it takes to make the next caller's request its header."""
HEAD = b"Host: localhost\r\n"
TE = b"Transfer-Encoding: chunked\r\n"
SILENCE = 75
"""Seconds for which a connection may be silent."""


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "asyncio", {"loop_factory": JumpingLoop}


def says_whose(asked: Asked) -> Reply | None:
    """Each answer says for which request it is."""
    if asked.path in (FRAME, "/studies?limit=1"):
        return None
    said = f"{asked.method} {asked.path} {len(asked.body)} {asked.headers.get('authorization')}"
    return Reply(200, {"content-type": "text/plain"}, (said.encode(),))


def whose() -> ScriptedOrigin:
    return ScriptedOrigin({FRAME: BODY}, says_whose)


def asked_of(home: House) -> list[tuple[str, str, bytes]]:
    """Method, path and body of all that reached the origin, but for the greeting."""
    return [(a.method, a.path, a.body) for a in home.origin.asked if a.path != "/studies?limit=1"]


@asynccontextmanager
async def line_to(url: httpx.URL) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def answers(home: House, *pieces: bytes, at: httpx.URL | None = None) -> bytes:
    """All that comes back for these bytes, each piece sent by itself, until the connection ends."""
    async with line_to(at or home.viewer.base_url) as (reader, writer):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        return await reader.read()


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", answer)]


UPGRADES = {
    "named by Connection": b"Connection: Upgrade\r\nUpgrade: foo\r\n",
    "to HTTP/2": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    "to WebSocket": b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\n",
    "not named": b"Upgrade: foo\r\n",
    "kept alive": b"Connection: keep-alive, Upgrade\r\nUpgrade: foo\r\n",
}
FRAMED: dict[str, tuple[bytes, Callable[[bytes], bytes]]] = {
    "by length": (b"Content-Length: %d\r\n", lambda body: body),
    "by chunks": (
        b"Transfer-Encoding: chunked\r\n",
        lambda body: b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body),
    ),
}


@pytest.mark.parametrize("framed", FRAMED)
@pytest.mark.parametrize("upgrade", UPGRADES)
async def test_an_answer_to_a_request_with_upgrade_ends_the_connection_and_its_body_arrives_whole(
    upgrade: str, framed: str
) -> None:
    async with house(whose()) as home, line_to(home.viewer.base_url) as (reader, writer):
        header, wrapped = FRAMED[framed]
        header = header % len(OTHERS) if b"%" in header else header
        writer.write(b"POST /studies HTTP/1.1\r\n" + HEAD + UPGRADES[upgrade] + header + b"\r\n")
        await home.until_inside(1)
        writer.write(wrapped(OTHERS) + b"localhost\r\n\r\n" + OTHERS + b"\r\n\r\n")
        answer = await reader.read()
        assert asked_of(home) == [("POST", "/studies", OTHERS)]
    assert statuses(answer) == [200]
    assert b"connection: close\r\n" in answer
    assert answer.endswith(b"POST /studies %d None" % len(OTHERS))


@pytest.mark.parametrize("framed", FRAMED)
@pytest.mark.parametrize("cut", range(0, 160, 23))
async def test_wherever_it_is_cut_a_request_with_upgrade_is_the_same(framed: str, cut: int) -> None:
    async with house(whose()) as home:
        header, wrapped = FRAMED[framed]
        header = header % len(OTHERS) if b"%" in header else header
        whole = (
            b"POST /studies HTTP/1.1\r\n" + HEAD + UPGRADES["kept alive"] + header + b"\r\n" + wrapped(OTHERS)
        )
        answer = await answers(home, whole[:cut], whole[cut:], OTHERS)
        assert asked_of(home) == [("POST", "/studies", OTHERS)]
    assert statuses(answer) == [200]


@pytest.mark.parametrize("path", [FRAME, "/studies/1"])
async def test_a_get_with_upgrade_is_answered_once(path: str) -> None:
    async with house(whose()) as home:
        request = b"GET %s HTTP/1.1\r\n%s%sAccept: */*\r\n\r\n"
        request %= (path.encode(), HEAD, UPGRADES["named by Connection"])
        assert statuses(await answers(home, request + OTHERS, OTHERS, b"\r\n\r\n")) == [200]
        assert statuses(await answers(home, request, at=home.admin.base_url)) == [404]
        assert all(method == "GET" for method, _, _ in asked_of(home))


async def test_a_viewer_that_expects_leave_and_gets_its_answer_may_not_go_on() -> None:
    async with house(whose()) as home:
        request = b"GET %s HTTP/1.1\r\n%sExpect: 100-continue\r\nContent-Length: 60\r\n\r\n"
        answer = await answers(home, request % (FRAME.encode(), HEAD) + OTHERS, b"\r\n\r\n")
        assert statuses(answer) in ([100, 200], [200])
        assert b"connection: close\r\n" in answer


NGINX = shutil.which("nginx")
POOLED = """
daemon off; master_process off; pid {here}/pid; error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {here}/1; proxy_temp_path {here}/2; fastcgi_temp_path {here}/3;
  uwsgi_temp_path {here}/4; scgi_temp_path {here}/5;
  upstream progressive_proxy {{ server 127.0.0.1:{behind}; keepalive 1; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://progressive_proxy;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $http_connection;
      proxy_request_buffering off;
    }}
  }}
}}
"""


@asynccontextmanager
async def nginx(here: Path, behind: int | None) -> AsyncIterator[httpx.URL]:
    """An nginx that keeps one connection to what is behind it, and passes Upgrade on."""
    port = free_port()
    (here / "nginx.conf").write_text(POOLED.format(here=here, port=port, behind=behind))
    assert NGINX is not None
    process = await asyncio.create_subprocess_exec(NGINX, "-p", here, "-c", here / "nginx.conf")
    try:
        while not (here / "pid").exists():
            assert process.returncode is None
            await asyncio.sleep(0.01)
        yield httpx.URL(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def wire_to(url: httpx.URL) -> AsyncIterator[tuple[int, bytearray]]:
    """A port that leads there, connection by connection, and all bytes that went there."""
    seen = bytearray()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: bytearray) -> None:
        try:
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()
                seen.extend(chunk)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, onward = await asyncio.open_connection(url.host, url.port)
        await asyncio.gather(carry(reader, onward, seen), carry(back, writer, bytearray()))

    async with streams(join) as port:
        yield port, seen


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed (nginx-light)")
@pytest.mark.parametrize("connection", [b"Upgrade", b"keep-alive, Upgrade"])
@pytest.mark.parametrize(
    ("method", "path", "ends"),
    [("GET", FRAME, BODY[-9:]), ("POST", "/studies", b"POST /studies %d None" % len(OTHERS))],
    ids=["a frame", "STOW"],
)
async def test_through_nginx_nobody_is_answered_with_what_another_asked(
    tmp_path: Path, method: str, path: str, ends: bytes, connection: bytes
) -> None:
    is_sent = asyncio.Event()

    def script(asked: Asked) -> Reply | None:
        if asked.path == FRAME:
            return honest(BODY, asked, before=(is_sent,))
        return says_whose(asked)

    async with (
        house(ScriptedOrigin(script=script)) as home,
        wire_to(home.viewer.base_url) as (port, seen),
        nginx(tmp_path, port) as url,
        httpx.AsyncClient(base_url=url, timeout=STORY) as victim,
    ):
        async with line_to(url) as (reader, writer):
            head = b"%s %s HTTP/1.1\r\n%sConnection: %s\r\nUpgrade: foo\r\nContent-Length: %d\r\n\r\n"
            writer.write(head % (method.encode(), path.encode(), HEAD, connection, len(OTHERS)))
            await home.until_inside(1)
            writer.write(OTHERS)
            await home.until(lambda: OTHERS in seen)
            is_sent.set()
            await reader.readuntil(ends)
        for number in range(3):
            answer = await victim.get(f"/studies/{number}", headers={"authorization": "Bearer mine"})
            assert answer.text == f"GET /studies/{number} 0 Bearer mine"
        assert {each for each, _, _ in asked_of(home)} == {method, "GET"}


async def test_trailers_are_dropped() -> None:
    async with house(whose()) as home:
        trailers = b"Authorization: Bearer stolen\r\nX-Forwarded-User: chief\r\nHost: evil.example\r\n"
        chunked = b"Transfer-Encoding: chunked\r\nTrailer: X-Forwarded-User\r\n\r\n3\r\nabc\r\n0\r\n"
        store = b"POST /studies HTTP/1.1\r\n" + HEAD + chunked + trailers + b"\r\n"
        last = b"GET /studies/1 HTTP/1.1\r\n" + HEAD + b"Connection: close\r\n\r\n"
        for pieces in ((store + last,), (store[:-30], store[-30:], last)):
            answer = await answers(home, *pieces)
            assert answer.count(b" None") == 2
        assert len(asked_of(home)) == 4
        assert not any("x-forwarded-user" in asked.headers for asked in home.origin.asked)
        frame = b"GET %s HTTP/1.1\r\n%s%s%s\r\n%s" % (FRAME.encode(), HEAD, chunked, trailers, last)
        await answers(home, frame)
        assert not any("authorization" in asked.headers for asked in home.origin.asked)


@asynccontextmanager
async def house_before(said: bytes) -> AsyncIterator[House]:
    """A house whose origin writes these bytes and ends the connection."""

    async def answer(asked: RawAsked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\n" + said)
        await writer.drain()
        raise HangUp

    async with (
        serving(answer) as server,
        house(ScriptedOrigin(), wait=False, origin={"url": server.url}) as home,
    ):
        yield home


SEARCH = b"GET /studies/1/series HTTP/1.0\r\n\r\n"
LENGTHS = {
    "chunks": TE + b"\r\n3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n",
    "the end of the connection": b"Connection: close\r\n\r\n[1,2]",
}


@pytest.mark.parametrize("how", LENGTHS)
async def test_to_http_1_0_the_end_of_the_connection_ends_the_body(how: str) -> None:
    """Field case h1."""
    async with house_before(LENGTHS[how]) as home:
        answer = await answers(home, SEARCH)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert (statuses(answer), body) == ([200], b"[1,2]")
        assert b"transfer-encoding" not in head
        assert b"content-length" not in head
        assert b"connection: close" in head
        nothing = await answers(home, SEARCH.replace(b"GET", b"HEAD"))
        assert nothing.endswith(b"\r\n\r\n")


async def test_to_http_1_0_what_has_a_length_says_it() -> None:
    async with house(whose()) as home:
        frame = await answers(home, b"GET %s HTTP/1.0\r\nAccept: image/jphc\r\n\r\n" % FRAME.encode())
        assert b"content-length: %d\r\n" % len(BODY) in frame
        assert frame.endswith(BODY)
        listed = await answers(home, b"GET %s,1 HTTP/1.0\r\n\r\n" % FRAME.encode())
        assert listed.count(BODY) == 2
        assert b"transfer-encoding" not in listed


async def test_to_http_1_0_a_cut_answer_does_not_look_whole() -> None:
    async with house_before(TE + b"\r\n3\r\n[1,\r\n") as home:
        with pytest.raises(ConnectionResetError):
            await answers(home, SEARCH)


REFUSED = {
    "no Host": (400, b"GET / HTTP/1.1\r\n\r\n"),
    "two Hosts": (400, b"GET / HTTP/1.1\r\n" + HEAD + HEAD + b"\r\n"),
    "two Hosts in HTTP/1.0": (400, b"GET / HTTP/1.0\r\n" + HEAD + HEAD + b"\r\n"),
    "two Hosts in one": (400, b"GET / HTTP/1.1\r\nHost: localhost, localhost\r\n\r\n"),
    "an empty Host": (400, b"GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    "a path in Host": (400, b"GET / HTTP/1.1\r\nHost: localhost/x\r\n\r\n"),
    "a user in Host": (400, b"GET / HTTP/1.1\r\nHost: localhost@evil.example\r\n\r\n"),
    "another host in the URL": (400, b"GET http://evil.example/ HTTP/1.1\r\n" + HEAD + b"\r\n"),
    "chunks in HTTP/1.0": (400, b"POST / HTTP/1.0\r\n" + TE + b"\r\n0\r\n\r\n"),
    "another coding": (400, b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n"),
    "another coding before": (
        400,
        b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: gzip\r\n" + TE + b"\r\n",
    ),
    "coding and length": (400, b"POST / HTTP/1.1\r\n" + HEAD + TE + b"Content-Length: 3\r\n\r\n"),
    "coding that upgrades": (
        400,
        b"POST / HTTP/1.1\r\n"
        + HEAD
        + b"Upgrade: a\r\nConnection: upgrade\r\nTransfer-Encoding: gzip\r\n\r\n",
    ),
    "HTTP/0.9": (400, b"GET /\r\n\r\n"),
    "HTTP/0.9 by name": (400, b"GET / HTTP/0.9\r\n\r\n"),
    "HTTP/2.0": (400, b"GET / HTTP/2.0\r\n" + HEAD + b"\r\n"),
    "no HTTP": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "another expectation": (417, b"POST / HTTP/1.1\r\n" + HEAD + b"Expect: a=b\r\nContent-Length: 1\r\n\r\n"),
    "one expectation more": (417, b"GET / HTTP/1.1\r\n" + HEAD + b"Expect: 100-continue, a=b\r\n\r\n"),
    "TRACE": (405, b"TRACE / HTTP/1.1\r\n" + HEAD + b"\r\n"),
    "CONNECT": (405, b"CONNECT localhost:80 HTTP/1.1\r\n" + HEAD + b"\r\n"),
    "long chunk extension": (431, b"POST / HTTP/1.1\r\n" + HEAD + TE + b"\r\n1;" + b"x" * 60_000),
    "long chunk extensions": (
        431,
        b"POST / HTTP/1.1\r\n" + HEAD + TE + b"\r\n" + (b"1;%s\r\na\r\n" % (b"x" * 200)) * 400,
    ),
    "long trailers": (431, b"POST / HTTP/1.1\r\n" + HEAD + TE + b"\r\n0\r\nX: " + b"x" * 60_000),
    "long header": (431, b"GET / HTTP/1.1\r\n" + HEAD + b"X: " + b"x" * 60_000),
    "many headers": (431, b"GET / HTTP/1.1\r\n" + HEAD + b"X:\r\n" * 9_000),
    "long name": (431, b"GET / HTTP/1.1\r\n" + HEAD + b"X" * 60_000),
    "long URL": (414, b"GET /" + b"x" * 20_000),
}


@pytest.mark.parametrize("listener", ["viewers", "admin"])
@pytest.mark.parametrize("name", REFUSED)
async def test_is_refused(name: str, listener: str) -> None:
    status, request = REFUSED[name]
    async with house(whose()) as home:
        url = home.viewer.base_url if listener == "viewers" else home.admin.base_url
        answer = await answers(home, request, b"\r\n\r\n", at=url)
        assert statuses(answer) == [status]
        assert b"connection: close\r\n" in answer
        assert asked_of(home) == []
        reason = answer.partition(b'"title": "')[2].partition(b'"')[0].decode()
        assert home.metric("refused_requests_total", reason=reason) == 1


def test_headers_are_joined_in_linear_time() -> None:
    """Counted, since a clock would tell of the machine."""

    class Counted(bytes):
        compared = 0
        __hash__ = bytes.__hash__

        def __eq__(self, other: object) -> bool:
            Counted.compared += 1
            return bytes.__eq__(self, other)

    headers = [(Counted(b"%d" % number), b"") for number in range(2_000)]
    fields = joined([*headers, (Counted(b"1"), b"x")], b", ".join)
    assert (len(fields), fields[b"1"]) == (2_000, b", x")
    assert Counted.compared < 3 * len(headers)


GOOD = {
    "the host in the URL": b"GET http://localhost/studies/1 HTTP/1.1\r\n" + HEAD,
    "no Host in HTTP/1.0": b"GET /studies/1 HTTP/1.0\r\n",
    "lines before it": b"\r\n\r\nGET /studies/1 HTTP/1.1\r\n" + HEAD,
    "31 kB of headers": b"GET /studies/1 HTTP/1.1\r\n" + HEAD + b"X: " + b"x" * 31_000 + b"\r\n",
    "an expectation in capitals": b"GET /studies/1 HTTP/1.1\r\n" + HEAD + b"Expect: 100-Continue\r\n",
    "no expectation": b"GET /studies/1 HTTP/1.1\r\n" + HEAD + b"Expect: \r\n",
    "15 kB of URL": b"GET /studies/1?" + b"x" * 15_000 + b" HTTP/1.1\r\n" + HEAD,
}


@pytest.mark.parametrize("name", GOOD)
async def test_is_taken(name: str) -> None:
    async with house(whose()) as home:
        assert statuses(await answers(home, GOOD[name] + b"Connection: close\r\n\r\n")) == [200]


async def test_many_small_chunks_are_no_long_extensions() -> None:
    async with house(whose()) as home:
        head = b"POST /studies HTTP/1.1\r\n" + HEAD + TE + b"Connection: close\r\n\r\n"
        body = b"1\r\nx\r\n" * 50_000 + b"0\r\n\r\n"
        assert (await answers(home, head + body)).endswith(b"POST /studies 50000 None")


async def test_an_endless_header_is_refused_while_it_arrives() -> None:
    async with house(whose()) as home, line_to(home.viewer.base_url) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n" + HEAD + b"X: ")
        sent = 0
        answer = asyncio.ensure_future(reader.read())
        while not answer.done() and sent < 64 * 1024 * 1024:
            writer.write(b"x" * 65536)
            sent += 65536
            await asyncio.wait([answer, asyncio.ensure_future(writer.drain())], return_when="FIRST_COMPLETED")
            await asyncio.sleep(0)
        assert statuses(await answer) == [431]


async def test_headers_have_a_deadline_and_an_answer_under_way_has_not() -> None:
    gate = asyncio.Event()

    def script(asked: Asked) -> Reply | None:
        return Reply(200, {"content-length": "2"}, (gate, b"ok")) if asked.path == "/studies/1" else None

    async with house(ScriptedOrigin(script=script), listen={"header_seconds": 0.05}) as home:
        assert statuses(await answers(home, b"GET / HTTP/1.1\r\nHost: loc")) == [408]
        first = b"GET /studies/1 HTTP/1.1\r\n" + HEAD + b"\r\n"
        async with line_to(home.viewer.base_url) as (reader, writer):
            writer.write(first + b"GET /late HTTP/1.1\r\nHo")
            await home.until(lambda: home.metric("refused_requests_total", reason="TooSlow") == 2)
            gate.set()
            answer = await reader.read()
        assert statuses(answer) == [200, 408]
        assert b"ok" in answer


async def test_a_fault_behind_an_answer_under_way_is_told_after_it() -> None:
    gate = asyncio.Event()
    origin = ScriptedOrigin(
        script=lambda asked: (
            Reply(200, {"content-length": "2"}, (b"o", gate, b"k")) if asked.path == "/studies/1" else None
        )
    )
    async with house(origin) as home, line_to(home.viewer.base_url) as (reader, writer):
        writer.write((b"GET /studies/1 HTTP/1.1\r\n" + HEAD + b"\r\n") * 2 + b"garbage\r\n\r\n")
        got = await reader.readuntil(b"\r\n\r\no")
        await home.until(lambda: home.metric("refused_requests_total", reason="BadRequest") == 1)
        gate.set()
        got += await reader.read()
        assert statuses(got) == [200, 200, 400]
        assert got.count(b"\r\n\r\nok") == 2


async def test_a_body_that_breaks_is_told_of_and_never_whole_at_the_origin(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen = bytearray()

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(65536):
                seen.extend(chunk)
                if chunk.startswith(b"GET "):
                    writer.write(OK)
        finally:
            writer.transport.abort()

    async with (
        streams(read) as port,
        house(ScriptedOrigin(), origin={"url": f"http://127.0.0.1:{port}"}) as home,
    ):
        async with line_to(home.viewer.base_url) as (reader, writer):
            writer.write(b"POST /studies HTTP/1.1\r\n" + HEAD + TE + b"\r\n3\r\nabc\r\n")
            await home.until(lambda: b"abc" in seen)
            writer.write(b"Z\r\n" + OTHERS)
            assert statuses(await reader.read()) == [400]
        await home.until_inside(0)
    assert b"\r\n0\r\n" not in seen
    assert b"DELETE" not in seen
    assert "a fault inside the proxy" not in caplog.text


class Heard(Http1):
    """A connection that counts what it has read."""

    size = 0

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        Heard.size += len(data)


@asynccontextmanager
async def listening(
    app: Any, rules: Rules | None = None, silence: int = SILENCE, protocol: type[Http1] = Heard
) -> AsyncIterator[httpx.URL]:
    """A listener before an app; a connection may be silent for so many seconds."""
    Heard.size = 0
    at = open_socket("127.0.0.1", 0)
    listener = Listener(app, at, 1, rules or Rules(), protocol=protocol)
    listener.config.timeout_keep_alive = silence
    serving = asyncio.create_task(listener.until_ended())
    async with asyncio.timeout(STORY):
        try:
            yield httpx.URL("http://{}:{}".format(*at.getsockname()))
        finally:
            listener.end()
            await serving


async def until_heard(size: int) -> None:
    """Waits until the listener has read so many bytes."""
    while Heard.size < size:
        await asyncio.sleep(0)


async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, piece: bytes) -> bytes:
    """All that comes back if the piece is sent again and again, after a part of the silence each time."""
    answer = asyncio.ensure_future(reader.read())
    while not answer.done():
        before = Heard.size
        writer.write(piece)
        while Heard.size == before and not answer.done():
            await asyncio.sleep(0)
        jump(SILENCE / 5)
        for _ in range(10):
            await asyncio.sleep(0)
    return await answer


async def says_done(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that answers without a look at the body."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def reads_all(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that answers once it has the whole body."""
    while (message := await receive()).get("more_body"):
        pass
    if message["type"] == "http.request":
        await says_done(scope, receive, send)


BEGUN = {
    "by length": b"Content-Length: 9000\r\n\r\nx",
    "by chunks": TE + b"\r\n1\r\nx\r\n",
    "up to its trailers": TE + b"\r\n0\r\nX: y\r\n",
    "with Upgrade": b"Connection: Upgrade\r\nUpgrade: foo\r\nContent-Length: 9000\r\n\r\nx",
}
DRIPS = {"by chunks": b"1\r\nx\r\n"}
"""Bytes of a body that arrive at a time, unless a test sends it byte by byte."""


def begins(begun: str) -> bytes:
    return b"POST / HTTP/1.1\r\n" + HEAD + BEGUN[begun]


@pytest.mark.parametrize("begun", BEGUN)
async def test_a_body_of_which_nothing_comes_any_more_ends_its_connection(begun: str) -> None:
    async with listening(reads_all) as url, line_to(url) as (reader, writer):
        writer.write(begins(begun))
        await until_heard(len(begins(begun)))
        jump(SILENCE)
        assert statuses(await reader.read()) == [408]


@pytest.mark.parametrize("begun", ["by length", "by chunks", "up to its trailers"])
async def test_a_body_that_nobody_reads_keeps_no_connection_open_byte_by_byte(begun: str) -> None:
    async with listening(says_done) as url, line_to(url) as (reader, writer):
        writer.write(begins(begun))
        assert statuses(await reader.readuntil(b"ok")) == [200]
        with suppress(ConnectionError):  # it may come while the last byte goes out
            assert await dripping(reader, writer, DRIPS.get(begun, b"x")) == b""


@pytest.mark.parametrize("begun", BEGUN)
async def test_a_body_byte_by_byte_holds_no_handler_for_ever(begun: str) -> None:
    rules = Rules(body_rate=1_000_000)
    async with listening(reads_all, rules) as url, line_to(url) as (reader, writer):
        writer.write(begins(begun))
        with suppress(ConnectionError):  # it may come while the last byte goes out
            assert statuses(await dripping(reader, writer, DRIPS.get(begun, b"x"))) == [408]


async def test_a_body_that_waits_for_its_turn_is_not_late() -> None:
    """Its time begins when the request before it is answered."""
    gates = iter((gate := asyncio.Event(), None))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if waits := next(gates):
            await waits.wait()
        await reads_all(scope, receive, send)

    rules = Rules(body_rate=1_000_000)
    async with listening(app, rules) as url, line_to(url) as (reader, writer):
        both = b"GET / HTTP/1.1\r\n" + HEAD + b"\r\nPOST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 1\r\n\r\n"
        writer.write(both)
        await until_heard(len(both))
        jump(2 * SILENCE)
        writer.write(b"x")
        await writer.drain()
        gate.set()
        assert statuses(await reader.readuntil(b"ok")) == [200]
        assert statuses(await reader.readuntil(b"ok")) == [200]


async def test_a_body_that_arrives_late_holds_nobody_behind_it() -> None:
    async with listening(says_done) as url, line_to(url) as (reader, writer):
        for _ in range(3):
            writer.write(b"GET / HTTP/1.1\r\n" + HEAD + b"Content-Length: 4\r\n\r\nab")
            await reader.readuntil(b"ok")
            writer.write(b"cd")


async def test_requests_ahead_of_answers_are_read_a_slice_at_a_time() -> None:
    admitted, gate = list[bytes](), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await gate.wait()
        said = scope["raw_path"]
        head = [(b"content-length", b"%d" % len(said))]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": said})

    rules = Rules(admit=lambda method, fields: admitted.append(fields[b"x"]))
    async with listening(app, rules) as url, line_to(url) as (reader, writer):
        for number in range(5_000):
            close = b"Connection: close\r\n" if number == 4_999 else b""
            writer.write(b"GET /%d HTTP/1.1\r\n%sX: %d\r\n%s\r\n" % (number, HEAD, number, close))
        while not admitted:
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(admitted) < SLICE // 30
        gate.set()
        answer = await reader.read()
        assert re.findall(rb"\r\n\r\n/([0-9]+)", answer) == [b"%d" % number for number in range(5_000)]


async def test_a_viewer_that_leaves_is_missed_though_it_sent_a_request_ahead() -> None:
    is_inside, is_told = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "http.request"
        is_inside.set()
        assert (await receive())["type"] == "http.disconnect"
        is_told.set()

    async with listening(app) as url:
        async with line_to(url) as (_, writer):
            writer.write((b"GET / HTTP/1.1\r\n" + HEAD + b"\r\n") * 2)
            await is_inside.wait()
        await is_told.wait()


@pytest.mark.parametrize("framed", ["Content-Length", "chunks"])
async def test_the_admin_holds_no_endless_body(framed: str) -> None:
    async with house(whose()) as home, line_to(home.admin.base_url) as (reader, writer):
        head = b"POST /v1/plans HTTP/1.1\r\n" + HEAD + b"Content-Type: application/json\r\n"
        writer.write(head + (TE if framed == "chunks" else b"Content-Length: 9999999999\r\n") + b"\r\n")
        answer, sent = asyncio.ensure_future(reader.read()), 0
        while not answer.done() and sent < 64 * 1024 * 1024:
            writer.write(b"10000\r\n%s\r\n" % (b" " * 65536) if framed == "chunks" else b" " * 65536)
            sent += 65536
            await asyncio.wait([answer, asyncio.ensure_future(writer.drain())], return_when="FIRST_COMPLETED")
            await asyncio.sleep(0)
        assert statuses(await answer) == [413]
        assert home.metric("refused_requests_total", reason="BodyTooLong") == 1
    async with house(whose()) as home:  # a viewer's body is handed on as it arrives
        assert (await home.viewer.post("/studies", content=b"x" * 5_000_000)).text.endswith("5000000 None")


async def test_a_body_byte_by_byte_is_handed_on_in_linear_time() -> None:
    """Counted: each piece that is handed on is put behind all that waits to be read."""
    handed = list[int]()

    class Uvicorns(HttpToolsProtocol):
        """Stands between our protocol and uvicorn's, which gets the pieces."""

        def on_body(self, body: bytes) -> None:
            handed.append(len(body))
            super().on_body(body)

    class Counted(Http1, Uvicorns):
        pass

    async with listening(reads_all, protocol=Counted) as url, line_to(url) as (reader, writer):
        chunks = b"1\r\nx\r\n" * 50_000 + b"0\r\n\r\n"
        writer.write(b"POST / HTTP/1.1\r\n" + HEAD + b"Connection: close\r\n" + TE + b"\r\n" + chunks)
        assert statuses(await reader.read()) == [200]
    assert sum(handed) == 50_000
    assert len(handed) < 1_000


async def test_a_connection_that_says_nothing_is_idle() -> None:
    async with listening(says_done, silence=0) as url, line_to(url) as (reader, _):
        assert await reader.read() == b""
