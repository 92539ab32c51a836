"""Pages from elsewhere: what they may read, and from where."""

from typing import Any

import pytest

from tests.house import House, house
from tests.scripted_origin import FRAME, Asked, Reply, ScriptedOrigin, codestream

pytestmark = pytest.mark.anyio

PAGE, STRANGER = "https://viewer.example", "https://stranger.example"
BODY = codestream(200_000)
SINGLE = {"accept": "image/jphc"}


def origin() -> ScriptedOrigin:
    return ScriptedOrigin({FRAME: BODY})


async def preflight(home: House, page: str, headers: str, **more: str) -> tuple[int, Any]:
    asked = {
        "origin": page,
        "access-control-request-method": "GET",
        "access-control-request-headers": headers,
    }
    answer = await home.viewer.options(FRAME, headers=asked | more)
    return answer.status_code, answer.headers


async def test_a_named_page_reads_frames_their_ranges_and_errors() -> None:
    async with house(origin(), cors={"origins": [PAGE], "credentials": True}) as home:
        asked = SINGLE | {"origin": PAGE}
        for more, path, status in (
            ({}, FRAME, 200),
            ({"range": "bytes=0-65535"}, FRAME, 206),
            ({"range": "bytes=9999999-"}, FRAME, 416),
            ({}, FRAME.replace("/1.", "/9."), 404),
            ({}, "/studies?limit=1", 200),
        ):
            answer = await home.viewer.get(path, headers=asked | more)
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] == PAGE
            assert answer.headers["access-control-allow-credentials"] == "true"
            assert answer.headers["timing-allow-origin"] == PAGE
            exposed = answer.headers["access-control-expose-headers"]
            assert {"Content-Range", "Content-Length", "ETag", "Problem"} <= set(exposed.split(", "))
            assert "Origin" in answer.headers["vary"]


async def test_a_stranger_reads_nothing_and_a_plain_viewer_needs_no_leave() -> None:
    async with house(origin(), cors={"origins": [PAGE]}) as home:
        for page in (STRANGER, "null"):
            answer = await home.viewer.get(FRAME, headers=SINGLE | {"origin": page})
            assert "access-control-allow-origin" not in answer.headers
            assert "timing-allow-origin" not in answer.headers
            assert (await preflight(home, page, "range"))[0] == 400
        assert (await home.viewer.get(FRAME, headers=SINGLE)).content == BODY


async def test_what_the_origin_says_of_pages_lets_nobody_in() -> None:
    def script(asked: Asked) -> Reply | None:
        open_to_all = {"access-control-allow-origin": "*", "timing-allow-origin": "*"}
        return Reply(200, {"content-type": "application/dicom+json", **open_to_all}, (b"[]",))

    async with house(ScriptedOrigin(script=script), cors={"origins": [PAGE]}) as home:
        for page, said in ((PAGE, [PAGE]), (STRANGER, [])):
            answer = await home.viewer.get("/studies?limit=1", headers={"origin": page})
            assert answer.status_code == 200
            assert answer.headers.get_list("access-control-allow-origin") == said
            assert answer.headers.get_list("timing-allow-origin") == said


async def test_a_preflight_is_answered_here_and_kept() -> None:
    async with house(origin(), cors={"origins": [PAGE], "private_network": True, "max_age": 86400}) as home:
        before = len(home.origin.asked)
        private = {"access-control-request-private-network": "true"}
        status, headers = await preflight(
            home, PAGE, "authorization, range, if-match, if-none-match", **private
        )
        assert (status, headers["access-control-max-age"]) == (200, "86400")
        assert headers["access-control-allow-private-network"] == "true"
        assert {"authorization", "range"} <= set(headers["access-control-allow-headers"].lower().split(", "))
        assert (await preflight(home, PAGE, "x-unheard-of"))[0] == 400
        assert (await preflight(home, STRANGER, "range", **private))[0] == 400
        assert len(home.origin.asked) == before


async def test_further_headers_may_be_sent_if_they_are_listed() -> None:
    """Field case o1."""
    async with house(origin(), cors={"origins": [PAGE], "headers": ["X-Site-ID"]}) as home:
        for wanted in ("accept, x-site-id", "X-Site-ID", "x-site-id,range,traceparent"):
            status, headers = await preflight(home, PAGE, wanted)
            assert status == 200
            assert "x-site-id" in headers["access-control-allow-headers"].lower()
        assert (await preflight(home, PAGE, "accept, x-unheard-of"))[0] == 400
        assert (await preflight(home, STRANGER, "accept, x-site-id"))[0] == 400


async def test_a_trace_may_always_be_sent() -> None:
    async with house(origin(), cors={"origins": [PAGE]}) as home:
        assert (await preflight(home, PAGE, "accept, traceparent, tracestate"))[0] == 200
        assert (await preflight(home, PAGE, "accept, x-site-id"))[0] == 400


async def test_a_private_network_is_left_alone_unless_that_is_wished() -> None:
    async with house(origin(), cors={"origins": [PAGE]}) as home:
        private = {"access-control-request-private-network": "true"}
        status, headers = await preflight(home, PAGE, "range", **private)
        assert status == 400
        assert "access-control-allow-private-network" not in headers
        assert (await preflight(home, PAGE, "range"))[0] == 200


async def test_where_nothing_is_said_of_pages_nothing_is_said_to_them() -> None:
    async with house(origin()) as home:
        answer = await home.viewer.get(FRAME, headers=SINGLE | {"origin": PAGE})
        assert not [name for name in answer.headers if name.startswith(("access-control", "timing-allow"))]


async def test_anywhere_is_without_credentials() -> None:
    async with house(origin(), cors={"origins": ["*"]}) as home:
        answer = await home.viewer.get(FRAME, headers=SINGLE | {"origin": STRANGER})
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["timing-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers
