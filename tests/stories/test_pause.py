"""The first bytes of a large picture, and the pause in which the viewer draws them. It is an hour here."""

import asyncio
from functools import cache

import imagecodecs
import numpy as np
import pytest

from proxy.viewers.response import LARGE, SEEN
from tests.codestreams import Pixels, htj2k
from tests.house import cache_did, house, read_until
from tests.scripted_origin import FRAME, Asked, Reply, ScriptedOrigin, frame_of, honest

pytestmark = pytest.mark.anyio

SINGLE = {"accept": "image/jphc"}
HOUR = {"pause": 3600}
SOON = 0.1


def noise(side: int) -> Pixels:
    """Noise of twelve bits, which hardly compresses."""
    return np.random.default_rng(1).integers(0, 4096, (side, side), "u2")


@cache
def large(side: int = 1300) -> bytes:
    """A codestream whose picture is above the bound by default, and below it with fewer pixels."""
    codestream = htj2k(noise(side))
    assert (len(codestream) >= LARGE) == (side == 1300)
    return codestream


@pytest.mark.parametrize("is_hot", [False, True], ids=["cold", "hot"])
async def test_after_the_first_bytes_of_a_large_picture_there_is_a_pause(*, is_hot: bool) -> None:
    async with house(ScriptedOrigin({FRAME: large()}), listen=HOUR) as home:
        if is_hot:
            await home.viewer.get(FRAME, headers=SINGLE | {"range": "bytes=0-9"})
            await home.until_idle()
        async with home.viewer.stream("GET", FRAME, headers=SINGLE) as answer:
            chunks = answer.aiter_raw()
            assert await read_until(chunks, SEEN) == large()[:SEEN]
            await home.until_idle()  # only the viewer has to wait for the pause
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(chunks), SOON)
        assert answer.headers["content-length"] == str(len(large()))
        assert cache_did(answer) == ("hit" if is_hot else "fwd=miss; stored")
        await home.until_inside(0)
        assert home.metric("cut_answers_total", reason="viewer_left") == 1


async def test_the_rest_follows() -> None:
    async with house(ScriptedOrigin({FRAME: large()}), listen={"pause": SOON}) as home:
        for accept in ("image/jphc", "multipart/related"):
            answer = await home.viewer.get(FRAME, headers={"accept": accept})
            assert large() in answer.content
            assert len(answer.content) == int(answer.headers["content-length"])


async def test_what_is_no_stream_of_a_large_progressive_picture_is_not_held_up() -> None:
    small, other = frame_of(2), frame_of(3)
    jpegls = bytes(imagecodecs.jpegls_encode(noise(1300)))
    frames = {FRAME: large(), small: large(1000), other: jpegls}

    def script(asked: Asked) -> Reply | None:
        return honest(jpegls, asked, label="image/jls") if asked.path == other else None

    async with house(ScriptedOrigin(frames, script), listen=HOUR) as home:
        for wanted in (f"bytes=0-{SEEN - 1}", f"bytes={SEEN}-", "bytes=1-", "bytes=-1000000"):
            answer = await home.viewer.get(FRAME, headers=SINGLE | {"range": wanted})
            assert answer.status_code == 206
        for path in (small, other):
            answer = await home.viewer.get(path, headers={"accept": "*/*"})
            assert frames[path] in answer.content


async def test_no_pause_is_a_setting() -> None:
    async with house(ScriptedOrigin({FRAME: large()}), listen={"pause": 0}) as home:
        assert (await home.viewer.get(FRAME, headers=SINGLE)).content == large()
