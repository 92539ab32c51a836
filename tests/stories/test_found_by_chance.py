"""Bugs that `tests.sequences` found, each as a small test."""

import asyncio

import pytest

from proxy.frame.identity import IDENTIFYING
from proxy.wire.multipart import SINGLE_PART, wrap
from tests.codestreams import PARTS, htj2k, picture
from tests.house import cache_did, house
from tests.raw_server import Asked as Request
from tests.raw_server import HangUp, client_of, serving
from tests.scripted_origin import LABEL, Asked, Reply, ScriptedOrigin, codestream, frame_of, honest

pytestmark = pytest.mark.anyio

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"
MANY = 20
"""Repetitions of a race between two events, so many that each of them wins sometimes."""


@pytest.mark.parametrize(
    ("before", "seen", "then"),
    [
        (b"", b"", HEAD + b"onetwo"),
        (HEAD + b"one", b"one", b"two"),
        (b"", b"", HEAD[:9]),
        (HEAD + b"one", b"one", b""),
    ],
    ids=["headers", "bytes", "no headers", "no bytes"],
)
async def test_a_task_that_is_cancelled_just_when_its_answer_goes_on_or_breaks_off_ends(
    before: bytes, seen: bytes, then: bytes
) -> None:
    writers: list[asyncio.StreamWriter] = []
    heard = bytearray()

    async def answer(asked: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(before)
        writers.append(writer)
        await asked.reader.read()

    async with serving(answer) as server, client_of(server.url) as client:

        async def ask() -> None:
            async with client.stream("GET", "/") as response:
                async for chunk in response.aiter_raw():
                    heard.extend(chunk)

        asking = [asyncio.create_task(ask()) for _ in range(MANY)]
        while len(writers) < MANY or len(heard) < MANY * len(seen):
            await asyncio.sleep(0)
        for writer in writers:
            writer.write(then)
            writer.close()
        picture(512, 512)  # keeps the event loop busy until everything has arrived and none of it was handled
        for task in asking:
            task.cancel()
        ended = await asyncio.gather(*asking, return_exceptions=True)
        assert [type(each) for each in ended] == [asyncio.CancelledError] * MANY
        assert len(heard) == MANY * len(seen)


@pytest.mark.parametrize("envelope", ["image/jphc", "multipart/related"])
@pytest.mark.parametrize("asked", ["", "bytes=100000-199999"], ids=["whole", "part"])
async def test_all_of_the_same_version_where_its_rest_was_asked_for_cuts_nobody(
    envelope: str, asked: str
) -> None:
    """One of several servers behind one name may not support ranges."""
    body, is_single = htj2k(picture(600, 600), **PARTS), envelope == "image/jphc"
    wrapping = SINGLE_PART if is_single else wrap("between", LABEL)
    media = LABEL if is_single else "multipart/related; boundary=between"

    def script(request: Asked) -> Reply | None:
        if "frames" not in request.path:
            return None
        if envelope not in request.headers["accept"]:
            return Reply(406, {})
        if not (request.range or "").startswith("bytes=0-"):
            request.headers.pop("range", None)
        return honest(wrapping.before + body + wrapping.after, request, label=media)

    profiles = {"lazy": {"first": "64KiB", "complete": "on-demand"}}
    async with house(ScriptedOrigin({}, script), profiles=profiles, profile="lazy") as home:
        for path in (frame_of(0), frame_of(1)):  # by the second one the proxy knows how to request frames
            await home.viewer.get(path, headers={"range": "bytes=0-65535"})
            answer = await home.viewer.get(
                path, headers={"accept": "image/jphc"} | ({"range": asked} if asked else {})
            )
            assert answer.content == (body[100000:200000] if asked else body)
        [refused] = home.app.telemetry.metrics.mismatches.collect()
        assert not refused.samples


@pytest.mark.parametrize("left", [None, -2, -1000, 1], ids=["whole", "without EOC", "cut", "one byte"])
@pytest.mark.parametrize(
    "before", [b"", b"--between\r\nContent-Type: image/jphc\r\n\r\n"], ids=["single", "part"]
)
async def test_what_ends_with_its_connection_counts_where_its_codestream_is_whole(
    before: bytes, left: int | None
) -> None:
    """If a server dies in such a body, nobody can tell that from the end of the body."""
    body = htj2k(picture(300, 300))
    media = b"multipart/related; boundary=between" if before else b"image/jphc"

    async def answer(asked: Request, writer: asyncio.StreamWriter) -> None:
        if "frames" not in asked.target:
            writer.write(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n\r\n" % media)
        writer.write(before + body[:left])
        raise HangUp

    async with serving(answer) as server, house(ScriptedOrigin(), origin={"url": server.url}) as home:
        got = await home.viewer.get(frame_of(0), headers={"accept": "image/jphc"})
    assert got.status_code == (502 if left else 200)
    assert left or got.content == body


async def test_a_larger_picture_is_fetched_where_too_little_is_held_to_tell_where_it_ends() -> None:
    others = [codestream(300_000, seed) for seed in range(7)]
    origin = ScriptedOrigin().with_series([htj2k(picture(128, 128), **PARTS), *others])
    single = {"accept": "image/jphc"}
    async with house(origin, cache={"bytes": "1MiB"}) as home:
        await home.viewer.get(f"{frame_of(0)}?fsiz=32,32", headers=single)
        for image in range(1, 8):
            await home.viewer.get(frame_of(image), headers=single)
            await home.until_idle()
        larger = await home.viewer.get(f"{frame_of(0)}?fsiz=64,64", headers=single)
        assert (cache_did(larger), larger.headers["resolution"]) == ("fwd=partial; stored", "64x64")
        assert int((origin.ranges_of(frame_of(0))[1] or "")[6:].partition("-")[0]) < IDENTIFYING
