"""Cookies and tokens reach only the origin they belong to. Those not forwarded do not split the cache."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.codestreams import PARTS, htj2k
from tests.house import House, cache_did, house
from tests.scripted_origin import SERIES, Asked, Reply, ScriptedOrigin, frame_of, running
from tests.stories.test_alternates import PIXELS, described

pytestmark = pytest.mark.anyio

BODY = htj2k(PIXELS, **PARTS)
JAR = "pacs=1; cloud=2; tracking=3"
VIEWER = {"authorization": "Bearer viewers", "cookie": JAR}
SINGLE = {"accept": "image/jphc"}
ALTERNATE: dict[str, Any] = {"jls": {"path": "/jls/", "codec": "jpegls"}}
PNG = {"accept": "image/png"}


def of_two(script: Any = None) -> ScriptedOrigin:
    return described(ScriptedOrigin(script=script).with_series([BODY, BODY]))


@asynccontextmanager
async def two(
    pacs: ScriptedOrigin, cloud: ScriptedOrigin, more: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[House]:
    """Two origins. `pacs` is also served without its name. `more` goes into the settings of both."""
    async with running(pacs), running(cloud):
        named = [("pacs", pacs), ("cloud", cloud)]
        said = {name: {"url": each.url, "name": name, **(more or {})} for name, each in named}
        said["pacs"]["default"] = True
        for name, forward in settings.pop("forward", {}).items():
            said[name]["forward"] = forward
        async with house(ScriptedOrigin(), origins=[*said.values()], **settings) as home:
            for each in (pacs, cloud):
                each.asked.clear()  # drop the greetings
            yield home


async def everything(home: House, prefix: str) -> None:
    """Sends every kind of request that the proxy forwards on behalf of a viewer."""
    plain = f"{prefix}{frame_of(0)}"
    assert (await home.viewer.get(plain, headers=VIEWER | SINGLE)).status_code == 200
    listed = plain.replace("frames/1", "frames/1,1")
    assert (await home.viewer.get(listed, headers=VIEWER)).status_code == 200
    path = f"{prefix}{frame_of(1)}".replace("/frames/", "/jls/")
    assert (await home.viewer.get(path, headers=VIEWER | {"accept": "image/jls"})).status_code == 200
    assert (await home.viewer.get(f"{prefix}{SERIES}/rendered", headers=VIEWER | PNG)).status_code == 200
    assert (await home.viewer.get(f"{prefix}{SERIES}/metadata", headers=VIEWER)).status_code == 200
    assert (await home.viewer.post(f"{prefix}/studies", headers=VIEWER, content=b"x")).status_code == 404
    made = await home.ask_plan("sequential", headers=VIEWER, origin=prefix[1:] or "pacs")
    assert (await home.events(made.headers["location"], VIEWER))[-1][1]["state"] == "done"


def got(origin: ScriptedOrigin) -> set[tuple[str | None, str | None]]:
    """The pairs of `Authorization` and `Cookie` that the origin received."""
    assert len({asked.path for asked in origin.asked}) >= 4
    return {(asked.headers.get("authorization"), asked.headers.get("cookie")) for asked in origin.asked}


@pytest.mark.parametrize("prefix", ["", "/pacs"])
async def test_the_only_origin_gets_all_that_a_viewer_has(prefix: str) -> None:
    origin = of_two()
    async with house(origin, origin={"rendered": "proxy"}, alternates=ALTERNATE, access="credential") as home:
        origin.asked.clear()
        await everything(home, prefix)
        assert got(origin) == {("Bearer viewers", JAR)}


@pytest.mark.parametrize("prefix", ["", "/pacs", "/cloud"])
async def test_of_several_the_named_one_gets_the_token_and_no_cookie(prefix: str) -> None:
    pacs, cloud = of_two(), of_two()
    async with two(pacs, cloud, {"rendered": "proxy"}, alternates=ALTERNATE) as home:
        await everything(home, prefix)
        asked, other = (cloud, pacs) if prefix == "/cloud" else (pacs, cloud)
        assert got(asked) == {("Bearer viewers", None)}
        assert other.asked == []


async def test_each_gets_the_cookies_that_are_named_for_it() -> None:
    pacs, cloud = of_two(), of_two()
    forward = {"pacs": {"cookies": ["pacs"]}, "cloud": {"authorization": False, "cookies": ["cloud", "x"]}}
    settings: dict[str, Any] = {"alternates": ALTERNATE, "access": "credential"}
    async with two(pacs, cloud, {"rendered": "proxy"}, forward=forward, **settings) as home:
        await everything(home, "")
        await everything(home, "/cloud")
        assert got(pacs) == {("Bearer viewers", "pacs=1")}
        assert got(cloud) == {(None, "cloud=2")}


async def test_all_cookies_go_where_a_star_says_so() -> None:
    pacs, cloud = of_two(), of_two()
    async with two(pacs, cloud, forward={"pacs": {"cookies": ["*"]}}, access="credential") as home:
        for prefix in ("/pacs", "/cloud"):
            await home.viewer.get(f"{prefix}{frame_of(0)}", headers=VIEWER | SINGLE)
        assert {asked.headers.get("cookie") for asked in pacs.asked} == {JAR}
        assert {asked.headers.get("cookie") for asked in cloud.asked} == {None}


async def test_a_cookie_that_stays_here_does_not_split_the_cache() -> None:
    pacs, cloud = of_two(), of_two()
    async with two(pacs, cloud, forward={"pacs": {"cookies": ["pacs"]}}, access="credential") as home:
        found = []
        for cookie in ("pacs=1; tracking=3", "tracking=4; pacs=1", "pacs=2; tracking=3", "tracking=3"):
            answer = await home.viewer.get(frame_of(0), headers=SINGLE | {"cookie": cookie})
            found.append(cache_did(answer))
        assert found == ["fwd=miss; stored", "hit", "fwd=miss; stored", "fwd=miss; stored"]


SETS = {
    "/studies": ("session=1; Path=/; Domain=example.com; HttpOnly", "session=1; HttpOnly; Path=/studies"),
    "/pacs/studies": ("session=1; Path=/; HttpOnly", "session=1; HttpOnly; Path=/pacs"),
    "/cloud/studies": ("session=1", "session=1; Path=/cloud"),
    "/cloud/studies/1": ("session=1; Path=/studies/1", "session=1; Path=/cloud/studies/1"),
    "/studies/1": ("session=1; Path=/studies/1", "session=1; Path=/studies/1"),
    "/studies/2": ("session=1; Path=/cloud", None),
    "/cloud/login": ("session=1; Path=/pacs", "session=1; Path=/cloud/pacs"),
    "/login": ("session=1; Path=/", "session=1; Path=/login"),
    "/": ("session=1; Path=/", "session=1; Path=/pacs"),
    "/cloud": ("session=1; Path=/", "session=1; Path=/cloud"),
}


@pytest.mark.parametrize("path", SETS)
async def test_a_browser_returns_a_cookie_to_the_origin_that_set_it_and_to_no_other(path: str) -> None:
    said, became = SETS[path]

    def script(asked: Asked) -> Reply:
        return Reply(200, {"content-type": "text/plain", "set-cookie": said}, (b"in",))

    async with two(ScriptedOrigin(script=script), ScriptedOrigin(script=script)) as home:
        answer = await home.viewer.get(path)
        assert (answer.status_code, answer.headers.get("set-cookie")) == (200, became)


async def test_what_the_only_origin_sets_passes_as_it_is() -> None:
    cookies = "session=1; Path=/; Domain=example.com"
    origin = ScriptedOrigin(script=lambda asked: Reply(200, {"set-cookie": cookies}, (b"in",)))
    async with house(origin) as home:
        assert (await home.viewer.get("/studies")).headers["set-cookie"] == cookies


async def test_of_viewers_whose_credentials_go_nowhere_one_copy_serves_all(tmp_path: Path) -> None:
    token = tmp_path / "token"
    await asyncio.to_thread(token.write_text, "ours")
    origin = of_two()
    async with house(origin, origin={"credentials": {"bearer_file": str(token)}}) as home:
        for user in ("one", "two"):
            headers = SINGLE | {"authorization": f"Bearer {user}"}
            assert (await home.viewer.get(frame_of(0), headers=headers)).content == BODY
            await home.until_idle()
        assert len(origin.frame_requests) == 1


async def test_no_cookie_that_an_origin_sets_stays_in_the_proxy() -> None:
    numbers = count()
    origin = ScriptedOrigin(script=lambda asked: Reply(200, {"set-cookie": f"c{next(numbers)}=1"}, (b"in",)))
    async with house(origin) as home:
        for _ in range(9):
            assert "set-cookie" in (await home.viewer.get("/studies")).headers
            home.viewer.cookies.clear()
        assert not any("cookie" in asked.headers for asked in origin.asked)


async def test_a_value_beyond_ascii_reaches_the_origin_in_utf_8() -> None:
    name = "Müller"
    async with house(ScriptedOrigin()) as home:
        at = home.viewer.base_url
        reader, writer = await asyncio.open_connection(at.host, at.port)
        head = f"GET /studies/1/other HTTP/1.1\r\nHost: {at.netloc.decode()}\r\nConnection: close\r\n"
        said = [b"X-Latin-1: " + name.encode("latin-1"), b"X-Utf-8: " + name.encode()]
        writer.write(head.encode() + b"\r\n".join(said) + b"\r\n\r\n")
        await reader.read()
        writer.close()
        (asked,) = [asked for asked in home.origin.asked if asked.path == "/studies/1/other"]
        got = [asked.headers[each].encode("latin-1") for each in ("x-latin-1", "x-utf-8")]
        assert got == [name.encode()] * 2
