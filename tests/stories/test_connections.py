"""Connections that say nothing, or little, keep nobody out, and health has open files of its own."""

import asyncio
import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.origin.transport import Tls
from tests.house import STORY, House, house
from tests.scripted_origin import FRAME, Asked, Reply, ScriptedOrigin, codestream, running
from tests.stories.test_tls import Files

pytestmark = pytest.mark.anyio

FILES = 400
"""Open files of the service in the child process: enough for 72 connections of viewers."""
SERVE = """
import json, resource, sys
given = json.load(sys.stdin)
resource.setrlimit(resource.RLIMIT_NOFILE, (given["files"], given["files"]))
from proxy.service.listeners import open_socket
from proxy.service.run import run
from proxy.settings.model import Settings
sockets = [open_socket("127.0.0.1", 0) for _ in range(2)]
print(json.dumps([each.getsockname()[1] for each in sockets]), flush=True)
run(Settings(**given["settings"]), *sockets)
"""
SINGLE = {"accept": "image/jphc"}
BODY = codestream(50_000)
HALF = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-"
Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def served(origin: ScriptedOrigin) -> AsyncIterator[tuple[int, int, int]]:
    """A service in a process with few open files: its process, and the ports of its listeners."""
    settings = {"origins": [{"url": origin.url}], "log": {"level": "warning"}}
    given = json.dumps({"files": FILES, "settings": settings}).encode()
    pipe = subprocess.PIPE
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVE, stdin=pipe, stdout=pipe)
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(given)
    child.stdin.write_eof()
    try:
        viewers, admin = json.loads(await child.stdout.readline())
        yield child.pid, viewers, admin
    finally:
        child.kill()
        await child.wait()


async def get(port: int, path: str) -> httpx.Response:
    """The answer on a connection of its own."""
    async with httpx.AsyncClient(timeout=STORY) as client:
        return await client.get(f"http://127.0.0.1:{port}{path}", headers=SINGLE)


