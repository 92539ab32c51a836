"""Fills and connections are freed at once, whatever they end with, without the collector of cycles.

If each refusal left its fill to the collector, callers who guess tokens would stop everybody else for a sixth
of a second each time that it came.
"""

import asyncio
import gc
from collections.abc import Callable

import httpx
import pytest

from proxy.fetch.fill import Fill
from proxy.service.held import HeldConnection
from tests.guarded_origin import GuardedOrigin, guarded
from tests.house import house
from tests.scripted_origin import FRAME, HANG_UP, LABEL, Asked, Reply, ScriptedOrigin, codestream, honest

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

BODY = codestream(300_000)
SINGLE = {"accept": "image/jphc"}
FIRST = SINGLE | {"range": "bytes=0-65535"}
LONG = {"content-type": LABEL, "content-length": str(len(BODY)), "etag": '"1"'}


def _text(_: Asked) -> Reply:
    return Reply(200, {"content-type": LABEL}, (b"<html>" + bytes(100_000),))


def _status(status: int, **headers: str) -> Reply:
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()})


ANSWERS: dict[str, Callable[[Asked], Reply]] = {
    "whole": lambda asked: honest(BODY, asked),
    "refused": lambda _: _status(401, www_authenticate="Bearer"),
    "missing": lambda _: _status(404),
    "busy": lambda _: _status(503),
    "asked to wait": lambda _: _status(429, retry_after="60"),
    "failed": lambda _: _status(500),
    "no image": _text,
    "hung up": lambda _: Reply(200, LONG, (BODY[:100_000], HANG_UP)),
    "hung up at once": lambda _: Reply(200, LONG, (HANG_UP,)),
    "another range": lambda _: _status(206, content_type=LABEL, content_range="bytes 7-8/9"),
}


def _fills() -> list[Fill]:
    return [each for each in gc.get_objects() if isinstance(each, Fill)]


@pytest.mark.parametrize("headers", [SINGLE, FIRST], ids=["whole", "first"])
@pytest.mark.parametrize("answer", ANSWERS)
async def test_a_fill_is_freed_whatever_it_ends_with(answer: str, headers: dict[str, str]) -> None:
    origin = ScriptedOrigin(script=lambda asked: ANSWERS[answer](asked) if asked.path == FRAME else None)
    async with house(origin) as home:
        gc.collect()
        gc.disable()
        try:
            try:
                await home.viewer.get(FRAME, headers=headers)
            except httpx.HTTPError:
                assert answer == "hung up"
            assert origin.requests_of(FRAME)
            await home.until_idle()
            await home.until(lambda: not _fills())
        finally:
            gc.enable()


async def test_a_fill_is_freed_whose_viewer_leaves() -> None:
    held = asyncio.Event()
    origin = ScriptedOrigin(
        script=lambda asked: honest(BODY, asked, before=(held,)) if asked.path == FRAME else None
    )
    async with house(origin) as home:
        gc.collect()
        gc.disable()
        try:
            reading = asyncio.create_task(home.viewer.get(FRAME, headers=SINGLE))
            await home.until(lambda: origin.requests_of(FRAME) == 1)
            reading.cancel()
            await asyncio.wait({reading})
            held.set()
            await home.until_idle()
            await home.until(lambda: not _fills())
        finally:
            gc.enable()


async def test_a_probe_that_is_refused_is_freed() -> None:
    origin = GuardedOrigin("anne")
    async with guarded(origin) as home:
        path = next(iter(origin.frames))
        assert (await home.did("anne", path))[0] == 200
        gc.collect()
        gc.disable()
        try:
            for who in ("eve", "mallory"):
                assert (await home.ask(who, path)).status_code in (401, 403)
            await home.home.until_idle()
            await home.home.until(lambda: not _fills())
        finally:
            gc.enable()


HOST = "HTTP/1.1\r\nHost: 127.0.0.1\r\n"
CLOSED = {
    "a frame": f"GET {FRAME} {HOST}Accept: image/jphc\r\n\r\n",
    "no route": f"GET /nothing {HOST}\r\n",
    "a body that is too long": f"POST /studies {HOST}Content-Length: 99999999999999\r\n\r\n",
    "bad bytes": "\0\r\n\r\n",
}


def _connections() -> list[HeldConnection]:
    return [each for each in gc.get_objects() if isinstance(each, HeldConnection)]


@pytest.mark.parametrize("place", ["viewer", "admin"])
@pytest.mark.parametrize("asked", CLOSED)
async def test_a_connection_is_freed_once_it_is_closed(asked: str, place: str) -> None:
    async with house(ScriptedOrigin()) as home:
        url = (home.viewer if place == "viewer" else home.admin).base_url
        gc.collect()
        gc.disable()
        try:
            before = len(_connections())
            reader, writer = await asyncio.open_connection(url.host, url.port)
            writer.write(CLOSED[asked].encode())
            assert (await reader.readline()).startswith(b"HTTP/1.1 ")
            assert len(_connections()) == before + 1
            writer.close()
            await home.until(lambda: len(_connections()) == before)
        finally:
            gc.enable()
