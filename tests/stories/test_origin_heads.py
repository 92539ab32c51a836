"""Response heads of an origin: redirects, and heads that HTTP does not allow."""

import pytest

from proxy.errors import BadResource
from proxy.viewers.forward import checked_target
from tests.house import cache_did, house
from tests.scripted_origin import (
    FRAME,
    HANG_UP,
    LABEL,
    Asked,
    Piece,
    Reply,
    ScriptedOrigin,
    codestream,
    honest,
)

pytestmark = pytest.mark.anyio

SINGLE = {"accept": "image/jphc"}
SEARCH = "/studies?PatientName=A"
PROOF = {"authorization": "Bearer of-a-viewer"}
BODY = codestream(200_000)
MOVED = FRAME.replace("/studies/", "/moved/studies/")


def redirecting(origin: ScriptedOrigin, status: int, location: str) -> ScriptedOrigin:
    """An origin that answers the frame with a redirect, and serves `/moved` correctly."""

    def script(asked: Asked) -> Reply | None:
        if asked.path.startswith("/moved"):
            return honest(BODY, asked)
        is_meant = asked.path.partition("?")[0] == FRAME or asked.path == SEARCH
        return Reply(status, {"location": location.format(origin=origin.url)}) if is_meant else None

    origin.script = script
    return origin


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_frame_is_followed_to_the_same_host_with_its_credentials(status: int) -> None:
    origin = redirecting(ScriptedOrigin(), status, MOVED if status % 2 else "{origin}" + MOVED)
    async with house(origin) as home:
        answer = await home.viewer.get(FRAME, headers=SINGLE | PROOF)
        assert (answer.status_code, answer.content) == (200, BODY)
        await home.until_idle()
        moved = [asked for asked in origin.asked if asked.path == MOVED]
        assert [asked.range for asked in moved] == ["bytes=0-65535", "bytes=65536-"]
        assert {asked.headers["authorization"] for asked in moved} == {PROOF["authorization"]}
        assert cache_did(await home.viewer.get(FRAME, headers=SINGLE | PROOF)) == "hit"


@pytest.mark.parametrize(
    "location",
    [
        "{other}/there",
        "http://user:word@{same}/there",
        "http://elsewhere.test/there?signature=1",
        "//elsewhere.test/there",
    ],
)
async def test_a_frame_that_is_elsewhere_is_handed_on_with_its_location_and_nobody_is_asked_there(
    location: str,
) -> None:
    async with house(ScriptedOrigin()) as beside:  # the same host and another port is another server
        origin, other = ScriptedOrigin(), beside.origin
        async with house(origin) as home:
            said = location.format(other=other.url, same=origin.url.removeprefix("http://"))
            redirecting(origin, 307, said)
            before = len(other.asked)
            for headers in (SINGLE | PROOF, SINGLE | PROOF | {"range": "bytes=0-65535"}):
                answer = await home.viewer.get(FRAME, headers=headers)
                assert answer.status_code == 307
                assert answer.headers["location"] == (said if "://" in said else f"http:{said}")
            assert len(other.asked) == before
            assert {asked.path for asked in origin.frame_requests} == {FRAME}


@pytest.mark.parametrize("location", [FRAME, "javascript:alert(1)", "/a\tb", ""])
async def test_a_redirect_that_leads_nowhere_ends(location: str) -> None:
    async with house(redirecting(ScriptedOrigin(), 302, location)) as home:
        answer = await home.viewer.get(FRAME, headers=SINGLE)
        assert answer.status_code == 502
        assert len(home.origin.frame_requests) <= 6


@pytest.mark.parametrize("location", ["{origin}/moved/x", "x?a=b"])
async def test_a_redirect_of_what_is_handed_through_keeps_its_location(location: str) -> None:
    origin = redirecting(ScriptedOrigin(), 307, location)
    async with house(origin) as home:
        answer = await home.viewer.get(SEARCH)
        assert (answer.status_code, answer.headers["location"]) == (307, location.format(origin=origin.url))


async def test_an_origin_that_sends_strangers_elsewhere_is_reached() -> None:
    def script(asked: Asked) -> Reply | None:
        is_known = "authorization" in asked.headers
        return None if is_known else Reply(302, {"location": "https://login.test/?back=1"})

    async with house(ScriptedOrigin({FRAME: BODY}, script)) as home:
        assert (await home.viewer.get(FRAME, headers=SINGLE)).headers["location"].startswith("https://login.")
        assert (await home.viewer.get(FRAME, headers=SINGLE | PROOF)).content == BODY


