"""Archives as they are. The proxy uses a request form that each knows, and identifies frames by bytes."""

import asyncio
import gzip
from collections.abc import Callable

import numpy as np
import pytest

from proxy.origin.spellings import FORMS
from tests.codestreams import PARTS, htj2k, picture
from tests.house import cache_did, house, read_until
from tests.scripted_origin import (
    FRAME,
    LABEL,
    Asked,
    Piece,
    Reply,
    ScriptedOrigin,
    codestream,
    etag_of,
    frame_of,
    honest,
)

pytestmark = pytest.mark.anyio

SINGLE = {"accept": "image/jphc"}
BODIES = [htj2k(picture(512, 512, seed=seed), **PARTS) for seed in range(4)]
ELE = "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
JPHC_201 = "image/jphc;transfer-syntax=1.2.840.10008.1.2.4.201"


def wrapped(body: bytes, label: str, *more: str, boundary: str = "BOUNDARY_1", close: str = "--") -> bytes:
    head = "\r\n".join([f"--{boundary}", f"Content-Type: {label}", *more, "", ""])
    return head.encode() + body + f"\r\n--{boundary}{close}".encode()


def known(*answers: str) -> Callable[[Asked], bool]:
    """A function that is True for requests in one of these forms."""
    return lambda asked: asked.headers["accept"] in answers


def orthanc(origin: ScriptedOrigin) -> Callable[[Asked], Reply | None]:
    """An origin without ranges or validators, with a new boundary each time, that labels HTJ2K wrongly."""
    count = iter(range(10**6))

    def script(asked: Asked) -> Reply | None:
        body, accept = origin.frames.get(asked.path), asked.headers["accept"]
        if "/frames/" not in asked.path:
            return None
        if "multipart/related" not in accept or "jphc" in accept:
            return Reply(400, {"content-type": "application/json"}, (b"{}",))
        if "transfer-syntax=" in accept:
            return Reply(500, {"content-type": "application/json"}, (b"{}",))
        if body is None:
            return Reply(404, {})
        padded = body + b"\0" * (len(body) % 2)
        boundary = f"{next(count):08x}-uuid"
        media = f'multipart/related; type="{ELE}"; boundary={boundary}'
        part = wrapped(padded, ELE, f"Content-Length: {len(padded)}", "MIME-Version: 1.0", boundary=boundary)
        return Reply(200, {"content-type": media}, (part,))

    return script


async def test_the_form_that_works_is_found_once_and_bytes_say_what_they_are() -> None:
    origin = ScriptedOrigin().with_series(BODIES)
    origin.script = orthanc(origin)
    async with house(origin) as home:
        for image, body in enumerate(BODIES):
            answer = await home.viewer.get(frame_of(image), headers=SINGLE)
            assert answer.content == body + b"\0" * (len(body) % 2)
            assert answer.headers["content-type"] == "image/jphc;transfer-syntax=1.2.840.10008.1.2.4.202"
            part = await home.viewer.get(frame_of(image), headers={**SINGLE, "range": "bytes=0-65535"})
            assert (part.status_code, part.content, cache_did(part)) == (206, body[:65536], "hit")
        asked = [origin.requests_of(frame_of(image)) for image in range(len(BODIES))]
        assert asked == [8, 1, 1, 1]
        assert home.app.origins["pacs"].asking.known == 8


async def test_a_frame_that_is_not_there_is_not_asked_for_ten_times() -> None:
    origin = ScriptedOrigin().with_series(BODIES)
    async with house(origin) as home:
        await home.viewer.get(frame_of(0), headers=SINGLE)
        missing = frame_of(9)
        assert (await home.viewer.get(missing, headers=SINGLE)).status_code == 404
        assert origin.requests_of(missing) == 2


async def test_what_stops_working_is_learned_anew_and_not_by_one_frame() -> None:
    multipart = FORMS[1].accept
    origin = ScriptedOrigin().with_series(BODIES * 2)
    single_alone, others = known("image/jphc"), known(multipart)

    def script(asked: Asked) -> Reply | None:
        body = origin.frames.get(asked.path)
        if body is None:
            return None
        if asked.path == frame_of(0):
            return honest(body, asked) if single_alone(asked) else Reply(406, {})
        if not others(asked):
            return Reply(406, {})
        part = wrapped(body, JPHC_201)
        return Reply(200, {"content-type": "multipart/related"}, (part,))

    origin.script = script
    async with house(origin) as home:
        for image in range(6):
            answer = await home.viewer.get(frame_of(image), headers=SINGLE)
            assert answer.content == origin.frames[frame_of(image)]
            await home.until_idle()
        assert [origin.requests_of(frame_of(image)) for image in range(1, 6)] == [2, 2, 2, 1, 1]


