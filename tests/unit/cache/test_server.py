"""Calls to the shared server end when they are cancelled, at whatever moment."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from proxy.cache.server import Address, Login, Server
from tests.house import STORY
from tests.valkey_server import saying

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def connected() -> AsyncIterator[Server]:
    """A server to which a connection is open. It says OK to each command."""
    async with asyncio.timeout(STORY), saying(lambda said: b"+OK\r\n" * said.count(b"*")) as port:
        server = Server(Address.of(f"valkey://127.0.0.1:{port}"), Login())
        await server.do(("PING",))
        try:
            yield server
        finally:
            await server.aclose()


async def hear(server: Server) -> None:
    async for _ in server.listen(b"told"):
        pass


@pytest.mark.parametrize(
    "call",
    [lambda server: server.do(("PING",)), lambda server: server.run("return 1", b"key"), hear],
    ids=["a command", "a script", "what is told"],
)
async def test_a_call_is_cancelled_whenever_it_is_told_to(call: object) -> None:
    async with connected() as server:
        for turns in range(100):
            task = asyncio.create_task(call(server))  # type: ignore[operator]
            for _ in range(turns):
                await asyncio.sleep(0)
            is_told = task.cancel()
            await asyncio.wait({task})
            assert task.cancelled() == is_told, f"after {turns} turns of the loop"
