"""The report of `check --origin` about origins of many kinds, on real sockets."""

import argparse
import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from proxy.commands.probe import probe
from proxy.errors import MeasureError, OriginUnreachable
from proxy.measure.picture import MAX_FRAME
from proxy.wire.via import Via
from tests.codestreams import PARTS, htj2k, picture
from tests.house import STORY
from tests.outbound_proxy import outbound_proxy
from tests.scripted_origin import (
    HANG_UP,
    SERIES,
    Asked,
    Reply,
    ScriptedOrigin,
    codestream,
    frame_of,
    honest,
    running,
)  # fmt: skip
from tests.stories.test_alternates import described

pytestmark = pytest.mark.anyio

Answering = Callable[[Asked], Reply]
BODY = codestream(200_000)
HTJ2K = htj2k(picture(300, 300), **PARTS)
STUDY = SERIES.split("/")[2]
LISTED = json.dumps([{"0020000E": {"vr": "UI", "Value": [SERIES.rpartition("/")[2]]}}]).encode()
JSON = {"content-type": "application/dicom+json"}
JPHC = {"content-type": "image/jphc"}
MIB = 1024**2


@dataclass(frozen=True)
class Case:
    answer: Answering
    """Answers each request for the frame."""
    said: tuple[str, ...]
    """Words of the report."""
    code: int = 0
    """The code with which the command ends."""


def whole(body: bytes, media: str = "image/jphc", **more: str) -> Answering:
    return lambda asked: Reply(200, {"content-type": media, **more}, (body,))


def other_range(asked: Asked) -> Reply:
    if asked.range is None:
        return whole(BODY)(asked)
    return Reply(206, JPHC | {"content-range": f"bytes 1-10/{len(BODY)}"}, (BODY[1:11],))


def no_rest(asked: Asked) -> Reply:
    """Has first bytes, but answers a later range with all of it."""
    plain = Asked(asked.method, asked.path, {})
    return honest(BODY, asked if asked.range in (None, "bytes=0-65535") else plain)


def through_a_proxy(asked: Asked) -> Reply:
    reply = honest(BODY, asked)
    return Reply(reply.status, reply.headers | {"via": Via().after(None)}, reply.pieces)


def first_form_hangs_up(asked: Asked) -> Reply:
    if asked.headers["accept"] == "image/jphc":
        return Reply(200, JPHC | {"content-length": "9"}, (b"abc", HANG_UP))
    return whole(b"", "text/plain")(asked) if "multipart" in asked.headers["accept"] else honest(BODY, asked)