BOTH = {"transfer-encoding": "chunked", "content-length": "200000"}
CHUNKED = (b"30d40\r\n", BODY, b"\r\n0\r\n\r\n")
OTHERWISE = {
    "another protocol": (101, {"upgrade": "websocket", "connection": "Upgrade"}, ()),
    "a status above all": (600, {}, (BODY,)),
    "both lengths": (200, BOTH, CHUNKED),
    "both lengths that differ": (200, BOTH | {"content-length": "10"}, CHUNKED),
    "both lengths of an error": (404, BOTH, CHUNKED),
}


@pytest.mark.parametrize("path", [FRAME, SEARCH])
@pytest.mark.parametrize(("status", "headers", "pieces"), OTHERWISE.values(), ids=OTHERWISE)
async def test_what_http_does_not_allow_is_502_with_its_reason(
    path: str, status: int, headers: dict[str, str], pieces: tuple[Piece, ...]
) -> None:
    def script(asked: Asked) -> Reply | None:
        return Reply(status, {"content-type": LABEL} | headers, pieces) if asked.path == path else None

    async with house(ScriptedOrigin(script=script)) as home:
        answer = await home.viewer.get(path, headers=SINGLE)
        assert answer.status_code == 502
        reason = (
            "both Content-Length and Transfer-Encoding" if "transfer-encoding" in headers else str(status)
        )
        assert reason in answer.json()["detail"]
        assert [asked.path for asked in home.origin.asked].count(path) == 1


LENGTHS = ("content-length", "Content-Length")
"""One name in two spellings, for a header that is sent twice."""
UNFRAMED = [
    *(
        {"content-length": length}
        for length in ("5, 05", "5, 6", "5,", "-5", "+5", "0x5", "18446744073709551616")
    ),
    *({"transfer-encoding": coding} for coding in ("gzip", "gzip, chunked", "identity, chunked")),
    *({"location": location} for location in ("javascript:alert(1)", "http://[::1", "weasis:a")),
]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_an_answer_that_can_be_framed_or_followed_in_no_way_is_502(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    def script(asked: Asked) -> Reply | None:
        if not asked.path.startswith("/unframed"):
            return None
        headers = UNFRAMED[int(asked.path.rpartition("/")[2])]
        pieces = (b"0\r\n\r\n",) if "transfer-encoding" in headers else (b"[1,2]",)
        return Reply(302 if "location" in headers else 200, headers, (*pieces, HANG_UP))

    async with house(ScriptedOrigin(script=script)) as home:
        for number, headers in enumerate(UNFRAMED):
            answer = await home.viewer.request(method, f"/unframed/{number}")
            assert answer.status_code == 502, headers
            assert (await home.viewer.get(SEARCH)).status_code == 200  # else the origin would be left alone
    assert "a fault inside the proxy" not in caplog.text


@pytest.mark.parametrize("path", [FRAME, SEARCH])
@pytest.mark.parametrize("is_joined", [True, False], ids=["in one line", "in two lines"])
async def test_a_length_that_is_said_twice_is_one(path: str, is_joined: bool) -> None:
    size = str(len(BODY))
    lengths = {"content-length": f"{size}, {size}"} if is_joined else dict.fromkeys(LENGTHS, size)

    def script(asked: Asked) -> Reply | None:
        return Reply(200, {"content-type": LABEL} | lengths, (BODY,)) if asked.path == path else None

    async with house(ScriptedOrigin(script=script)) as home:
        answer = await home.viewer.get(path, headers=SINGLE)
        assert (answer.status_code, answer.content) == (200, BODY)
        assert answer.headers.get_list("content-length") == [size]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("status", [204, 304])
async def test_the_length_of_an_answer_without_a_body_is_left_out(
    status: int, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A 304 may tell the length that a 200 would have (RFC 9110 8.6)."""
    said = {"content-length": "5000", "etag": '"a"'}
    path = SEARCH if status == 204 else "/workitems/1"  # a condition on a search does not reach the origin
    origin = ScriptedOrigin(script=lambda asked: Reply(status, said) if asked.path == path else None)
    async with house(origin) as home:
        for _ in range(2):
            answer = await home.viewer.request(method, path, headers={"if-none-match": '"a"'})
            assert (answer.status_code, answer.headers["etag"]) == (status, '"a"')
            assert "content-length" not in answer.headers
            assert "connection" not in answer.headers
    assert "a fault inside the proxy" not in caplog.text


async def test_a_backslash_in_a_query_is_passed_on() -> None:
    async with house(ScriptedOrigin()) as home:
        for query in ("PatientName=A\\B", "a=\\", "a=b\\..\\c", "\\"):
            answer = await home.viewer.get(f"/studies?{query}")
            assert (answer.status_code, home.origin.asked[-1].path) == (200, f"/studies?{query}")


async def test_a_backslash_in_a_path_is_not() -> None:
    for path in ("studies\\1", "studies/..\\x", "\\"):
        with pytest.raises(BadResource):
            checked_target(path, "a=b")