@pytest.mark.parametrize("close", ["--", "--\r\n", "", "\r\n"])
@pytest.mark.parametrize("pad", [b"", b"\0"])
async def test_the_first_picture_of_a_multipart_answer_leaves_at_once(close: str, pad: bytes) -> None:
    barrier, body = asyncio.Event(), BODIES[0] + pad
    whole = wrapped(body, JPHC_201, close=close)
    pieces: tuple[Piece, ...] = (whole[:100], whole[100:70_000], barrier, whole[70_000:])

    def script(asked: Asked) -> Reply | None:
        is_known = "/frames/" in asked.path and asked.headers["accept"] == FORMS[1].accept
        headers = {"content-type": "multipart/related", "content-length": str(len(whole))}
        return Reply(200, headers, pieces) if is_known else None

    async with house(ScriptedOrigin(script=script)) as home:
        async with home.viewer.stream("GET", FRAME, headers=SINGLE) as answer:
            assert answer.headers["content-length"] == str(len(body))
            chunks = answer.aiter_raw()
            got = await read_until(chunks, 65536)
            barrier.set()
            got += b"".join([chunk async for chunk in chunks])
        assert got == body


async def test_ranges_inside_multipart_are_asked_where_it_is_the_same_each_time() -> None:
    """Behaves like nginx with static files: a strong ETag, and ranges of the file with its envelope."""
    origin = ScriptedOrigin().with_series(BODIES)
    tree = {frame_of(image): wrapped(body, JPHC_201) for image, body in enumerate(BODIES)}

    def script(asked: Asked) -> Reply | None:
        file = tree.get(asked.path)
        if file is None or "multipart" not in asked.headers["accept"]:
            return Reply(404, {}) if file else None
        return honest(file, asked, label="multipart/related")

    origin.script = script
    async with house(origin) as home:
        for image, body in enumerate(BODIES):
            answer = await home.viewer.get(frame_of(image), headers=SINGLE)
            assert answer.content == body
        assert origin.ranges_of(frame_of(0))[-1] is None
        head = len(wrapped(b"", JPHC_201)) - len("\r\n--BOUNDARY_1--")
        for image in (1, 2, 3):
            stop = 65536 + 512
            rest = f"bytes={stop}-{head + len(BODIES[image]) - 1}"
            assert origin.ranges_of(frame_of(image)) == [f"bytes=0-{stop - 1}", rest]
            tags = [asked.headers.get("if-range") for asked in origin.asked if asked.path == frame_of(image)]
            assert tags == [None, etag_of(tree[frame_of(image)])]


async def test_a_multipart_file_that_is_written_anew_is_never_stitched() -> None:
    """The new file has the same length and another boundary, so only the validator differs."""
    origin = ScriptedOrigin().with_series(BODIES)
    files = iter(wrapped(BODIES[1], JPHC_201, boundary=f"BOUNDARY_{n}") for n in range(9))
    now = {"file": next(files)}

    def script(asked: Asked) -> Reply | None:
        body = origin.frames.get(asked.path)
        if body is None or "multipart" not in asked.headers["accept"]:
            return Reply(404, {}) if body else None
        if asked.path == frame_of(1) and asked.range and "if-range" in asked.headers:
            now["file"] = next(files)
        file = now["file"] if asked.path == frame_of(1) else wrapped(body, JPHC_201)
        return honest(file, asked, label="multipart/related")

    origin.script = script
    async with house(origin) as home:
        await home.viewer.get(frame_of(0), headers=SINGLE)
        part = await home.viewer.get(frame_of(1), headers={**SINGLE, "range": "bytes=0-9"})
        assert part.content == BODIES[1][:10]
        await home.until_idle()
        answer = await home.viewer.get(frame_of(1), headers=SINGLE)
        assert answer.content == BODIES[1]
        assert home.metric("mismatches_total", origin="pacs", reason="validator") == 1


