"""Answers what the playground's page posts. A server of pages mounts it beside the page's files."""

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from proxy.errors import BadRequest, BodyTooLong, ServiceFull

MOST_BODY = 64 * 1024
"""Bytes of a configuration."""
MOST_IMAGES = 1000
"""Images of a series."""
MOST_WAITING = 8
"""Requests that may wait for their turn. One at a time is answered."""


class Playground:
    """Answers `POST …?images=N` with a configuration as the body."""

    def __init__(self, shown: Callable[[str, int], Mapping[str, Any]]) -> None:
        """`shown` returns what to show of a text and a number of images. It runs in a thread."""
        self._shown = shown
        self._turn = asyncio.Lock()
        self._inside = 0

    async def answer(self, request: Request) -> Response:
        """Returns the answer. Raises `BadRequest`, `BodyTooLong`, `ServiceFull`."""
        images = _images(request.query_params.get("images", ""))
        text = _text(await _body(request))
        if self._inside > MOST_WAITING:
            raise ServiceFull("the playground has too much to do")
        self._inside += 1
        try:
            async with self._turn:
                told = await asyncio.to_thread(self._shown, text, images)
        finally:
            self._inside -= 1
        return JSONResponse(told, headers={"cache-control": "no-store"})


def _images(text: str) -> int:
    count = int(text) if re.fullmatch(r"[0-9]{1,4}", text, re.ASCII) else 0
    if not 0 < count <= MOST_IMAGES:
        raise BadRequest(f"images: must be a number from 1 to {MOST_IMAGES}")
    return count


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BODY:
            raise BodyTooLong(f"a configuration may have {MOST_BODY} bytes")
    return bytes(body)


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise BadRequest("the body must be UTF-8") from error
