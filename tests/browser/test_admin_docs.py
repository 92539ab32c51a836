"""The page of the admin API, in a browser that reaches nothing but the proxy."""

import asyncio
from typing import Any

import pytest

from tests.house import STORY, house
from tests.scripted_origin import ScriptedOrigin

pytestmark = pytest.mark.anyio


async def test_the_page_shows_each_request_and_asks_nobody_else(browser: Any) -> None:
    async with house(ScriptedOrigin()) as home:
        base = str(home.admin.base_url).rstrip("/")
        strangers: list[str] = []

        async def only_the_proxy(route: Any) -> None:
            if route.request.url.startswith(base):
                await route.continue_()
            else:
                strangers.append(route.request.url)
                await route.abort()

        page = await browser.new_page()
        page.set_default_timeout(1000 * STORY)
        try:
            await page.route("**/*", only_the_proxy)
            await page.goto(f"{base}/docs")
            said = (await home.admin.get("/openapi.json")).json()["paths"]
            wanted = sorted(path for path, ways in said.items() for _ in ways)
            await page.locator(".opblock-summary-path").nth(len(wanted) - 1).wait_for()
            shown = await page.eval_on_selector_all(
                ".opblock-summary-path", "all => all.map(each => each.getAttribute('data-path'))"
            )
            assert sorted(shown) == wanted
            assert await page.locator(".authorize").count() > 0, "the token can be given"
            await asyncio.sleep(0)
            assert strangers == []
        finally:
            await page.close()
