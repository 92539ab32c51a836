"""How many bytes there are is told with every answer, whatever an origin told: viewers reckon with it.

Without a length Cornerstone3D's share of what has come is infinite, and it decodes at once at full size; with
a content coding it is wrong; without a total in numbers a range never ends.
"""

import asyncio
import gzip
import re
from collections.abc import Callable

import pytest

from tests.codestreams import PARTS, htj2k, picture
from tests.house import House, house
from tests.raw_server import Asked, HangUp, serving
from tests.scripted_origin import FRAME, LABEL, ScriptedOrigin

pytestmark = pytest.mark.anyio

BODY = htj2k(picture(400, 400), **PARTS)
MULTIPART = f"--b\r\nContent-Type: {LABEL}\r\n\r\n".encode() + BODY + b"\r\n--b--"
ENVELOPES = ("image/jphc", "multipart/related; type=application/octet-stream; transfer-syntax=*")


def said(kind: str, *headers: str) -> bytes:
    return "\r\n".join(("HTTP/1.1 200 OK", f"Content-Type: {kind}", *headers, "", "")).encode()


def chunked(body: bytes) -> bytes:
    pieces = [body[at : at + 10_000] for at in range(0, len(body), 10_000)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])


PACKED = gzip.compress(BODY)
ORIGINS: dict[str, Callable[[], bytes]] = {
    "of a known length": lambda: said(LABEL, f"Content-Length: {len(BODY)}") + BODY,
    "in chunks": lambda: said(LABEL, "Transfer-Encoding: chunked") + chunked(BODY),
    "until it hangs up": lambda: said(LABEL, "Connection: close") + BODY,
    "in gzip": lambda: said(LABEL, "Content-Encoding: gzip", f"Content-Length: {len(PACKED)}") + PACKED,
    "multipart in chunks": lambda: (
        said("multipart/related; boundary=b", "Transfer-Encoding: chunked") + chunked(MULTIPART)
    ),
}


async def tells_all(home: House, path: str) -> None:
    """Whole, from byte 0 and from later on, in each envelope."""
    for accept in ENVELOPES:
        headers = {"accept": accept, "accept-encoding": "gzip, deflate, br, zstd"}
        whole = await home.viewer.get(path, headers=headers)
        first = await home.viewer.get(path, headers=headers | {"range": "bytes=0-65535"})
        rest = await home.viewer.get(path, headers=headers | {"range": f"bytes={len(first.content)}-"})
        head = await home.viewer.head(path, headers=headers)
        assert [each.status_code for each in (whole, first, head)] == [200, 206, 200]
        for answer in (whole, first, rest):
            assert answer.headers["content-length"] == str(len(answer.content))
        for answer in (whole, first, rest, head):
            assert not {"content-encoding", "transfer-encoding"} & set(answer.headers)
        total = len(whole.content)
        assert head.headers["content-length"] == str(total)
        for answer in (first, rest):
            assert re.fullmatch(rf"bytes (\d+-\d+|\*)/{total}", answer.headers["content-range"])
        assert first.content + rest.content == whole.content


@pytest.mark.parametrize("name", ORIGINS)
async def test_lengths_are_told_whatever_the_origin_tells(name: str) -> None:
    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        is_frame = "/frames/" in asked.target
        writer.write(ORIGINS[name]() if is_frame else said("application/dicom+json", "Content-Length: 0"))
        if is_frame and name == "until it hangs up":
            await writer.drain()
            raise HangUp

    async with serving(answer) as origin, house(ScriptedOrigin(), origin={"url": origin.url}) as home:
        await tells_all(home, FRAME)
        alone = await home.viewer.get(FRAME, headers={"accept": ENVELOPES[0]})
        assert alone.content == BODY


async def test_lengths_of_smaller_pictures_are_told_too() -> None:
    async with house(ScriptedOrigin({FRAME: BODY})) as home:
        await tells_all(home, f"{FRAME}?fsiz=90,90")
