"""Multipart bodies that contain their own delimiter, parts without headers, and false content codings."""

from collections.abc import AsyncIterator, Mapping

import pytest

from proxy.errors import OriginError
from proxy.origin.parts import take_apart
from proxy.wire.media import parse_media_type
from tests.codestreams import PARTS, htj2k, picture
from tests.house import house
from tests.scripted_origin import FRAME, LABEL, Asked, Reply, ScriptedOrigin, honest

pytestmark = pytest.mark.anyio

SINGLE = {"accept": "image/jphc"}
ELE = "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
HTJ2K = htj2k(picture(256, 256), **PARTS)
DELIMITER = b"\r\n--B"
PIXELS = bytes(range(256)) * 300
BOUNDARY = 'multipart/related; boundary="B"'
WITH_BOUNDARY = parse_media_type(BOUNDARY)
WITH_DELIMITERS = {
    "the delimiter": PIXELS + DELIMITER + PIXELS,
    "the delimiter at its start": DELIMITER + PIXELS,
    "the delimiter at its end": PIXELS + DELIMITER,
    "the delimiter twice": PIXELS + DELIMITER * 2 + PIXELS,
    "the last delimiter": PIXELS + DELIMITER + b"--" + PIXELS,
    "the last delimiter and a line break": PIXELS + DELIMITER + b"--\r\n" + PIXELS,
    "a longer delimiter": PIXELS + DELIMITER + b"oundary\r\n\r\n" + PIXELS,
}


def wrapped(body: bytes, *fields: str, close: bytes = b"--") -> bytes:
    return "\r\n".join(["--B", *fields, "", ""]).encode() + body + DELIMITER + close


def multipart(*pieces: bytes, media: str = "multipart/related", length: int | None = None) -> ScriptedOrigin:
    """An origin that only knows multipart, and sends these pieces. Chunked if no length is given."""
    chunked = [b"%x\r\n" % len(piece) + piece + b"\r\n" for piece in (*pieces, b"")]

    def script(asked: Asked) -> Reply | None:
        if "/frames/" not in asked.path:
            return None
        if "multipart" not in asked.headers["accept"]:
            return Reply(406, {})
        if length is None:
            return Reply(200, {"content-type": media, "transfer-encoding": "chunked"}, chunked)
        return Reply(200, {"content-type": media, "content-length": str(length)}, pieces)

    return ScriptedOrigin(script=script)


async def pieces_of(whole: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(whole), size):
        yield whole[at : at + size]


async def part_of(whole: bytes, total: int | None, size: int, *, is_open: bool = False) -> bytes:
    part = await take_apart(pieces_of(whole, size), total, total, is_open=is_open)
    return b"".join([each async for each in part.chunks])


@pytest.mark.parametrize("body", WITH_DELIMITERS.values(), ids=WITH_DELIMITERS)
async def test_a_part_that_holds_its_delimiter_is_given_whole(body: bytes) -> None:
    length = f"Content-Length: {len(body)}"
    for fields in ((f"Content-Type: {ELE}",), (f"Content-Type: {ELE}", length)):
        for close in (b"--", b"--\r\n", b"", b"\r\n"):
            whole = wrapped(body, *fields, close=close)
            for total in (len(whole), None):
                for chunk in (len(whole), 1000, 7):
                    assert await part_of(whole, total, chunk) == body


DOUBTS = {
    "another part": wrapped(PIXELS, f"Content-Type: {ELE}", close=b"")
    + wrapped(PIXELS, f"Content-Type: {ELE}")[3:],
    "another part without headers": wrapped(PIXELS, close=b"") + b"\r\n\r\n" + PIXELS + DELIMITER + b"--",
    "bytes behind the last delimiter": wrapped(PIXELS) + PIXELS,
    "a delimiter inside, and none at the end": wrapped(PIXELS)[:-7] + DELIMITER + PIXELS,
    "nothing": wrapped(b"")[:-7] + b"--B--",
}


@pytest.mark.parametrize("whole", DOUBTS.values(), ids=DOUBTS)
async def test_a_part_whose_end_is_in_doubt_is_refused(whole: bytes) -> None:
    for total in (len(whole), None):
        for size in (len(whole), 1000):
            with pytest.raises(OriginError):
                await part_of(whole, total, size)


FALSE_ENDS = {
    "bytes": DELIMITER + PIXELS,
    "dashes": DELIMITER + b"--" + PIXELS,
    "dashes and a line break": DELIMITER + b"--\r\n" + PIXELS,
    "a line break": DELIMITER + b"\r\n" + PIXELS,
}


@pytest.mark.parametrize("rest", FALSE_ENDS.values(), ids=FALSE_ENDS)
async def test_a_content_length_that_ends_at_a_delimiter_inside_the_part_is_a_doubt(rest: bytes) -> None:
    whole = wrapped(PIXELS + rest, f"Content-Type: {ELE}", f"Content-Length: {len(PIXELS)}")
    for size in (len(whole), 1000, 7):
        with pytest.raises(OriginError):
            await part_of(whole, len(whole), size)
    async with house(multipart(whole, length=len(whole))) as home:
        assert (await home.viewer.get(FRAME, headers=SINGLE)).status_code == 502


