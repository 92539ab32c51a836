"""An HTTP proxy on the way to issuers, authorizers, token servers, collectors and object stores."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from proxy.service.objects import fault_of
from proxy.settings.model import Settings
from proxy.settings.objects import ObjectsSettings
from proxy.telemetry.spans import Spans
from tests.collector import PATH, Collector
from tests.guarded_origin import SINGLE
from tests.house import House, house
from tests.issuer import AUDIENCE, ISSUER, Issuer
from tests.outbound_proxy import OutboundProxy, outbound_proxy
from tests.s3_server import REGION, Store, running_s3, settings_with
from tests.scripted_origin import FRAME, Reply, ScriptedOrigin, codestream, running
from tests.token_server import TokenServer

pytestmark = pytest.mark.anyio

BODY = codestream(3000)
AMAZON = f"s3.{REGION}.amazonaws.com"
"""A name by which the store finds the bucket in the path. The HTTP proxy leads it to the test's own."""
LOGIN = "a user:p@ss:word"
PARENT = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


@dataclass(frozen=True)
class Case:
    """A server that the proxy asks, and how a setting names it."""

    server: Callable[[], ScriptedOrigin]
    settings: Callable[[str, Any, Path], dict[str, Any]]
    """The settings with its URL, and with `via`, which may be None."""
    is_traced: bool = False


def jwt(url: str, via: Any, _: Path) -> dict[str, Any]:
    said = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": f"{url}/keys"}
    return {"access": {"jwt": said} | via}


def authorizer(url: str, via: Any, _: Path) -> dict[str, Any]:
    return {"access": {"forward_auth": f"{url}/auth"} | via}


def tokens(url: str, via: Any, folder: Path) -> dict[str, Any]:
    said = TokenServer().settings(folder) | {"token_url": f"{url}/token"}
    return {"origin": {"credentials": {"oauth2": said | via}}}


def traces(url: str, via: Any, _: Path) -> dict[str, Any]:
    return {"traces": {"endpoint": url + PATH} | via}


CASES = {
    "the issuer of tokens": Case(Issuer, jwt),
    "the authorizer": Case(lambda: ScriptedOrigin(script=lambda _: Reply(204, {})), authorizer),
    "the token server": Case(TokenServer, tokens),
    "the collector": Case(lambda: Collector().server, traces, is_traced=True),
}


@asynccontextmanager
async def between(server: ScriptedOrigin) -> AsyncIterator[OutboundProxy]:
    """An HTTP proxy with a login that knows the server as else.example, and by its address."""
    async with running(server):
        names = dict.fromkeys(("else.example:80", server.url.removeprefix("http://")), server.port)
        async with outbound_proxy(names, LOGIN) as proxy:
            yield proxy


def login_in(url: str) -> str:
    return url.replace("http://", "http://a%20user:p%40ss%3Aword@")


async def seen(case: Case, server: ScriptedOrigin, settings: dict[str, Any]) -> int:
    """The number of requests at the server after a viewer has got a frame."""
    token = server.token() if isinstance(server, Issuer) else "anybody"
    headers = SINGLE | PARENT | {"authorization": f"Bearer {token}"}
    async with house(ScriptedOrigin({FRAME: BODY}), **settings) as home:
        assert (await home.viewer.get(FRAME, headers=headers)).content == BODY
        if case.is_traced:
            await exported(home)
    return len(server.asked)


async def exported(home: House) -> None:
    spans = home.app.telemetry.traces
    assert isinstance(spans, Spans)
    await home.until_inside(0)
    await home.until_idle()
    await asyncio.to_thread(spans._provider.force_flush)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_a_server_is_reached_through_the_http_proxy_that_a_setting_names(
    case: Case, tmp_path: Path
) -> None:
    server, password = case.server(), tmp_path / "password"
    password.write_text(LOGIN.partition(":")[2], "utf-8")
    async with between(server) as proxy:
        via = {"url": proxy.url, "user": LOGIN.partition(":")[0], "password_file": str(password)}
        asked = await seen(case, server, case.settings("http://else.example", {"via": via}, tmp_path))
    assert asked == len(proxy.passed) >= 1
    assert all(passed.target.startswith("http://else.example/") for passed in proxy.passed)
    assert not any("proxy-authorization" in each.headers for each in server.asked)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_the_environment_counts_for_a_server_only_if_a_setting_says_so(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = case.server()
    async with between(server) as proxy:
        monkeypatch.setenv("HTTP_PROXY", login_in(proxy.url))
        monkeypatch.setenv("http_proxy", login_in(proxy.url))
        assert await seen(case, server, case.settings(server.url, {}, tmp_path)) >= 1
        assert proxy.passed == []
        server.asked.clear()
        via = {"via": "environment"}
        assert await seen(case, server, case.settings("http://else.example", via, tmp_path)) >= 1
        assert proxy.passed
        server.asked.clear()
        proxy.passed.clear()
        monkeypatch.setenv("NO_PROXY", "127.0.0.0/8")
        monkeypatch.setenv("no_proxy", "127.0.0.0/8")
        assert await seen(case, server, case.settings(server.url, via, tmp_path)) >= 1
        assert proxy.passed == []


@pytest.mark.parametrize("way", ["a setting", "the environment", "neither"])
async def test_an_object_store_is_reached_as_a_setting_says(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "password").write_text(LOGIN.partition(":")[2], "utf-8")
    bucket = f"outbound-{way.replace(' ', '-')}"
    with running_s3() as port:
        await asyncio.to_thread(Store, port, bucket)
        async with outbound_proxy({f"{AMAZON}:80": port}, LOGIN) as proxy:
            monkeypatch.setenv("HTTP_PROXY", login_in(proxy.url))
            user = {"user": LOGIN.partition(":")[0], "password_file": str(tmp_path / "password")}
            via = {"a setting": {"url": proxy.url} | user, "the environment": "environment"}.get(way)
            at = {"endpoint": f"http://{AMAZON}"} | ({} if via is None else {"via": via})
            at = {} if way == "neither" else at
            said = settings_with(tmp_path, port, bucket, **at)["cache"]["objects"]
            assert await asyncio.to_thread(fault_of, ObjectsSettings(**said)) is None
            assert bool(proxy.passed) is (way != "neither")


@pytest.mark.parametrize("place", ["access", "traces", "objects", "oauth2"])
def test_a_password_file_that_is_not_there_is_said_with_its_setting(place: str, tmp_path: Path) -> None:
    from proxy.service.named import faults_of

    via = {"via": {"url": "http://proxy.example:3128", "user": "me", "password_file": str(tmp_path / "none")}}
    (tmp_path / "key").write_bytes(b"k" * 32)
    key, objects = {"access": {"key_file": str(tmp_path / "key")}}, {"url": "s3://bucket/frames"}
    oauth2 = tokens("http://127.0.0.1:1", via, tmp_path)["origin"]
    settings: dict[str, Any] = {
        "access": {"access": {"forward_auth": "http://127.0.0.1:1/auth"} | via},
        "traces": traces("http://127.0.0.1:1", via, tmp_path),
        "objects": key | {"cache": {"objects": objects | via}},
        "oauth2": {},
    }[place]
    origin = {"url": "http://pacs.example"} | (oauth2 if place == "oauth2" else {})
    names = [".".join(map(str, key)) for key, _ in faults_of(Settings(origins=[origin], **settings))]
    keys = {"objects": "cache.objects.via", "oauth2": "origins.0.credentials.oauth2"}
    assert names == [keys.get(place, f"{place}.via")]
