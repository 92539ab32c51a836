"""Access control: Cornerstone3D's range requests lack the headers that the viewer adds to all others."""

import asyncio
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from tests.browser.pictures import Series
from tests.browser.plans import BY_RANGE, BY_RANGE_WITH_LAST_HOPE, STREAMING
from tests.browser.serving import PageServer
from tests.browser.viewing import ANYWHERE, FULL, Viewer
from tests.house import house
from tests.scripted_origin import Asked, Reply, ScriptedOrigin

pytestmark = pytest.mark.anyio

TOKEN, COOKIE = "Bearer reader", "session=reader"
READER = {"Authorization": TOKEN}


def guarded(series: Series, header: str, proof: str) -> ScriptedOrigin:
    """An origin that refuses requests without that header."""

    def script(asked: Asked) -> Reply | None:
        return (
            None
            if asked.headers.get(header) == proof
            else Reply(401, {"www-authenticate": "Bearer"}, (b"no",))
        )

    origin = series.origin()
    origin.script = script
    return origin


async def test_what_is_asked_without_range_brings_the_viewers_credentials(
    viewer: Viewer, radiograph: Series
) -> None:
    async with house(guarded(radiograph, "authorization", TOKEN), cors=ANYWHERE) as home:
        for plan in (STREAMING, {"stages": "single"}):
            root = str(home.viewer.base_url)
            seen = await viewer.show("stack", root, radiograph, plan, headers=READER)
            assert (seen.statuses()[-1], seen.digests()[-1]) == (FULL, radiograph.digest())
    assert (viewer.faults, seen.errors) == ([], [])


async def test_ranges_bring_none_and_their_refusal_is_no_picture(viewer: Viewer, radiograph: Series) -> None:
    async with house(guarded(radiograph, "authorization", TOKEN), cors=ANYWHERE) as home:
        root = str(home.viewer.base_url)
        refused = await viewer.show("stack", root, radiograph, BY_RANGE, headers=READER)
        await viewer.prepare()
        healed = await viewer.show("stack", root, radiograph, BY_RANGE_WITH_LAST_HOPE, headers=READER)
    assert {each.status for each in refused.exchanges} == {401}
    assert not any("authorization" in each.asked for each in refused.exchanges)
    assert refused.images == []
    assert [(image["status"], image["digest"]) for image in healed.images] == [(FULL, radiograph.digest())]


async def test_credentials_of_the_proxys_own_let_ranges_in(
    viewer: Viewer, radiograph: Series, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    await asyncio.to_thread(token.write_text, TOKEN.removeprefix("Bearer "))
    own = {"credentials": {"bearer_file": str(token)}}
    async with house(guarded(radiograph, "authorization", TOKEN), cors=ANYWHERE, origin=own) as home:
        seen = await viewer.show("stack", str(home.viewer.base_url), radiograph, BY_RANGE)
    assert (seen.statuses()[-1], seen.digests()[-1]) == (FULL, radiograph.digest())
    assert (viewer.faults, seen.errors) == ([], [])


async def test_a_page_from_where_the_proxy_is_brings_its_cookies_with_ranges_too(
    viewer: Viewer, server: PageServer, radiograph: Series
) -> None:
    async with house(guarded(radiograph, "cookie", COOKIE), wait=False) as home:
        proxy, root = home.app.viewers, str(home.viewer.base_url)

        async def one_place(scope: Scope, receive: Receive, send: Send) -> None:
            is_page = not scope["path"].startswith("/studies/")
            await (server if is_page else proxy)(scope, receive, send)

        home.door._app = one_place
        viewer.is_used_up = True
        await viewer.page.goto(root)
        await viewer.page.wait_for_function("window.isReady")
        await viewer.page.evaluate("cookie => { document.cookie = cookie }", COOKIE)
        seen = await viewer.show("stack", root, radiograph, BY_RANGE)
        await viewer.page.context.clear_cookies()
    assert all(each.asked["cookie"] == COOKIE for each in seen.exchanges)
    assert (seen.statuses()[-1], seen.digests()[-1]) == (FULL, radiograph.digest())
    assert (viewer.faults, seen.errors) == ([], [])