@pytest.mark.parametrize("rest", [DELIMITER + PIXELS, DELIMITER + b"--" + PIXELS], ids=["bytes", "dashes"])
async def test_without_a_length_of_the_body_no_delimiter_goes_on_in_the_middle_of_a_line(rest: bytes) -> None:
    whole = wrapped(PIXELS + rest, f"Content-Type: {ELE}", f"Content-Length: {len(PIXELS)}")
    for size in (len(whole), 1000, 7):
        with pytest.raises(OriginError):
            await part_of(whole, None, size)


async def test_markers_settle_what_a_content_length_leaves_in_doubt() -> None:
    for said in (len(HTJ2K), len(HTJ2K) // 2):
        whole = wrapped(HTJ2K, f"Content-Type: {LABEL}", f"Content-Length: {said}") + b"\r\nan epilogue"
        assert await part_of(whole, len(whole), 1000) == HTJ2K


PREAMBLES = {
    "a line": b"This is a multipart message.\r\n",
    "several lines": b"\r\nFor mail readers\r\n\r\n  -- \r\nthat know no MIME\r\n\r\n",
    "another boundary's line": b"x\r\n--Bee\r\n",
    "half a boundary": b"x--B\r\n",
    "hyphens": b"--\r\n",
    "a line of hyphens": b"----------\r\nA message: in several parts\r\nthat few read\r\n\r\n",
    "a signature": b"-- \r\nan archive\r\n\r\n",
    "a line like a delimiter": b"--Bee\r\nis not what begins here\r\n",
}


@pytest.mark.parametrize("preamble", PREAMBLES.values(), ids=PREAMBLES)
@pytest.mark.parametrize("body", [PIXELS, HTJ2K], ids=["pixels", "HTJ2K"])
async def test_a_preamble_before_the_announced_boundary_is_skipped(body: bytes, preamble: bytes) -> None:
    whole = preamble + wrapped(body, f"Content-Type: {ELE}")
    for size in (len(whole), 1000, 7):
        for total in (len(whole), None):
            part = await take_apart(pieces_of(whole, size), total, total, WITH_BOUNDARY)
            assert b"".join([each async for each in part.chunks]) == body
    for length in (len(whole), None):
        async with house(multipart(whole, media=BOUNDARY, length=length)) as home:
            answer = await home.viewer.get(FRAME, headers=SINGLE)
            assert (answer.status_code, answer.content) == (200, body)


NO_PREAMBLES = {
    "no boundary is announced": (b"a line\r\n" + wrapped(PIXELS), "multipart/related"),
    "another boundary is announced": (b"a line\r\n" + wrapped(PIXELS), 'multipart/related; boundary="C"'),
    "a codestream, no part": (HTJ2K + DELIMITER + b"--", "multipart/related; boundary=B"),
    "too long": (b"a line\r\n" * 1100 + wrapped(PIXELS), "multipart/related; boundary=B"),
    "a delimiter too late": (PIXELS + b"\r\n" + wrapped(PIXELS), "multipart/related; boundary=B"),
}


@pytest.mark.parametrize(("whole", "media"), NO_PREAMBLES.values(), ids=NO_PREAMBLES)
async def test_nothing_else_is_a_preamble(whole: bytes, media: str) -> None:
    for length in (len(whole), None):
        async with house(multipart(whole, media=media, length=length)) as home:
            assert (await home.viewer.get(FRAME, headers=SINGLE)).status_code == 502


async def test_a_part_of_its_own_length_leaves_no_doubt() -> None:
    """The same holds for two parts that both give their length: the first one counts."""
    fields = f"Content-Type: {ELE}", f"Content-Length: {len(PIXELS)}"
    whole = wrapped(PIXELS, *fields, close=b"") + wrapped(PIXELS[::-1], *fields)[3:]
    assert await part_of(whole, len(whole), 1000) == PIXELS


@pytest.mark.parametrize("close", [b"--", b"--\r\n", b""], ids=["dashes", "dashes and break", "neither"])
@pytest.mark.parametrize("padding", range(4))
async def test_padding_behind_a_codestream_costs_no_viewer_its_frame(padding: int, close: bytes) -> None:
    whole = wrapped(HTJ2K + bytes(padding), f"Content-Type: {LABEL}", close=close)
    for total in (len(whole), None):
        for size in (len(whole), 1000, 7):
            got = await part_of(whole, total, size)
            assert got.startswith(HTJ2K)
            assert not got[len(HTJ2K) :].strip(b"\0")


async def test_zeros_that_a_content_length_leaves_out_are_no_padding() -> None:
    whole = wrapped(PIXELS + bytes(2), f"Content-Type: {ELE}", f"Content-Length: {len(PIXELS)}")
    with pytest.raises(OriginError):
        await part_of(whole, len(whole), 1000)


@pytest.mark.parametrize("said", [10, len(PIXELS) - 1, len(PIXELS) + 2, 10**9])
async def test_no_last_byte_leaves_if_no_delimiter_is_behind_it(said: int) -> None:
    whole, got = wrapped(PIXELS, f"Content-Type: {ELE}", f"Content-Length: {said}"), b""
    with pytest.raises(OriginError):
        part = await take_apart(pieces_of(whole, 1000), None, None)
        async for each in part.chunks:
            got += each
        assert len(got) < part.total
        raise OriginError
    assert len(got) < said


async def test_a_body_that_ends_with_its_connection_needs_its_delimiter() -> None:
    whole = wrapped(PIXELS, f"Content-Type: {ELE}")
    assert await part_of(whole, None, 1000, is_open=True) == PIXELS
    with pytest.raises(OriginError):
        await part_of(whole[:50_000], None, 1000, is_open=True)


@pytest.mark.parametrize("is_told", [True, False])
async def test_a_frame_that_holds_its_delimiter_is_the_viewers_whole_and_a_doubt_is_502(
    is_told: bool,
) -> None:
    body = WITH_DELIMITERS["the last delimiter and a line break"]
    for whole, status in ((wrapped(body, f"Content-Type: {ELE}"), 200), (DOUBTS["another part"], 502)):
        async with house(multipart(whole, length=len(whole) if is_told else None)) as home:
            answer = await home.viewer.get(FRAME, headers=SINGLE)
            assert answer.status_code == status
            assert status == 502 or answer.content == body


JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffc0000b080010001001011100") + PIXELS
JPEG_LS = bytes.fromhex("ffd8fff7000b10001000100101110000") + PIXELS
OUTER = 'multipart/related; type="application/octet-stream"; transfer-syntax=1.2.840.10008.1.2.5'
UNTYPED: Mapping[str, tuple[bytes, str, str]] = {
    "HTJ2K": (HTJ2K, "multipart/related", LABEL.replace(" ", "")),
    "HTJ2K as the outer type has it": (HTJ2K, 'multipart/related; type="image/jphc"', LABEL.replace(" ", "")),
    "JPEG": (JPEG, OUTER, "image/jpeg;transfer-syntax=1.2.840.10008.1.2.4.50"),
    "JPEG-LS": (JPEG_LS, "multipart/related", "image/jls;transfer-syntax=1.2.840.10008.1.2.4.80"),
    "what no bytes tell": (PIXELS, OUTER, "application/octet-stream;transfer-syntax=1.2.840.10008.1.2.5"),
    "what nothing tells": (PIXELS, "multipart/related", "application/octet-stream"),
}


@pytest.mark.parametrize(("body", "media", "label"), UNTYPED.values(), ids=UNTYPED)
async def test_a_part_without_headers_is_told_by_its_bytes_and_the_outer_type(
    body: bytes, media: str, label: str
) -> None:
    for fields in ((), ("MIME-Version: 1.0", f"Content-Length: {len(body)}")):
        whole = wrapped(body, *fields)
        async with house(multipart(whole, media=media, length=len(whole))) as home:
            answer = await home.viewer.get(FRAME, headers=SINGLE)
            assert (answer.content, answer.headers["content-type"]) == (body, label)


@pytest.mark.parametrize("coding", ["aws-chunked", "AWS-Chunked, identity", "utf-8", "x, y"])
@pytest.mark.parametrize("is_single", [True, False])
async def test_a_coding_that_nobody_knows_over_a_codestream_is_none(coding: str, is_single: bool) -> None:
    body = htj2k(picture(512, 512), **PARTS)

    def script(asked: Asked) -> Reply | None:
        if "/frames/" not in asked.path:
            return None
        if ("multipart" in asked.headers["accept"]) is is_single:
            return Reply(406, {})
        file = body if is_single else wrapped(body, f"Content-Type: {LABEL}")
        reply = honest(file, asked, label=LABEL if is_single else "multipart/related")
        return Reply(reply.status, reply.headers | {"content-encoding": coding}, reply.pieces)

    async with house(ScriptedOrigin(script=script)) as home:
        for path in (FRAME, FRAME.replace("frames/1", "frames/2")):
            answer = await home.viewer.get(path, headers=SINGLE)
            assert (answer.status_code, answer.content) == (200, body)
            assert "content-encoding" not in answer.headers
        assert home.origin.ranges[-2:] != [None, None]  # so ranges of it are ranges of the codestream


@pytest.mark.parametrize(("coding", "body"), [("aws-chunked", PIXELS), ("br", HTJ2K), ("compress", HTJ2K)])
async def test_a_coding_that_may_be_one_is_refused(coding: str, body: bytes) -> None:
    headers = {"content-type": LABEL, "content-encoding": coding}
    script = {True: Reply(200, headers, (body,)), False: None}
    async with house(ScriptedOrigin(script=lambda asked: script["/frames/" in asked.path])) as home:
        assert (await home.viewer.get(FRAME, headers=SINGLE)).status_code == 502
