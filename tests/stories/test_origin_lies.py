"""Origins with false responses: a viewer gets one version of the frame or an error, never a mixture."""

import asyncio
from contextlib import suppress

import httpx
import pytest

from tests.codestreams import htj2k, picture
from tests.house import house, read_until
from tests.scripted_origin import (
    FRAME,
    HANG_UP,
    LABEL,
    Asked,
    Piece,
    Reply,
    ScriptedOrigin,
    codestream,
    etag_of,
    honest,
)

pytestmark = pytest.mark.anyio

FIRST = 65536
SINGLE = {"accept": "image/jphc"}
OLD, NEW = codestream(500_000, seed=1), codestream(480_000, seed=2)


MULTIPART = {"content-type": "multipart/related; boundary=x"}


def part_of(body: bytes) -> bytes:
    return (
        f"--x\r\nContent-Type: {LABEL}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body + b"\r\n--x--"
    )


def rest(body: bytes, asked: Asked, *pieces: Piece) -> Reply:
    """A correct head of a completion with other pieces as its body."""
    reply = honest(body, asked)
    size = len(reply.pieces[-1]) if isinstance(reply.pieces[-1], bytes) else 0
    return Reply(reply.status, reply.headers | {"content-length": str(size)}, pieces)


async def test_a_200_to_a_range_is_the_first_fetch_and_the_completion_in_one() -> None:
    barrier = asyncio.Event()
    headers = {"content-type": LABEL, "content-length": str(len(OLD))}

    def script(asked: Asked) -> Reply | None:
        return Reply(200, headers, (OLD[:FIRST], barrier, OLD[FIRST:])) if asked.range else None

    async with house(ScriptedOrigin({}, script)) as home:
        async with home.viewer.stream("GET", FRAME, headers=SINGLE) as answer:
            chunks = answer.aiter_raw()
            got = await read_until(chunks, FIRST)  # the first picture arrives before the rest
            barrier.set()
            got += b"".join([chunk async for chunk in chunks])
        assert got == OLD
        assert home.origin.ranges == ["bytes=0-65535"]


async def test_a_fill_resumes_once_where_the_origin_hung_up() -> None:
    def script(asked: Asked) -> Reply | None:
        return rest(OLD, asked, OLD[FIRST:200_000], HANG_UP) if asked.range == "bytes=65536-" else None

    async with house(ScriptedOrigin({FRAME: OLD}, script)) as home:
        answer = await home.viewer.get(FRAME, headers=SINGLE)
        assert answer.content == OLD
        resumed = home.origin.frame_requests[-1]
        assert (resumed.range, resumed.headers["if-range"]) == ("bytes=200000-", etag_of(OLD))
        assert home.metric("resumes_total", origin="pacs") == 1


async def test_an_origin_that_hangs_up_again_ends_the_answer_and_loses_nothing() -> None:
    is_broken = True

    def script(asked: Asked) -> Reply | None:
        if not is_broken or asked.range in (None, "bytes=0-65535"):
            return None
        start = int((asked.range or "")[6:-1])
        return rest(OLD, asked, OLD[start : start + 50_000], HANG_UP)

    async with house(ScriptedOrigin({FRAME: OLD}, script)) as home:
        async with home.viewer.stream("GET", FRAME, headers=SINGLE) as answer:
            chunks = answer.aiter_raw()
            got = await read_until(chunks, FIRST + 100_000)
            with pytest.raises(httpx.ReadError):
                await anext(chunks)
        assert got == OLD[: FIRST + 100_000]
        assert home.metric("cut_answers_total", reason="OriginHungUp") == 1
        is_broken = False
        assert (await home.viewer.get(FRAME, headers=SINGLE)).content == OLD
        assert home.origin.ranges[-1] == f"bytes={FIRST + 100_000}-"


