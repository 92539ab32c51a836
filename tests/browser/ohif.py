"""The built OHIF of npm, served as a site of its own, and what it shows of a study."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from tests.browser.canvases import Canvas, canvases
from tests.browser.serving import listening
from tests.house import STORY
from tests.tools import VIEWERS

DIST = VIEWERS / "@ohif" / "app" / "dist"
EXAMPLE = Path(__file__).parents[2] / "examples" / "ohif"
ROOT, PAGE = "https://imaging.example", "https://viewer.example"
"""The proxy and OHIF's host, as the example calls them."""

ISOLATED = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
"""Headers that OHIF asks of the server of its pages."""


@dataclass
class Site:
    """OHIF's files. A path that is no file is OHIF's page, which has a router of its own."""

    configuration: str = ""
    """The text of app-config.js."""
    url: str = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path"].lstrip("/")
        response: Response
        if name == "app-config.js":
            response = Response(self.configuration, media_type="text/javascript")
        else:
            file = DIST / name
            response = FileResponse(file if file.is_file() else DIST / "index.html")
        response.headers.update(ISOLATED)
        await response(scope, receive, send)


@dataclass(frozen=True)
class Asked:
    """One request of OHIF to the DICOMweb root."""

    target: str
    range: str | None
    status: int
    cache: str
    """Cache-Status of the proxy's response; empty if the archive answered directly."""
    authorization: str = ""
    """The `Authorization` that OHIF sends; empty if it sends none."""


@dataclass(frozen=True)
class Opened:
    """A page after everything had come."""

    canvases: list[Canvas]
    asked: list[Asked]
    faults: list[str]
    """Uncaught errors of the page."""


@dataclass
class Ohif:
    """OHIF in Chromium, for one DICOMweb root. Each `open` has a browser without a cache."""

    browser: Any
    site: Site
    more: str = ""
    """More members of app-config.js."""
    strangers: list[str] = field(default_factory=list)
    """URLs of requests that would have left the machine. They were stopped."""

    async def open(self, root: str, path: str, viewports: int = 1, least: int = 0) -> Opened:
        """Opens a page, and waits until its viewports are complete and nothing is on the way.

        On a busy machine nothing may be on the way for a moment, and the rest of the requests come later. So
        a caller who counts says how many there are at `least`.
        """
        self.site.configuration = configuration(root, self.more)
        async with self._page() as page:
            requests, faults = [], list[str]()
            page.on(
                "request", lambda request: requests.append(request) if request.url.startswith(root) else None
            )
            page.on("pageerror", lambda error: faults.append(str(error)))
            await page.goto(self.site.url + path)
            shown = await canvases(page, viewports)
            async with asyncio.timeout(STORY):
                while len(requests) < least:
                    await asyncio.sleep(0.01)
            await page.wait_for_load_state("networkidle")
            return Opened(shown, [await _asked(request, root) for request in requests], faults)

    async def ranged(self, root: str, path: str) -> Asked:
        """Opens a page, and returns its first request for a range."""
        self.site.configuration = configuration(root, self.more)
        async with self._page() as page:
            async with page.expect_response(lambda said: "range" in said.request.headers) as said:
                await page.goto(self.site.url + path)
            return await _asked((await said.value).request, root)

    async def can_read(self, url: str) -> bool:
        """True if a script of OHIF's page may read the response from a URL."""
        async with self._page() as page:
            await page.goto(self.site.url)
            found: bool = await page.evaluate("url => fetch(url).then(() => true, () => false)", url)
            return found

    async def read(self, root: str, path: str, text: str) -> None:
        """Opens a page and waits until it shows a text."""
        self.site.configuration = configuration(root)
        async with self._page() as page:
            await page.goto(self.site.url + path)
            await page.get_by_text(text).first.wait_for()

    async def picture(self, root: str, path: str, place: str, drawn: str) -> bytes:
        """Opens a page, and takes the picture of an element once `drawn`, a function in the page, returns."""
        self.site.configuration = configuration(root, self.more)
        async with self._page() as page:
            await page.goto(self.site.url + path)
            element = page.locator(place).first
            await element.locator("canvas").first.wait_for()
            await element.evaluate(drawn)
            return bytes(await element.screenshot())

    @asynccontextmanager
    async def _page(self) -> AsyncIterator[Any]:
        context = await self.browser.new_context(
            viewport={"width": 1200, "height": 800}, service_workers="block"
        )
        context.set_default_timeout(STORY * 1000)
        await context.route(lambda url: not url.startswith("http://127.0.0.1:"), self._stop)
        try:
            yield await context.new_page()
        finally:
            await context.close()

    async def _stop(self, route: Any) -> None:
        if route.request.url.startswith("http"):
            self.strangers.append(route.request.url)
            await route.abort()
        else:
            await route.continue_()


async def _asked(request: Any, root: str) -> Asked:
    response = await request.response()
    headers = await request.all_headers()
    return Asked(
        request.url.removeprefix(root),
        headers.get("range"),
        response.status if response else 0,
        response.headers.get("cache-status", "") if response else "",
        headers.get("authorization", ""),
    )


def configuration(root: str, more: str = "") -> str:
    """The example's app-config.js, with this DICOMweb root, and more members."""
    text = (EXAMPLE / "app-config.js").read_text("utf-8")
    assert len(re.findall(f"Root: '{ROOT}'", text)) == 4
    return text.replace(f"Root: '{ROOT}'", f"Root: '{root}'").replace("{", f"{{ {more}", 1)


@asynccontextmanager
async def ohif(browser: Any) -> AsyncIterator[Ohif]:
    """OHIF on a free port. Skips the test if it is not installed."""
    if not DIST.is_dir():
        pytest.skip("OHIF is not installed: python -m tests.tools")
    site = Site()
    async with listening(site) as site.url:
        yield Ohif(browser, site)
