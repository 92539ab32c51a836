"""What `docs/semantics.md` promises and no other story shows."""

import asyncio

import pytest

from tests.codestreams import PARTS, htj2k, picture
from tests.house import house, read_until
from tests.scripted_origin import FRAME, Asked, Reply, ScriptedOrigin, codestream, honest

pytestmark = pytest.mark.anyio

SINGLE = {"accept": "image/jphc"}
MULTIPART = {"accept": "multipart/related; type=application/octet-stream; transfer-syntax=*"}


async def test_a_browser_may_keep_a_frame_but_no_list_and_no_error() -> None:
    body = htj2k(picture(64, 64, seed=1), **PARTS)
    other = FRAME.removesuffix("1") + "2"
    async with house(ScriptedOrigin({FRAME: body, other: body})) as home:
        frame = await home.viewer.get(FRAME)
        assert frame.headers["cache-control"] == "private, no-cache"
        assert "Accept" in frame.headers["vary"]
        assert "etag" in frame.headers
        listed = await home.viewer.get(FRAME + ",2", headers=MULTIPART)
        assert (listed.status_code, listed.headers["cache-control"]) == (200, "no-store")
        assert not {"etag", "content-length", "accept-ranges"} & set(listed.headers)
        missing = await home.viewer.get(FRAME.removesuffix("1") + "3")
        assert (missing.status_code, missing.headers["cache-control"]) == (404, "no-store")


async def test_a_viewer_that_reads_nothing_holds_back_nobody() -> None:
    body, barrier = codestream(16 * 1024 * 1024), asyncio.Event()  # far more than sockets hold

    def script(asked: Asked) -> Reply | None:
        return honest(body, asked, before=(barrier,)) if asked.range == "bytes=65536-" else None

    async with house(ScriptedOrigin({FRAME: body}, script), listen={"grace": 0}) as home:
        async with home.viewer.stream("GET", FRAME, headers=SINGLE) as slow:
            await read_until(slow.aiter_raw(), 1)  # and no more
            async with home.viewer.stream("GET", FRAME, headers=SINGLE) as other:
                barrier.set()
                assert await read_until(other.aiter_raw(), len(body)) == body
        await home.until_idle()