async def test_without_a_validator_nothing_is_resumed() -> None:
    body = htj2k(picture(448, 448))

    def script(asked: Asked) -> Reply | None:
        if "/frames/" not in asked.path:
            return None
        if asked.range == "bytes=0-65535":
            return honest(body, asked, etag="")
        plain = honest(body, asked, etag="")
        return Reply(
            206, plain.headers | {"content-length": str(len(body) - FIRST)}, (body[FIRST:70_000], HANG_UP)
        )

    async with house(ScriptedOrigin({}, script)) as home:
        async with home.viewer.stream("GET", FRAME, headers=SINGLE) as answer:
            with pytest.raises(httpx.ReadError):
                async for _ in answer.aiter_raw():
                    pass
        assert home.origin.ranges == ["bytes=0-65535", "bytes=65536-"]


async def test_a_frame_that_changes_between_the_fetches_is_never_mixed() -> None:
    origin = ScriptedOrigin({FRAME: OLD})

    def script(asked: Asked) -> Reply | None:
        if asked.range == "bytes=65536-":  # If-Range no longer matches, so the origin sends the whole frame
            origin.frames[FRAME] = NEW
        return None

    origin.script = script
    async with house(origin) as home:
        async with home.viewer.stream("GET", FRAME, headers=SINGLE) as answer:
            chunks = answer.aiter_raw()
            got = await read_until(chunks, FIRST)
            with pytest.raises(httpx.ReadError):
                got += await anext(chunks)
        assert got == OLD[:FIRST]
        assert home.metric("mismatches_total", origin="pacs", reason="validator") == 1
        assert (await home.viewer.get(FRAME, headers=SINGLE)).content == NEW


async def test_a_viewer_with_the_old_first_bytes_gets_no_new_rest() -> None:
    profiles = {"lazy": {"first": "64KiB", "complete": "on-demand"}}
    async with house(ScriptedOrigin({FRAME: OLD}), profiles=profiles, profile="lazy") as home:
        await home.viewer.get(FRAME, headers=SINGLE | {"range": "bytes=0-65535"})
        await home.until_idle()
        home.origin.frames[FRAME] = NEW
        refused = await home.viewer.get(FRAME, headers=SINGLE | {"range": "bytes=65536-"})
        assert (refused.status_code, refused.content) == (502, b"")
        assert refused.headers["content-type"].startswith("multipart/")
        again = await home.viewer.get(FRAME, headers=SINGLE)
        assert again.content == NEW


LIES = {
    "another start": "bytes 0-434463/500000",
    "another total": "bytes 65536-499999/500001",
    "no total": "bytes 65536-499999/*",
    "too short": "bytes 65536-499998/500000",
    "no numbers": "bytes 65536-NaN/500000",
    "backwards": "bytes 65536-65535/500000",
    "nothing": "",
}


@pytest.mark.parametrize("said", LIES.values(), ids=LIES)
async def test_a_completion_with_a_lying_content_range_is_refused_and_healed(said: str) -> None:
    def script(asked: Asked) -> Reply | None:
        if asked.range != "bytes=65536-":
            return None
        return Reply(206, honest(OLD, asked).headers | {"content-range": said}, (NEW[FIRST:],))

    async with house(ScriptedOrigin({FRAME: OLD}, script)) as home:
        got = b""
        async with home.viewer.stream("GET", FRAME, headers=SINGLE) as answer:
            with pytest.raises(httpx.ReadError):
                async for chunk in answer.aiter_raw():
                    got += chunk
        assert got == OLD[: len(got)]
        assert len(got) <= FIRST
        healed = await home.viewer.get(FRAME, headers=SINGLE)
        assert healed.content == OLD
        assert home.origin.ranges == ["bytes=0-65535", "bytes=65536-", None]


@pytest.mark.parametrize(
    "said", ["bytes 1-65536/500000", "bytes 0-65535/*", "bytes 0-9/500000", "items 0-65535/500000", ""]
)
async def test_a_first_fetch_with_a_lying_content_range_is_fetched_whole_instead(said: str) -> None:
    def script(asked: Asked) -> Reply | None:
        if not asked.range:
            return None
        return Reply(206, honest(OLD, asked).headers | {"content-range": said}, (NEW[:FIRST],))

    async with house(ScriptedOrigin({FRAME: OLD}, script)) as home:
        answer = await home.viewer.get(FRAME, headers=SINGLE)
        assert (answer.status_code, answer.content) == (200, OLD)
        assert home.origin.ranges == ["bytes=0-65535", None]
        assert home.metric("mismatches_total", origin="pacs", reason="content_range") == 1


