"""Header values of an origin reach the viewer byte for byte, also those beyond ASCII (RFC 9110 5.5)."""

import httpx
import pytest

from tests.guarded_origin import SINGLE
from tests.house import house
from tests.scripted_origin import FRAME, SERIES, Asked, Reply, ScriptedOrigin, running

pytestmark = pytest.mark.anyio

VALUES = {
    "Latin-1": b'Basic realm="Universit\xe4t"',
    "UTF-8": 'Basic realm="Universität 東"'.encode(),
    "no charset": b'Basic realm="\x80\xff"',
    "a tab": b'Basic realm="a\tb"',
}
METADATA = f"{SERIES}/metadata"
PATHS = {"a frame": FRAME, "metadata": METADATA, "forwarded": "/elsewhere", "an upload": "/studies"}
NAMES = ("www-authenticate", "content-disposition", "x-note")


def said(answer: httpx.Response, name: str) -> list[bytes]:
    """The values of a header, as they came."""
    return [value for each, value in answer.headers.raw if each.lower() == name.encode()]


def saying(status: int, names: tuple[str, ...], value: bytes) -> ScriptedOrigin:
    """An origin whose responses have these headers with one value."""
    headers = {"content-type": "application/json"} | {name: value.decode("latin-1") for name in names}

    def script(asked: Asked) -> Reply | None:
        is_greeting = asked.path == "/studies?limit=1"
        return (
            None if is_greeting else Reply(status, {"content-type": "application/json"} | headers, (b"{}",))
        )

    return ScriptedOrigin(script=script)


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
async def test_a_challenge_comes_as_it_is(path: str, value: bytes) -> None:
    async with house(saying(401, NAMES, value)) as home:
        method = "POST" if path == "/studies" else "GET"
        answer = await home.viewer.request(method, path, headers=SINGLE)
        assert answer.status_code == 401
        assert said(answer, "www-authenticate") == [value]
        if path != FRAME:
            assert [said(answer, name) for name in NAMES] == [[value]] * len(NAMES)


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
async def test_what_is_held_has_them_too(value: bytes) -> None:
    async with house(saying(200, NAMES[1:], value)) as home:
        for _ in range(2):
            answer = await home.viewer.get(METADATA)
            assert (answer.status_code, said(answer, "x-note")) == (200, [value])
        assert home.origin.requests_of(METADATA) == 1


async def test_several_of_one_name_stay_several_and_in_order() -> None:
    values = [b"a=1", b"b=\xe9", b"c=3"]
    joined = "\r\nset-cookie: ".join(value.decode("latin-1") for value in values)
    async with house(saying(200, ("set-cookie",), joined.encode("latin-1"))) as home:
        assert said(await home.viewer.get("/elsewhere"), "set-cookie") == values


async def test_a_plan_passes_the_challenge_on() -> None:
    value = VALUES["Latin-1"]
    async with house(saying(401, NAMES[:1], value)) as home:
        answer = await home.ask_plan("sequential", headers={"authorization": "Bearer a"})
        assert (answer.status_code, said(answer, "www-authenticate")) == (401, [value])


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
async def test_the_challenge_of_an_authorizer_comes_as_it_is(value: bytes) -> None:
    async with (
        running(saying(401, ("www-authenticate",), value)) as authorizer,
        house(ScriptedOrigin(), access={"forward_auth": f"{authorizer.url}/auth"}) as home,
    ):
        answer = await home.viewer.get(FRAME, headers=SINGLE)
        assert (answer.status_code, said(answer, "www-authenticate")) == (401, [value])


HOSTILE = {
    "a lone carriage return": b"a\rset-cookie: x=1",
    "a NUL": b"a\x00b",
    "a folded line": b"a\xe9\r\n set-cookie: x=1",
    "a control character": b"a\x01\xe9",
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("path", [FRAME, "/elsewhere"])
async def test_no_value_becomes_another_header(path: str, value: bytes) -> None:
    async with house(saying(401, NAMES[:1], value)) as home:
        answer = await home.viewer.get(path, headers=SINGLE)
        assert answer.status_code == 502
        assert not said(answer, "set-cookie")
        assert not said(answer, "www-authenticate")
