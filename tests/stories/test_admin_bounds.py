"""Requests of operators are bounded in number, size and time, and leave health its connections."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.house import House, house
from tests.scripted_origin import Asked, Reply, ScriptedOrigin, codestream, honest

pytestmark = pytest.mark.anyio

POST = b"POST /v1/plans HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


class Stalling(ScriptedOrigin):
    """Answers for frames only once its gate is open."""

    def __init__(self) -> None:
        super().__init__(script=self._script)
        self.with_series([codestream(10_000)])
        self.gate = asyncio.Event()

    def _script(self, asked: Asked) -> Reply | None:
        is_frame = asked.path in self.frames
        return honest(self.frames[asked.path], asked, before=(self.gate,)) if is_frame else None


async def said(home: House, *pieces: bytes) -> bytes:
    """The answer to raw bytes at the admin listener."""
    reader, writer = await asyncio.open_connection(home.admin.base_url.host, home.admin.base_url.port)
    try:
        for piece in pieces:
            writer.write(piece)
        return await reader.read()
    finally:
        writer.close()


@asynccontextmanager
async def followed(home: House, number: int) -> AsyncIterator[str]:
    """A plan that runs, and so many that follow its events."""
    plan = await home.begin_plan("single")
    async with asyncio.TaskGroup() as group:
        for _ in range(number):
            group.create_task(home.admin.get(f"{plan}/events"))
        await home.until(lambda: home.app.operators.taken == number)
        yield plan
        home.origin.gate.set()  # type: ignore[attr-defined]  # the origin of these stories


async def test_those_who_follow_plans_leave_health_its_connections() -> None:
    async with house(Stalling(), bounds={"operators": 2}) as home, followed(home, 2) as plan:
        refused = await home.admin.get(plan)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["detail"] == "bounds.operators: 2 at most"
        assert home.metric("over_bounds_total", bound="operators") == 1
        for path in ("/livez", "/readyz", "/metrics"):
            assert (await home.admin.get(path)).status_code == 200


async def test_a_body_that_comes_too_late_is_refused_and_its_place_is_free() -> None:
    settings: dict[str, Any] = {"bounds": {"operators": 1}, "admin": {"open": True, "body_seconds": 0.2}}
    async with house(ScriptedOrigin(), **settings) as home:
        answer = await said(home, POST + b"Content-Length: 9\r\n\r\n{")
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"body: complete within 0.2 s" in answer
        await home.until(lambda: home.app.operators.taken == 0)
        assert (await home.admin.get("/v1/plans/1")).status_code == 404


@pytest.mark.parametrize(
    "rest",
    [b"Content-Length: 4096\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n1000\r\n" + b" " * 4096],
    ids=["as announced", "as it comes"],
)
async def test_a_body_that_is_too_long_is_refused(rest: bytes) -> None:
    async with house(ScriptedOrigin(), admin={"open": True, "body_bytes": 2048}) as home:
        answer = await said(home, POST + rest)
        assert answer.startswith(b"HTTP/1.1 413 ")


async def test_without_the_token_no_body_is_waited_for(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("the-operators-token")
    async with house(ScriptedOrigin(), admin={"token_file": token}) as home:
        reader, writer = await asyncio.open_connection(home.admin.base_url.host, home.admin.base_url.port)
        writer.write(POST + b"Content-Length: 4096\r\n\r\n{")
        assert (await reader.readline()).startswith(b"HTTP/1.1 401 ")
        assert home.app.operators.taken == 0
        writer.close()