async def test_a_frame_in_gzip_is_undone() -> None:
    """Like static-wado with palette images: an octet-stream in a gzip file, and ranges of that file."""
    pixels = np.arange(90_000, dtype="u1").tobytes()
    file = gzip.compress(wrapped(pixels, ELE))

    def script(asked: Asked) -> Reply | None:
        if "/frames/" not in asked.path or "multipart" not in asked.headers["accept"]:
            return Reply(404, {}) if "/frames/" in asked.path else None
        if asked.range:
            return honest(file, asked, label="multipart/related")
        return Reply(200, {"content-type": "multipart/related", "content-encoding": "gzip"}, (file,))

    async with house(ScriptedOrigin(script=script)) as home:
        answer = await home.viewer.get(FRAME, headers=SINGLE)
        assert (answer.status_code, answer.content) == (200, pixels)
        assert answer.headers["content-type"] == ELE.replace(" ", "")
        assert "not-progressive" not in answer.headers  # no label claimed progressive HTJ2K


async def test_bytes_that_are_not_what_they_claim_pass_as_they_are_and_are_marked() -> None:
    broken = b"\x60\x9f\x01\x00" * 2 + BODIES[0][8:]
    async with house(ScriptedOrigin({FRAME: broken})) as home:
        for _ in range(2):
            answer = await home.viewer.get(FRAME, headers=SINGLE)
            assert answer.content == broken
            assert answer.headers["not-progressive"] == (
                "not a codestream: it does not start with SOC and SIZ"
            )
            assert "resolution-ends" not in answer.headers


async def test_a_part_that_lies_about_its_length_is_cut_where_its_delimiter_is() -> None:
    for said in (10, 10**9):
        whole = wrapped(BODIES[0], JPHC_201, f"Content-Length: {said}")

        def script(asked: Asked, whole: bytes = whole) -> Reply | None:
            is_known = "/frames/" in asked.path and "multipart" in asked.headers["accept"]
            return Reply(200, {"content-type": "multipart/related"}, (whole,)) if is_known else None

        async with house(ScriptedOrigin(script=script)) as home:
            assert (await home.viewer.get(FRAME, headers=SINGLE)).content == BODIES[0]


async def test_random_bytes_in_multipart_are_read_to_their_end() -> None:
    body = codestream(200_000)

    def script(asked: Asked) -> Reply | None:
        is_known = "/frames/" in asked.path and "multipart" in asked.headers["accept"]
        return Reply(200, {"content-type": "multipart/related"}, (wrapped(body, ELE),)) if is_known else None

    async with house(ScriptedOrigin(script=script)) as home:
        assert (await home.viewer.get(FRAME, headers=SINGLE)).content == body


async def test_what_an_origin_was_seen_to_do_is_shown() -> None:
    origin = ScriptedOrigin().with_series(BODIES)
    async with house(origin) as home:
        unknown = {"form": None, "ranges": None, "validators": None}
        well = {"stable_multipart": False, "resting": False}
        assert (await home.admin.get("/v1/origins")).json() == {"pacs": unknown | well}
        await home.viewer.get(frame_of(0), headers=SINGLE)
        known = {"form": "image/jphc", "ranges": True, "validators": True}
        assert (await home.admin.get("/v1/origins")).json() == {"pacs": known | well}


async def test_the_label_of_the_origin_is_kept_if_that_is_wished() -> None:
    body = htj2k(picture(200, 200))  # without TLM it is not .202
    for labels, said in (("bytes", "image/jphc"), ("origin", LABEL.replace(" ", ""))):
        async with house(ScriptedOrigin({FRAME: body}), origin={"labels": labels}) as home:
            answer = await home.viewer.get(FRAME, headers=SINGLE)
            assert (answer.headers["content-type"], answer.content) == (said, body)


@pytest.mark.parametrize(
    ("body", "claimed", "said"),
    [
        (BODIES[0], "201", ""),
        (BODIES[0], "203", "203"),
        (htj2k(picture(200, 200), tile=(64, 64)), "202", "201"),
        (htj2k(picture(200, 200), reversible=False, level=0.01, **PARTS), "202", "203"),
    ],
)
async def test_a_transfer_syntax_promises_no_more_than_the_bytes_keep(
    body: bytes, claimed: str, said: str
) -> None:
    uid = "1.2.840.10008.1.2.4."
    label = f"image/jphc; transfer-syntax={uid}{claimed}"

    def script(asked: Asked) -> Reply | None:
        return honest(body, asked, label=label) if asked.path == FRAME else None

    async with house(ScriptedOrigin(script=script)) as home:
        answer = await home.viewer.get(FRAME, headers=SINGLE)
        told = f";transfer-syntax={uid}{said}" if said else ""
        assert answer.headers["content-type"] == f"image/jphc{told}"
