"""Each spelling that viewers are known for, over real sockets: one frame, in the one form or the other."""

from collections.abc import Callable
from urllib.parse import quote

import pytest

from tests.codestreams import PARTS, htj2k, picture
from tests.house import House, cache_did, house
from tests.scripted_origin import FRAME, ScriptedOrigin

pytestmark = pytest.mark.anyio

RPCL = "1.2.840.10008.1.2.4.202"
BODY = htj2k(picture(400, 400), **PARTS)
ALONE = [
    "image/jphc",
    f"image/jphc; transfer-syntax={RPCL}",
    f'image/jphc;transfer-syntax="{RPCL}"',
    "application/octet-stream; transfer-syntax=*",
    "image/png;q=0.9, image/jphc",
]
IN_MULTIPART = [
    "*/*",
    "undefined",
    "multipart/related; type=application/octet-stream; transfer-syntax=*",
    'multipart/related; type="application/octet-stream"; transfer-syntax="*"',
    f"multipart/related; type=application/octet-stream; transfer-syntax={RPCL}; transfer-syntax=*",
    'multipart/related; type="image/jphc; transfer-syntax=*"',
    "multipart/related; type=image/x-jls, multipart/related; type=image/jphc",
]
CORNERSTONE = IN_MULTIPART[2]


async def is_answered(home: House, query: str, accept: str, *, alone: bool) -> None:
    for wanted in ({}, {"range": "bytes=0-65535"}, {"range": "bytes=100-"}):
        answer = await home.viewer.get(FRAME + query, headers={"accept": accept, **wanted})
        assert answer.status_code == (206 if wanted else 200), (query, accept, wanted)
        assert answer.headers["content-type"].startswith("multipart/related;") is not alone, (query, accept)
        if not wanted:
            assert (answer.content == BODY) is alone
            assert BODY in answer.content


async def test_the_header_decides() -> None:
    async with house(ScriptedOrigin({FRAME: BODY})) as home:
        for accept in ALONE + IN_MULTIPART:
            await is_answered(home, "", accept, alone=accept in ALONE)
        assert len(home.origin.frame_requests) == 2  # they are all one frame


@pytest.mark.parametrize(
    "written", [lambda accept: accept.replace(" ", "%20"), quote], ids=["plain", "quoted"]
)
async def test_the_argument_goes_before_it(written: Callable[[str], str]) -> None:
    async with house(ScriptedOrigin({FRAME: BODY})) as home:
        for accept in ALONE + IN_MULTIPART:
            contrary = CORNERSTONE if accept in ALONE else "image/jphc"
            for query in ("?accept={}", "?&accept={}&", "??accept={}"):
                await is_answered(home, query.format(written(accept)), contrary, alone=accept in ALONE)
        assert len(home.origin.frame_requests) == 2


async def test_a_smaller_picture_is_the_same_however_its_url_is_put_together() -> None:
    frames, thumbnail = FRAME, FRAME.replace("/frames/", "/htj2kThumbnail/")
    jpip = FRAME.replace("/frames/", "/jpip?target=")
    async with house(ScriptedOrigin({FRAME: BODY})) as home:
        bodies = set()
        for url in (
            f"{frames}?fsiz=90,90&accept=image/jphc",
            f"{frames}?accept=image/jphc?fsiz=90,90",
            f"{thumbnail}?fsiz=90,90?accept=image%2Fjphc",
            f"{jpip}?fsiz=90,90&accept=image/jphc",
            f"{jpip}&fsiz=90%2C90?accept=image/jphc",
        ):
            answer = await home.viewer.get(url, headers={"accept": "undefined"})
            assert (answer.status_code, answer.headers["resolution"]) == (200, "100x100"), url
            bodies.add(answer.content)
        assert len(bodies) == 1


async def test_two_questions_of_the_origins_own_are_one_query_there_and_one_frame_here() -> None:
    async with house(ScriptedOrigin({FRAME: BODY})) as home:
        for query in ("?imageSetId=a&x=1", "?imageSetId=a?x=1", "?imageSetId=a?accept=image/jphc&x=1"):
            answer = await home.viewer.get(FRAME + query, headers={"accept": "image/jphc"})
            assert answer.content == BODY
            assert (cache_did(answer) == "hit") is (query != "?imageSetId=a&x=1")
        assert {asked.path for asked in home.origin.frame_requests} == {FRAME + "?imageSetId=a&x=1"}