WRAPPED = b"--B\r\nContent-Type: image/jphc\r\n\r\n" + HTJ2K + b"\r\n--B--"
CUT = b"--B\r\nContent-Type: image/jphc\r\n\r\n" + HTJ2K[: len(HTJ2K) // 2]
CASES = {
    "ranges and an ETag": Case(
        lambda asked: honest(BODY, asked),
        (
            "206 with the requested bytes",
            "strong",
            "the same each time",
            "guarded by If-Range",
            "is not HTJ2K",
        ),
    ),
    "ranges and no ETag": Case(
        lambda asked: honest(BODY, asked, etag=""),
        ("no strong one", "guarded by length and the codestream's markers"),
    ),
    "HTJ2K without ranges": Case(
        whole(HTJ2K), ("none: 200 with the whole frame", "one request per frame", "plans fetch whole frames")
    ),
    "HTJ2K with ranges": Case(lambda asked: honest(HTJ2K, asked), ("bytes, HTJ2K", "guarded by If-Range")),
    "multipart": Case(
        whole(WRAPPED, "multipart/related"), ("requests image/jphc", f"{len(HTJ2K):,} bytes, HTJ2K")
    ),
    "another range": Case(other_range, ("wrong: 206 with other bytes", "one request per frame")),
    "a rest that is the whole": Case(
        no_rest, ("remainder requested with If-Range does not fit the first bytes", "one request per frame")
    ),
    "a proxy of this kind": Case(through_a_proxy, ("through a progressive-proxy",)),
    "one form that hangs up": Case(
        first_form_hangs_up, ("– 127.0.0.1:", "ended its response", "requests application/octet-stream")
    ),
    "no part": Case(
        whole(BODY, "multipart/related"),
        ("200 the multipart body starts", "the proxy can't serve it"),
        1,
    ),
    "a part that was cut": Case(
        whole(CUT, "multipart/related"),
        ("200 a body that does not tell its end", "the proxy can't serve it"),
        1,
    ),
    "refusals": Case(lambda asked: Reply(404, {}), ("404", "the proxy can't serve it"), 1),
}


def origin_of(answer: Answering) -> ScriptedOrigin:
    def script(asked: Asked) -> Reply | None:
        if asked.path.startswith(frame_of(0)):
            return answer(asked)
        return (
            Reply(200, JSON, (LISTED,))
            if asked.path.partition("?")[0] == f"/studies/{STUDY}/series"
            else None
        )

    return described(ScriptedOrigin(script=script).with_series([b""]))


async def probed(answer: Answering) -> int:
    async with asyncio.timeout(STORY), running(origin := origin_of(answer)):
        return await asyncio.to_thread(
            probe, argparse.Namespace(origin=origin.url, header=[], study=STUDY, via=None)
        )


async def test_an_origin_that_only_an_http_proxy_reaches_is_tried_through_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    origin = origin_of(lambda asked: honest(BODY, asked))
    options = {"origin": "http://pacs.example", "header": [], "study": STUDY}
    async with (
        asyncio.timeout(STORY),
        running(origin),
        outbound_proxy({"pacs.example:80": origin.port}) as proxy,
    ):
        assert await asyncio.to_thread(probe, argparse.Namespace(**options, via=proxy.url)) == 0
        lost = argparse.Namespace(**options | {"origin": "https://pacs.example"}, via=proxy.url)
        with pytest.raises(OriginUnreachable, match="HTTP proxy on the way to it refuses to connect"):
            await asyncio.to_thread(probe, lost)
    assert "guarded by If-Range" in capsys.readouterr().out


COMMANDS = {
    "inspect": ("inspect", f"http://pacs.example{frame_of(0)}"),
    "measure": ("measure", "http://pacs.example", "--network", "local", "--study", STUDY, "--json"),
    "plan": (
        *("plan", "sequential", "--run", "--origin", "http://pacs.example", "--study", STUDY),
        *("--series", SERIES.rpartition("/")[2]),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
async def test_a_command_reaches_an_origin_through_an_http_proxy(command: tuple[str, ...]) -> None:
    origin = origin_of(lambda asked: honest(HTJ2K, asked))
    async with (
        asyncio.timeout(STORY),
        running(origin),
        outbound_proxy({"pacs.example:80": origin.port}) as proxy,
    ):
        called = [sys.executable, "-m", "proxy", *command, "--via", proxy.url]
        ended = await asyncio.create_subprocess_exec(*called, stdout=DEVNULL, stderr=PIPE)
        _, told = await ended.communicate()
        assert (ended.returncode, told.decode()[-500:] if ended.returncode else "") == (0, "")
    assert len(proxy.passed) == len(origin.asked) > 0


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_the_report_says_how_the_proxy_uses_an_origin(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await probed(case.answer) == case.code
    printed = capsys.readouterr().out
    assert all(len(line) <= 80 for line in printed.splitlines()[1:])
    assert [words for words in case.said if words not in " ".join(printed.split())] == []


@pytest.mark.slow
async def test_a_frame_that_is_too_large_ends_the_report() -> None:
    pieces = [bytes(MIB)] * (MAX_FRAME // MIB + 1)
    with pytest.raises(MeasureError, match=f"larger than {MAX_FRAME} bytes"):
        await probed(lambda _: Reply(200, JPHC, pieces))
