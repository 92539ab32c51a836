"""An origin whose frame a cache has to revalidate before each use, and what viewers of that frame ask."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx

from proxy.wire.multipart import wrap
from tests.codestreams import PARTS, htj2k, picture
from tests.house import House, cache_did
from tests.scripted_origin import (
    FRAME,
    LABEL,
    Asked,
    Reply,
    Script,
    ScriptedOrigin,
    _read,
    _write,
    etag_of,
    honest,
)

OLD, NEW = (htj2k(picture(640, 640, seed=seed), **PARTS) for seed in (1, 2))
SINGLE = {"accept": "image/jphc"}
FIRST, REST = SINGLE | {"range": "bytes=0-65535"}, SINGLE | {"range": "bytes=65536-"}
LAZY: dict[str, Any] = {"profiles": {"lazy": {"first": "64KiB", "complete": "on-demand"}}, "profile": "lazy"}
DATES = {OLD: "Thu, 01 Jan 2026 00:00:00 GMT", NEW: "Fri, 02 Jan 2026 00:00:00 GMT"}
TODAY = "Mon, 05 Jan 2026 00:00:00 GMT"
Naming = Callable[[bytes], dict[str, str]]


def by_etag(body: bytes) -> dict[str, str]:
    return {"etag": etag_of(body)}


def by_weak_etag(body: bytes) -> dict[str, str]:
    return {"etag": "W/" + etag_of(body)}


def by_date(body: bytes) -> dict[str, str]:
    return {"last-modified": DATES[body], "date": TODAY}


def by_nothing(_: bytes) -> dict[str, str]:
    return {}


def is_conditional(asked: Asked) -> bool:
    return bool({"if-none-match", "if-modified-since"} & asked.headers.keys())


class HoldsBack(ScriptedOrigin):
    """Holds back the responses to conditional requests while its barrier is not set."""

    def __init__(self, script: Script) -> None:
        super().__init__(script=script)
        self.barrier = asyncio.Event()
        self.barrier.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while (asked := await _read(reader)) is not None:
                self.note(asked)
                if is_conditional(asked):
                    await self.barrier.wait()
                if not await _write(writer, asked, self._reply(asked)):
                    break
        writer.close()


class RevalidatingOrigin(HoldsBack):
    """Serves one frame that a cache has to revalidate before each use."""

    def __init__(
        self, naming: Naming = by_etag, said: str = "no-cache", *, is_multipart: bool = False
    ) -> None:
        super().__init__(self._answer)
        self.naming = naming
        self.said: dict[str, str] = {"cache-control": said}
        self.then: dict[str, str] | None = None
        """Headers of a 304 instead of `said`."""
        self.body = OLD
        self.status = 200
        self.is_multipart = is_multipart
        self.is_rash = False
        """True if every response is a 304."""

    @property
    def seen(self) -> list[tuple[bool, str | None]]:
        """For each request for the frame: True if it had a condition, and its range."""
        return [(is_conditional(each), each.range) for each in self.asked if each.path == FRAME]

    def _answer(self, asked: Asked) -> Reply | None:
        if asked.method == "DELETE":
            return Reply(204, {})
        if asked.path.partition("?")[0] != FRAME:
            return None
        if self.is_multipart and "multipart" not in asked.headers["accept"]:
            return Reply(406, {})
        if self.status != 200:
            return Reply(self.status, {})
        names = self.naming(self.body)
        is_same = asked.headers.get("if-none-match", asked.headers.get("if-modified-since")) in names.values()
        if self.is_rash or (is_conditional(asked) and is_same):
            return Reply(304, names | (self.said if self.then is None else self.then))
        label, body = LABEL, self.body
        if self.is_multipart:
            wrapping = wrap("x", LABEL.replace(" ", ""))
            label, body = "multipart/related; boundary=x", wrapping.before + body + wrapping.after
        tag = names.get("etag", names.get("last-modified", ""))
        reply = honest(body, asked, etag=tag, label=label)
        headers = {name: value for name, value in reply.headers.items() if name != "etag"}
        return Reply(reply.status, headers | names | self.said, reply.pieces)


def origin_of(home: House) -> RevalidatingOrigin:
    assert isinstance(home.origin, RevalidatingOrigin)
    return home.origin


async def asks(home: House, **headers: str) -> tuple[bytes, str, list[tuple[bool, str | None]]]:
    """Returns the body, the Cache-Status, and the requests that the origin saw."""
    before = len(origin_of(home).seen)
    answer = await home.viewer.get(FRAME, headers=SINGLE | headers)
    await home.until_idle()
    return answer.content, cache_did(answer), origin_of(home).seen[before:]


async def until_asked(home: House, *viewers: dict[str, str]) -> list[asyncio.Task[httpx.Response]]:
    """Lets viewers with these headers wait for the response to one conditional request."""
    origin = origin_of(home)
    before = len(origin.seen)
    origin.barrier.clear()
    asking = [asyncio.create_task(home.viewer.get(FRAME, headers=SINGLE | each)) for each in viewers]
    await home.until_inside(len(viewers))
    await home.until(lambda: len(origin.seen) > before)
    return asking