async def test_a_login_page_is_no_frame() -> None:
    def script(asked: Asked) -> Reply | None:
        page = Reply(200, {"content-type": "text/html"}, (b"<html>who are you?</html>",))
        return page if "/frames/" in asked.path else None

    async with house(ScriptedOrigin({}, script)) as home:
        answer = await home.viewer.get(FRAME, headers=SINGLE)
        assert answer.status_code == 502
        assert b"who are you" not in answer.content
        assert home.metric("cache_bytes", part="first") == 0


SIZES = {
    "too large": ({}, OLD[:20_000], "too_large"),
    "empty": ({}, b"", "length"),
    "a part that is too large": (MULTIPART, part_of(OLD[:20_000]), "too_large"),
    "an empty part": (MULTIPART, part_of(b""), "length"),
}


@pytest.mark.parametrize(("headers", "body", "reason"), SIZES.values(), ids=SIZES)
async def test_a_size_that_no_frame_has_is_502(headers: dict[str, str], body: bytes, reason: str) -> None:
    def script(asked: Asked) -> Reply | None:
        said = {"content-type": LABEL, "content-length": str(len(body))} | headers
        return Reply(200, said, (body,)) if "/frames/" in asked.path else None

    async with house(ScriptedOrigin({}, script), origin={"limits": {"frame_bytes": 10_000}}) as home:
        assert (await home.viewer.get(FRAME, headers=SINGLE)).status_code == 502
        assert home.metric("mismatches_total", origin="pacs", reason=reason) >= 1


@pytest.mark.parametrize("wanted", ["bytes=0-65535", "bytes=65536-"], ids=["the first bytes", "the rest"])
async def test_a_range_of_a_multipart_body_that_proves_nothing_is_refused_and_healed(wanted: str) -> None:
    """Either it has no validator, so its boundary may be another next time, or its start is not here."""

    def script(asked: Asked) -> Reply | None:
        if asked.range != wanted:
            return None
        reply = honest(part_of(OLD), asked, etag="") if asked.range == "bytes=0-65535" else honest(OLD, asked)
        return Reply(reply.status, reply.headers | MULTIPART, reply.pieces)

    async with house(ScriptedOrigin({FRAME: OLD}, script)) as home:
        with suppress(httpx.TransportError):  # the rest may be refused when the first bytes are out
            await home.viewer.get(FRAME, headers=SINGLE)
        await home.until_idle()
        answer = await home.viewer.get(FRAME, headers=SINGLE)
        assert (answer.status_code, answer.content) == (200, OLD)
        assert home.metric("mismatches_total", origin="pacs", reason="multipart") == 1


async def test_an_origin_that_knows_multipart_alone_is_taken_apart() -> None:
    body = (
        b"--x\r\nContent-Type: image/jphc;transfer-syntax=1.2.840.10008.1.2.4.202\r\n\r\n"
        + OLD
        + b"\r\n--x--"
    )

    def script(asked: Asked) -> Reply | None:
        if "/frames/" not in asked.path:
            return None
        if not asked.headers["accept"].startswith("multipart/related"):
            return Reply(406, {})
        return Reply(200, {"content-type": "multipart/related; boundary=x"}, (body,))

    async with house(ScriptedOrigin({}, script)) as home:
        answer = await home.viewer.get(FRAME, headers=SINGLE)
        assert answer.content == OLD
        assert answer.headers["content-type"] == "image/jphc;transfer-syntax=1.2.840.10008.1.2.4.202"
        assert home.origin.ranges == ["bytes=0-65535", None]
        other = FRAME.replace("frames/1", "frames/2")
        await home.viewer.get(other, headers=SINGLE)
        assert len(home.origin.frame_requests) == 3  # the proxy remembered the form that works
