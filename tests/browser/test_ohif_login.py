"""The built OHIF with a login: its bearer token is verified by the proxy, and goes with every request."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.browser.archive import Archive, archive_of, write_study
from tests.browser.login import Login
from tests.browser.ohif import ohif
from tests.browser.opening import STREAMED, proxy_of, root_of
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


async def test_a_reader_who_has_logged_in_sees_what_is_seen_without_a_login(
    browser: Any, archive: Archive
) -> None:
    login = Login()
    async with ohif(browser) as viewer, listening(login) as login.url:
        direct = await viewer.open(archive.url, STREAMED)
        jwt = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": f"{login.url}/keys"}
        async with proxy_of(viewer, archive, access={"jwt": jwt}) as home:
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
