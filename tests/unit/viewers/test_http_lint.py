"""httplint and REDbot read our answers: what they mind is mended, or explained here."""

import asyncio
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import httpx
import pytest
from httplint import HttpRequestLinter, HttpResponseLinter
from httplint.note import levels

from tests.codestreams import PARTS, htj2k, picture
from tests.house import House, house
from tests.scripted_origin import FRAME, SERIES, Asked, Reply, ScriptedOrigin, honest

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

BODY = htj2k(picture(400, 400), **PARTS)
METADATA, RENDERED, MISSING = f"{SERIES}/metadata", f"{FRAME}/rendered", FRAME.replace("/1.", "/9.")
SINGLE = {"accept": "image/jphc"}
MULTIPART = {"accept": "multipart/related; type=application/octet-stream; transfer-syntax=*"}
PNG = {"accept": "image/png"}
FIRST, BEYOND = {"range": "bytes=0-65535"}, {"range": "bytes=99999999-"}
PAGE = "https://viewer.example"
PREFLIGHT = {"access-control-request-method": "GET", "access-control-request-headers": "range"}

EXPLAINED = {
    "CONTENT_TYPE_MISMATCH": "it does not know image/jphc by its first bytes",
    "CONTENT_RANGE_MEANINGLESS": "else Cornerstone3D takes the part that it has for all, where a rest fails",
    "STATUS_BAD_REQUEST": "what was asked names no frame",
    "FRESHNESS_HEURISTIC": "what is handed through is as fresh as the origin says, which here says nothing",
    "HEADER_SHOULD_NOT_BE_IN_304": "Chromium answers a range of what it holds with the type of our 304",
    "VARY_COMPLEX": "a preflight depends on all that it asks",
}
"""What they mind, and why it is so all the same."""

ASKED: dict[str, tuple[int, str, str, dict[str, str]]] = {
    "cold": (200, "GET", FRAME, SINGLE),
    "hot": (200, "GET", FRAME, SINGLE),
    "multipart": (200, "GET", FRAME, MULTIPART),
    "head": (200, "HEAD", FRAME, SINGLE),
    "several": (200, "GET", f"{FRAME},1", MULTIPART),
    "thumbnail": (200, "GET", f"{FRAME}?fsiz=64,64", SINGLE),
    "for a page": (200, "GET", FRAME, SINGLE | {"origin": PAGE}),
    "preflight": (200, "OPTIONS", FRAME, PREFLIGHT | {"origin": PAGE}),
    "first bytes": (206, "GET", FRAME, SINGLE | FIRST),
    "first bytes of multipart": (206, "GET", FRAME, MULTIPART | FIRST),
    "not modified": (304, "GET", FRAME, SINGLE | {"if-none-match": "*"}),
    "range not modified": (304, "GET", FRAME, MULTIPART | FIRST | {"if-none-match": "*"}),
    "beyond": (416, "GET", FRAME, SINGLE | BEYOND),
    "beyond multipart": (416, "GET", FRAME, MULTIPART | BEYOND),
    "another version's rest": (416, "GET", FRAME, SINGLE | {"range": "bytes=9-", "if-range": '"x"'}),
    "another version": (412, "GET", FRAME, SINGLE | {"if-match": '"x"'}),
    "missing": (404, "GET", MISSING, SINGLE),
    "first bytes of missing": (404, "GET", MISSING, SINGLE | FIRST),
    "rest of missing": (404, "GET", MISSING, MULTIPART | {"range": "bytes=65536-"}),
    "no frame": (400, "GET", FRAME.replace("frames/1", "frames/0"), SINGLE),
    "several in one part": (406, "GET", f"{FRAME},1", SINGLE),
    "passed": (200, "GET", METADATA, {}),
    "passed head": (200, "HEAD", RENDERED, PNG),
    "passed range": (206, "GET", RENDERED, PNG | {"range": "bytes=0-99"}),
    "passed not modified": (304, "GET", RENDERED, PNG | {"if-none-match": '"png"'}),
    "passed beyond": (416, "GET", RENDERED, PNG | BEYOND),
    "passed missing": (404, "GET", "/studies/9/metadata", {}),
}
"""Requests by name: status, method, path, headers."""


def origin() -> ScriptedOrigin:
    def script(asked: Asked) -> Reply | None:
        if asked.path != RENDERED:
            return None
        if asked.headers.get("if-none-match") == '"png"':
            return Reply(304, {"etag": '"png"'})
        return honest(b"\x89PNG\r\n\x1a\n" * 100, asked, etag='"png"', label="image/png")

    return ScriptedOrigin({FRAME: BODY}, script, {METADATA: b"[]"})


def minded(answer: httpx.Response) -> set[str]:
    """What httplint warns of in an answer to its request."""
    asked, url = HttpRequestLinter(), str(answer.request.url)
    asked.process_request_topline(answer.request.method.encode(), url.encode(), b"1.1")
    asked.process_headers(list(answer.request.headers.raw))
    asked.finish_content(complete=True)
    linter = HttpResponseLinter()
    linter.request, linter.base_uri = asked, url
    linter.is_head_response = answer.request.method == "HEAD"
    linter.process_response_topline(b"1.1", b"%d" % answer.status_code, answer.reason_phrase.encode())
    linter.process_headers(list(answer.headers.raw))
    linter.feed_content(answer.content)
    linter.finish_content(complete=True)
    return {type(note).__name__ for note in linter.notes if note.level in (levels.WARN, levels.BAD)}


async def test_httplint_minds_nothing_that_is_not_explained() -> None:
    found: dict[str, set[str]] = defaultdict(set)
    async with house(origin(), cors={"origins": [PAGE]}) as home:
        for name, (status, method, path, headers) in ASKED.items():
            answer = await home.viewer.request(method, path, headers=headers)
            assert answer.status_code == status, name
            for note in minded(answer):
                found[note].add(name)
    assert set(found) == set(EXPLAINED), found
    assert all(name.startswith("passed") for name in found["FRESHNESS_HEURISTIC"]), found
    assert found["CONTENT_RANGE_MEANINGLESS"] == {"rest of missing"}


async def redbot(home: House, path: str, accept: dict[str, str]) -> Any:
    url = str(home.viewer.base_url.join(path))
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "tests.droid", url, accept["accept"]],
        capture_output=True,
        timeout=240,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("path", "accept", "wanted"),
    [
        (FRAME, SINGLE, ["CONTENT_TYPE_MISMATCH", "HEADER_SHOULD_NOT_BE_IN_304"]),
        (FRAME, MULTIPART, ["HEADER_SHOULD_NOT_BE_IN_304"]),
        (RENDERED, PNG, ["HEADER_SHOULD_NOT_BE_IN_304"]),
    ],
    ids=["single", "multipart", "passed"],
)
async def test_redbot_finds_that_ranges_and_validators_work(
    path: str, accept: dict[str, str], wanted: list[str]
) -> None:
    async with house(origin()) as home:
        assert await redbot(home, path, accept) == {"minded": wanted, "ranges": True, "validates": True}
