"""The playground's door: bodies and numbers have bounds, and one text is read at a time, off the loop."""

import asyncio
import threading
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from proxy.errors import ProxyError
from proxy.page.playground import MOST_BODY, MOST_WAITING, Playground
from proxy.wire.problem import details_of, status_of

pytestmark = pytest.mark.anyio


class Reader:
    """Says what it was given, and waits if it is told to."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()
        self.began = threading.Semaphore(0)
        self.now = self.most = 0

    def shown(self, text: str, images: int) -> dict[str, Any]:
        self.now += 1
        self.most = max(self.most, self.now)
        self.began.release()
        self.go.wait()
        self.now -= 1
        return {"text": text, "images": images, "thread": threading.current_thread().name}


def asking(reader: Reader) -> httpx.AsyncClient:
    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, ProxyError)
        return JSONResponse(details_of(error), status_of(error))

    routes = [Route("/playground", Playground(reader.shown).answer, methods=["POST"])]
    app = Starlette(routes=routes, exception_handlers={ProxyError: refused})
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1")


async def test_a_text_is_read_in_a_thread() -> None:
    async with asking(Reader()) as client:
        answer = await client.post("/playground?images=1000", content="stages: [é]".encode())
    told = answer.json()
    assert (told["text"], told["images"]) == ("stages: [é]", 1000)
    assert told["thread"] != threading.current_thread().name
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("query", "content", "status"),
    [
        ("images=0", b"", 400),
        ("images=1001", b"", 400),
        ("images=1_0", b"", 400),
        ("", b"", 400),
        ("images=1", b"\xff", 400),
        ("images=1", b" " * (MOST_BODY + 1), 413),
        ("images=1", b" " * MOST_BODY, 200),
    ],
)
async def test_what_is_no_question_is_refused(query: str, content: bytes, status: int) -> None:
    async with asking(Reader()) as client:
        assert (await client.post(f"/playground?{query}", content=content)).status_code == status


async def test_one_text_is_read_at_a_time_and_few_may_wait() -> None:
    reader = Reader()
    reader.go.clear()
    async with asking(reader) as client:
        many = [
            asyncio.create_task(client.post("/playground?images=1", content=b""))
            for _ in range(MOST_WAITING + 3)
        ]
        await asyncio.to_thread(reader.began.acquire)
        refused, waiting = await asyncio.wait(many, return_when=asyncio.FIRST_COMPLETED)
        while len(refused) < 2:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            refused |= done
        reader.go.set()
        answers = [await each for each in waiting]
    assert [(each.result()).status_code for each in refused] == [503, 503]
    assert [each.status_code for each in answers] == [200] * (MOST_WAITING + 1)
    assert reader.most == 1
