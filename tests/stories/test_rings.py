"""A request that comes back to the proxy fails at once. Chains of several proxies work."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from proxy.wire.via import Via, proxies_in
from tests.house import house
from tests.raw_server import Asked as RawAsked
from tests.raw_server import HangUp, RawServer, serving
from tests.scripted_origin import FRAME, Asked, Reply, ScriptedOrigin, codestream

pytestmark = pytest.mark.anyio

BODY = codestream(200_000)
SINGLE = {"accept": "image/jphc"}
SEARCH = "/studies/1/series"


@asynccontextmanager
async def bent_back(
    said: Callable[[str, str], str | None] = lambda _, value: value,
) -> AsyncIterator[tuple[RawServer, list[int]]]:
    """A server that forwards all bytes to the port in the list. While the list is empty it hangs up.

    `said` returns what it makes of a header; None drops the header.
    """
    ports: list[int] = []

    async def answer(asked: RawAsked, writer: asyncio.StreamWriter) -> None:
        if not ports:
            raise HangUp
        reader, onward = await asyncio.open_connection("127.0.0.1", ports[0])
        headers = ((name, said(name, value)) for name, value in asked.headers.items())
        lines = [
            f"{asked.method} {asked.target} HTTP/1.1",
            *(f"{n}: {v}" for n, v in headers if v is not None),
        ]
        onward.write("\r\n".join([*lines, "connection: close", "", ""]).encode())
        try:
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()
        finally:
            onward.close()
        raise HangUp

    async with serving(answer) as server:
        yield server, ports


def proxies(asked: Asked) -> list[str]:
    return proxies_in(asked.headers["via"])


@pytest.mark.parametrize("path", [FRAME, SEARCH, f"{FRAME}/rendered"])
async def test_an_origin_that_is_the_proxy_itself_is_508_and_asked_once(path: str) -> None:
    async with (
        bent_back() as (way, ports),
        house(ScriptedOrigin(), wait=False, origin={"url": way.url}) as home,
    ):
        ports.append(home.viewer.base_url.port or 0)
        before = len(way.asked)
        answer = await home.viewer.get(path, headers={"accept": "*/*"})
        assert answer.status_code == 508
        assert home.metric("refused_requests_total", reason="Loop") > 0
        asked = [each for each in way.asked[before:] if each.target != "/studies?limit=1"]
        assert len(asked) == 1


@pytest.mark.parametrize("path", [FRAME, SEARCH])
async def test_two_proxies_in_a_ring_ask_each_other_once(path: str) -> None:
    async with (
        bent_back() as (way, ports),
        house(ScriptedOrigin(), wait=False, origin={"url": way.url}) as near,
        house(ScriptedOrigin(), wait=False, origin={"url": str(near.viewer.base_url)}) as far,
    ):
        ports.append(far.viewer.base_url.port or 0)
        before = len(way.asked)
        answer = await near.viewer.get(path, headers=SINGLE)
        assert answer.status_code == 508
        asked = [each for each in way.asked[before:] if each.target != "/studies?limit=1"]
        assert len(asked) == 1


CHANGED: dict[str, Callable[[str, str], str | None]] = {
    "Via dropped": lambda name, value: None if name == "via" else value,
    "Via in capitals": lambda name, value: {"via": value.upper(), "cdn-loop": None}.get(name, value),
    "Via with a comment": lambda name, value: {"via": f"{value} (x (y))", "cdn-loop": None}.get(name, value),
    "CDN-Loop dropped": lambda name, value: None if name == "cdn-loop" else value,
}


@pytest.mark.parametrize("path", [FRAME, SEARCH])
@pytest.mark.parametrize("changed", CHANGED)
async def test_a_ring_is_found_whatever_a_server_in_between_makes_of_via(changed: str, path: str) -> None:
    async with (
        bent_back(CHANGED[changed]) as (way, ports),
        house(ScriptedOrigin(), wait=False, origin={"url": way.url}) as near,
        house(ScriptedOrigin(), wait=False, origin={"url": str(near.viewer.base_url)}) as far,
    ):
        ports.append(far.viewer.base_url.port or 0)
        before = len(way.asked)
        assert (await near.viewer.get(path, headers=SINGLE)).status_code == 508
        asked = [each for each in way.asked[before:] if each.target != "/studies?limit=1"]
        assert len(asked) == 1


@pytest.mark.parametrize("path", [FRAME, SEARCH, f"{FRAME}/rendered"])
async def test_a_ring_that_nothing_names_ends_all_the_same(path: str) -> None:
    """A request that comes back waits for its own fetch, until the time for that is over."""

    def said(name: str, value: str) -> str | None:
        return None if name in ("via", "cdn-loop") else value

    async with bent_back(said) as (way, ports):
        here = {"url": way.url, "limits": {"forwarded": 20}, "timeouts": {"first_byte": 2}}
        async with house(ScriptedOrigin(), wait=False, origin=here) as home:
            ports.append(home.viewer.base_url.port or 0)
            answer = await home.viewer.get(path, headers={"accept": "*/*"})
            assert answer.status_code in (503, 504)
            await home.until_inside(0)
            assert len([each for each in way.asked if each.target != "/studies?limit=1"]) <= 20


async def test_in_a_chain_each_proxy_is_named_once_in_order_both_ways() -> None:
    async with house(ScriptedOrigin({FRAME: BODY})) as far:
        site = {"url": str(far.viewer.base_url)}
        async with house(ScriptedOrigin(), origin=site) as middle:
            site = {"url": str(middle.viewer.base_url)}
            async with house(ScriptedOrigin(), origin=site) as near:
                frame = await near.viewer.get(FRAME, headers=SINGLE | {"via": "1.0 fred"})
                assert frame.content == BODY
                found = await near.viewer.get("/studies?limit=1")
                assert found.status_code == 200
        names = proxies(far.origin.asked[-1])
        assert len(names) == 3
        assert proxies_in(found.headers["via"]) == proxies_in(frame.headers["via"]) == names[:1]
        fetches = [asked.headers["via"] for asked in far.origin.frame_requests]
        assert all(via.startswith("1.0 fred, 1.1 ") and proxies_in(via) == names for via in fetches)


async def test_each_request_to_an_origin_says_through_whom_it_comes() -> None:
    async with house(ScriptedOrigin({FRAME: BODY}).with_series([BODY])) as home:
        await home.viewer.get(FRAME, headers=SINGLE)
        await home.viewer.get(SEARCH)
        await home.viewer.post("/studies", content=b"x")
        await home.events(await home.begin_plan("sequential"))
        assert {len(proxies(asked)) for asked in home.origin.asked} == {1}
        assert len({asked.headers["via"] for asked in home.origin.asked}) == 1


async def test_an_answer_that_went_through_this_proxy_is_not_believed() -> None:
    """Some intermediaries remove `Via` from requests."""

    def script(asked: Asked) -> Reply | None:
        if asked.path.startswith("/studies?"):
            return None
        return Reply(
            200, {"content-type": "image/jphc", "via": Via("x").after(asked.headers["via"])}, (BODY,)
        )

    async with house(ScriptedOrigin(script=script)) as home:
        for path in (FRAME, SEARCH):
            answer = await home.viewer.get(path, headers=SINGLE)
            assert (answer.status_code, answer.json()["title"]) == (508, "Loop")
