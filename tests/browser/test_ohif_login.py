"""The built OHIF with a login: its token goes with every request but a range, and is verified."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tests.browser.archive import Archive, archive_of, write_study
from tests.browser.login import Login
from tests.browser.ohif import ohif
from tests.browser.opening import BY_RANGE, STREAMED, proxy_of, root_of
from tests.browser.pictures import Series
from tests.browser.serving import listening
from tests.issuer import AUDIENCE, ISSUER

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def archive(
    volume: Series, radiograph: Series, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Archive]:
    tree = tmp_path_factory.mktemp("login") / "tree"
    write_study(tree, volume, radiograph)
    made = archive_of(tree)
    async with listening(made) as made.url:
        yield made


def verified(login: Login) -> dict[str, Any]:
    """Settings with which the proxy verifies the tokens of a login."""
    return {"jwt": {"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": f"{login.url}/keys"}}


@dataclass
class Guarded(Archive):
    """An archive that lets in who has a token of this login, and nobody else. A proxy's greeting has none."""

    login: Login = field(default_factory=Login)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        shown = dict(scope["headers"]).get(b"authorization", b"").decode()
        is_let_in = shown.removeprefix("Bearer ") in self.login.tokens
        await (super().__call__ if is_let_in else Response("no", 401))(scope, receive, send)


@pytest.mark.parametrize("verifier", ["proxy", "archive"])
async def test_a_reader_who_has_logged_in_sees_what_is_seen_without_a_login(
    browser: Any, archive: Archive, verifier: str
) -> None:
    login = Login()
    guarded = Guarded(archive.app, login=login)
    async with ohif(browser) as viewer, listening(login) as login.url, listening(guarded) as guarded.url:
        direct = await viewer.open(archive.url, STREAMED)
        access = verified(login) if verifier == "proxy" else {}
        async with proxy_of(viewer, archive if access else guarded, access=access) as home:
            assert (await home.viewer.get("/studies")).status_code == 401
            viewer.more = login.configuration
            cold, hot = [await viewer.open(root_of(home), STREAMED) for _ in range(2)]
        assert viewer.strangers == []
    for opened, token in zip((cold, hot), login.tokens, strict=True):
        assert opened.canvases == direct.canvases
        assert opened.faults == []
        assert {call.status for call in opened.asked} == {200}
        assert {call.authorization for call in opened.asked} == {f"Bearer {token}"}
        assert any("/frames/" in call.target for call in opened.asked)
    assert [call for call in hot.asked if "/frames/" in call.target and "hit" not in call.cache] == []


async def test_ohif_sends_no_token_with_a_range(browser: Any, archive: Archive) -> None:
    """So readers with a login can't read by range. If this fails, OHIF has learned it: change its page."""
    login = Login()
    async with (
        ohif(browser) as viewer,
        listening(login) as login.url,
        proxy_of(viewer, archive, access=verified(login)) as home,
    ):
        viewer.more = login.configuration
        asked = await viewer.ranged(root_of(home), BY_RANGE)
    assert len(login.tokens) == 1
    assert asked.range == "bytes=0-65535"
    assert (asked.authorization, asked.status) == ("", 401)