@pytest.mark.parametrize("said", [b"", HALF])
async def test_hundreds_of_idle_connections_keep_nobody_out(said: bytes) -> None:
    async with asyncio.timeout(STORY), AsyncExitStack() as stack:
        origin = ScriptedOrigin({FRAME: BODY})
        await stack.enter_async_context(running(origin))
        process, viewers, admin = await stack.enter_async_context(served(origin))
        assert (await get(viewers, FRAME)).content == BODY
        for _ in range(4):
            for port in (viewers, admin):
                for _ in range(FILES // 4):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.write(said)
                    stack.callback(writer.close)
            assert (await get(admin, "/livez")).status_code == 200
            answer = await get(viewers, FRAME)
            assert (answer.status_code, answer.content) == (200, BODY)
            assert len(await asyncio.to_thread(os.listdir, f"/proc/{process}/fd")) < FILES
        text = (await get(admin, "/metrics")).text
        assert 'progressive_proxy_closed_connections_total{reason="room"}' in text


class Stalling(ScriptedOrigin):
    """Answers for the frame, and to nothing else until its gate is open."""

    def __init__(self) -> None:
        super().__init__({FRAME: BODY}, self._script)
        self.gate = asyncio.Event()

    def _script(self, asked: Asked) -> Reply | None:
        return Reply(200, {"content-length": "0"}, (self.gate,)) if asked.path == "/studies?slow" else None


async def busy(home: House, number: int, stack: ExitStack) -> list[Line]:
    """So many connections with a request under way."""
    at = home.viewer.base_url
    lines = [await asyncio.open_connection(at.host, at.port) for _ in range(number)]
    for _, writer in lines:
        stack.callback(writer.close)
        writer.write(b"GET /studies?slow HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    await home.until_inside(number)
    return lines


@pytest.mark.parametrize(("bound", "status"), [("connections", b"503"), ("connections_per_address", b"429")])
async def test_if_all_are_busy_a_new_connection_is_told_and_the_others_go_on(
    bound: str, status: bytes
) -> None:
    origin = Stalling()
    settings: dict[str, Any] = {"bounds": {bound: 3}}
    async with house(origin, **settings) as home:
        with ExitStack() as stack:
            lines = await busy(home, 3, stack)
            reader, writer = await asyncio.open_connection(
                home.viewer.base_url.host, home.viewer.base_url.port
            )
            stack.callback(writer.close)
            said = await reader.read()
            assert said.startswith(b"HTTP/1.1 " + status)
            assert b"retry-after: 1\r\n" in said
            assert home.metric("over_bounds_total", bound=bound) == 1
            assert (await home.admin.get("/livez")).status_code == 200
            origin.gate.set()
            for reader, writer in lines:
                assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
                writer.write(f"GET {FRAME} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n".encode())
                assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")


async def test_handshakes_that_last_make_room(tmp_path: Path) -> None:
    files = Files(tmp_path)
    listen: dict[str, Any] = {"tls": files.certify("proxy"), "header_seconds": STORY}
    tls, bounds = Tls(files.ca_file), {"connections": 3}
    origin = ScriptedOrigin({FRAME: BODY})
    async with house(origin, listen=listen, client=tls, bounds=bounds) as home:
        at = home.viewer.base_url
        lines = [await asyncio.open_connection(at.host, at.port) for _ in range(5)]
        assert await asyncio.gather(*(reader.read() for reader, _ in lines[:2])) == [b"", b""]
        assert (await home.viewer.get(FRAME, headers=SINGLE)).content == BODY
        for _, writer in lines:
            writer.close()


@pytest.mark.parametrize("requests", [1, 2], ids=["one request", "another one behind it"])
async def test_a_viewer_that_reads_nothing_gives_up_its_place(requests: int) -> None:
    origin = ScriptedOrigin({FRAME: codestream(8_000_000)})
    async with house(origin, listen={"read_rate": 1, "read_seconds": 0.2}) as home:
        assert (await home.viewer.get(FRAME, headers=SINGLE | {"range": "bytes=0-99"})).status_code == 206
        await home.until_idle()
        at = home.viewer.base_url
        with socket.socket() as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await asyncio.to_thread(line.connect, (at.host, at.port))
            line.send(f"GET {FRAME} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            await home.until(lambda: home.app.places.sending.taken == 1)
            if requests > 1:
                line.send(f"GET {FRAME} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            await home.until(lambda: home.metric("closed_connections_total", reason="slow") == 1)
            await home.until_inside(0)
        assert home.app.places.sending.taken == 0


async def test_refusals_over_tls_are_told_as_without_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = Files(tmp_path)
    listen: dict[str, Any] = {"tls": files.certify("proxy")}
    async with house(ScriptedOrigin(), listen=listen, client=Tls(files.ca_file)) as home:
        at, context = home.viewer.base_url, ssl.create_default_context(cafile=str(files.ca_file))
        for head, status in ((b"GET /" + b"x" * 20_000, b"414"), (b"BAD\r\n\r\n", b"400")):
            reader, writer = await asyncio.open_connection(at.host, at.port, ssl=context)
            writer.write(head)
            assert (await reader.readline()).startswith(b"HTTP/1.1 " + status)
            writer.close()
        await home.until(lambda: not home.app.connections.open)
    assert not [each for each in caplog.records if each.exc_info]


async def test_a_viewer_of_http_1_0_that_leaves_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    barrier = asyncio.Event()
    chunked = Reply(200, {"transfer-encoding": "chunked"}, (b"1\r\nx\r\n0\r\n\r\n",))
    origin = ScriptedOrigin(script=lambda asked: chunked if asked.path == "/studies/1/other" else None)
    origin.door = barrier
    async with house(origin, wait=False) as home:
        _, writer = await asyncio.open_connection(home.viewer.base_url.host, home.viewer.base_url.port)
        writer.write(b"GET /studies/1/other HTTP/1.0\r\n\r\n")
        await home.until_inside(1)
        writer.transport.abort()
        await home.until(lambda: not home.app.connections.open)
        barrier.set()
        await home.until_inside(0)
    assert not [each for each in caplog.records if each.exc_info]
