"""Who is let in: by which Host, from which page; a request that has been here is not."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.access.admission import Admission, admission_of
from proxy.cli import main
from proxy.commands.probe import _found, _try
from proxy.errors import CrossSite, Loop, WrongHost
from proxy.measure.server import Server
from proxy.origin.spellings import FORMS
from proxy.settings.model import Settings
from proxy.wire.via import MOST, Via
from tests.house import STORY, house
from tests.scripted_origin import FRAME, ScriptedOrigin, codestream

pytestmark = pytest.mark.anyio

BODY = codestream(5_000)
PAGE, STRANGER = "https://viewer.example", "https://evil.example"


def admission(
    listened: str = "127.0.0.1",
    *,
    hosts: tuple[str, ...] = (),
    own: bool = False,
    pages: tuple[str, ...] = (),
) -> Admission:
    return admission_of(Via(), [listened, "0.0.0.0"], hosts, pages, has_own_proof=own)


def admits(it: Admission, method: str = "GET", **fields: str) -> bool:
    named = {name.replace("_", "-").encode(): value.encode() for name, value in fields.items()}
    try:
        it.admit(method.encode(), {b"host": b"localhost"} | named)
    except (WrongHost, CrossSite):
        return False
    return True


NEAR = [
    "localhost",
    "LOCALHOST:8080",
    "localhost.:8080",
    "viewer.localhost",
    "127.0.0.1",
    "127.0.0.1:8080",
    "[::1]:8080",
    "10.1.2.3:8081",  # a pod's, as a probe asks for it
    "[fd00::7]",
    "progressive_proxy",
]
FAR = [
    "evil.example",
    "evil.example:8080",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evillocalhost",
    "evil",
    "127.0.0.1:80:80",
    "localhost:x",
    "0x7f.1",
    "[evil.example]",
]


@pytest.mark.parametrize("host", NEAR)
def test_loopback_and_addresses_are_let_in(host: str) -> None:
    assert admits(admission(), host=host)


@pytest.mark.parametrize("host", FAR)
def test_other_names_are_not_let_in(host: str) -> None:
    assert not admits(admission(), host=host)
    assert not admits(admission("0.0.0.0", own=True), host=host)
    assert admits(admission("0.0.0.0"), host=host)
    assert admits(admission(hosts=("*",)), host=host)


def test_names_that_are_listened_on_or_configured_are_let_in() -> None:
    assert admits(admission("imaging.example", own=True), host="Imaging.example:8080")
    named = admission("0.0.0.0", hosts=("Viewer.example",))
    assert admits(named, host="viewer.example:443")
    assert not admits(named, host="evil.example")


ASKED: dict[str, tuple[bool, dict[str, str]]] = {
    "no page": (True, {}),
    "its own page": (True, {"sec_fetch_site": "same-origin", "origin": "https://anything.example"}),
    "a person's doing": (True, {"sec_fetch_site": "none"}),
    "its own page over plain HTTP": (True, {"origin": "http://localhost"}),
    "its own page through a server that says so": (
        True,
        {"host": "progressive_proxy", "origin": "http://ward.example", "x_forwarded_host": "ward.example"},
    ),
    "a page that CORS lets in": (True, {"sec_fetch_site": "cross-site", "origin": PAGE}),
    "a page of a name that is listed": (True, {"origin": "http://imaging.example:3000"}),
    "a stranger's page": (False, {"sec_fetch_site": "cross-site", "origin": STRANGER}),
    "a neighbour's page": (False, {"sec_fetch_site": "same-site", "origin": "http://localhost:3000"}),
    "a stranger's page over plain HTTP": (False, {"origin": STRANGER}),
    "another port of this machine": (False, {"origin": "http://localhost:3000"}),
    "a page of no origin": (False, {"origin": "null"}),
    "a page of no origin and an empty forwarded host": (False, {"origin": "null", "x_forwarded_host": ""}),
    "a page that hides its origin": (False, {"sec_fetch_site": "cross-site"}),
    "two origins": (False, {"origin": f"{PAGE}, {STRANGER}"}),
}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("name", ASKED)
def test_a_page_of_another_site_changes_nothing(name: str, method: str) -> None:
    expected, fields = ASKED[name]
    it = admission(hosts=("imaging.example",), pages=(PAGE,))
    assert admits(it, method, **fields) is expected
    assert admits(it, "GET", **fields)
    assert admits(it, "OPTIONS", **fields)
    assert admits(admission("0.0.0.0"), method, **fields)


def test_a_request_that_has_been_here_is_refused_and_one_of_another_proxy_is_not() -> None:
    it, site = admission("0.0.0.0"), Via()
    for good in ("1.1 nginx", site.after("1.0 fred"), Via().after(site.after(None))):
        it.admit(b"GET", {b"via": good.encode()})
    for bad in (it.via.after(None), site.after(it.via.after("1.1 nginx"))):
        with pytest.raises(Loop):
            it.admit(b"GET", {b"via": bad.encode()})
    value = ""
    for _ in range(MOST):
        value = Via().after(value)
        it.admit(b"GET", {b"via": value.encode()})
    with pytest.raises(Loop):
        it.admit(b"GET", {b"via": Via().after(value).encode()})


OWN = {"credentials": {"aws_region": "eu-central-1"}}
GUARDED: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    ({"listen": {"viewers": "0.0.0.0:8080", "admin": "[::]:8081"}}, False),
    ({"listen": {"viewers": "0.0.0.0:8080", "admin": "localhost:8081"}}, True),
    ({"listen": {"viewers": "[::1]:8080", "admin": "0.0.0.0:8081"}}, True),
    (
        {"listen": {"viewers": "0.0.0.0:80", "admin": "0.0.0.0:81"}, "origins": [{"url": "http://x", **OWN}]},
        True,
    ),
    ({"listen": {"viewers": "0.0.0.0:80", "admin": "0.0.0.0:81", "hosts": ["a.example"]}}, True),
    ({"listen": {"hosts": ["*"]}}, False),
]


@pytest.mark.parametrize(("settings", "is_guarded"), GUARDED)
def test_it_is_guarded_on_loopback_with_own_credentials_and_where_hosts_are_listed(
    settings: dict[str, Any], is_guarded: bool
) -> None:
    made = Settings(**({"origins": [{"url": "http://pacs"}]} | settings))
    assert made.admission(Via()).is_guarded is is_guarded


LEADING: dict[str, tuple[str, bool]] = {
    "http://127.0.0.1:8080": ("127.0.0.1:8080", True),
    "http://localhost:8080/dicom-web": ("127.0.0.1:8080", True),
    "http://LOCALHOST:8080": ("[::1]:8080", True),
    "http://127.0.0.1": ("0.0.0.0:80", True),
    "http://[::1]:8080": ("[::]:8080", True),
    "http://imaging.example:8080": ("imaging.example:8080", True),
    "http://127.0.0.2:8080": ("127.0.0.1:8080", False),
    "http://localhost:8042": ("127.0.0.1:8080", False),
    "http://imaging.example:8080/x": ("0.0.0.0:8080", False),
    "https://localhost": ("127.0.0.1:80", False),
}


@pytest.mark.parametrize("url", LEADING)
def test_check_says_which_origin_leads_to_the_proxy_itself(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listened, is_so = LEADING[url]
    for key, other in (("viewers", "admin"), ("admin", "viewers")):
        file = tmp_path / "proxy.yaml"
        origins = f"origins: [{{url: 'http://pacs.example', name: a}}, {{url: '{url}', name: b}}]"
        file.write_text(f"{origins}\nlisten: {{{key}: '{listened}', {other}: '10.0.0.1:9'}}\n")
        assert main(["check", str(file)]) == is_so
        said = f"{file}: origins: the url of b leads back to this proxy\n"
        assert capsys.readouterr().err == (said if is_so else "")


async def test_check_says_that_an_origin_is_behind_a_proxy_of_this_kind() -> None:
    async with house(ScriptedOrigin({FRAME: BODY})) as home:
        for url, is_so in ((str(home.viewer.base_url), True), (home.origin.url, False)):
            async with Server(url) as server:
                tried = await _try(server, FRAME[1:], FORMS[0])
                said = [line async for line in _found(server, FRAME[1:], FORMS[0], tried)]
            assert any("progressive-proxy" in line for line in said) is is_so


async def test_both_listeners_refuse_other_hosts_and_say_which_setting_lets_them_in() -> None:
    named = {"host": "evil.example"}
    async with (
        house(ScriptedOrigin({FRAME: BODY})) as home,
        httpx.AsyncClient(headers=named, timeout=STORY) as rebound,
    ):
        before, viewers = len(home.origin.asked), home.viewer.base_url
        for url in (f"{viewers}{FRAME}", f"{viewers}/studies", f"{home.admin.base_url}/metrics"):
            answer = await rebound.get(url)
            assert (answer.status_code, answer.json()["title"]) == (421, "WrongHost")
            assert "`listen.hosts`" in answer.json()["detail"]
            assert "evil" not in answer.text
        ranged = await rebound.get(f"{viewers}{FRAME}", headers={"range": "bytes=0-9"})
        assert (ranged.status_code, ranged.content) == (421, b"")
        assert len(home.origin.asked) == before
        assert home.metric("refused_requests_total", reason="WrongHost") == 4


async def test_both_listeners_refuse_what_a_strangers_page_would_change() -> None:
    async with house(ScriptedOrigin({FRAME: BODY}), cors={"origins": [PAGE]}) as home:
        before = len(home.origin.asked)
        plain = {"content-type": "text/plain", "origin": STRANGER, "sec-fetch-site": "cross-site"}
        for viewer, path in ((home.viewer, "/studies"), (home.admin, "/v1/plans")):
            answer = await viewer.post(path, content=b"{}", headers=plain)
            assert (answer.status_code, answer.json()["title"]) == (403, "CrossSite")
            assert "`cors.origins`" in answer.json()["detail"]
        assert len(home.origin.asked) == before
        let_in = await home.viewer.post("/studies", content=b"{}", headers=plain | {"origin": PAGE})
        assert let_in.headers["access-control-allow-origin"] == PAGE
        assert len(home.origin.asked) == before + 1
