"""Chromium with Cornerstone3D. Its page shows series and reports what it saw."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.browser.pictures import Series
from tests.browser.serving import PageServer
from tests.house import STORY

ANYWHERE = {"origins": ["*"]}
"""Setting `cors` of the proxy. The page is on another port, so the browser enforces CORS."""

FLAGS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # WebGL without a graphics card. Cornerstone3D loads progressively only if it draws with WebGL.
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
]

FULL, LOSSY, SUBRESOLUTION, ADJACENT, FAR = 8, 7, 6, 3, 1
"""The viewer's image quality statuses."""


@dataclass(frozen=True)
class Exchange:
    """One request of the page for a frame, and the response. Headers are as the browser reports them."""

    path: str
    range: str | None
    status: int
    """Status of the response. 0 if the connection was closed or never opened."""
    media: str
    content_range: str | None
    asked: dict[str, str] = field(repr=False)
    answered: dict[str, str] = field(repr=False)


@dataclass(frozen=True)
class Seen:
    """The page's report about one series."""

    images: list[dict[str, Any]]
    """Images in the viewport's order: at (ms), index, status, columns, rows, syntax, digest."""
    errors: list[dict[str, Any]]
    """Errors that the loader reported to the viewport: at, index, permanent, reason."""
    renders: list[dict[str, Any]]
    """The canvas after each drawing: at, images (arrived so far), lit (share of pixels not black)."""
    stages: list[dict[str, Any]]
    """Cornerstone3D's own stage events."""
    rendering: str
    """gpu or cpu."""
    ended: int
    """Milliseconds until the loader had ended and the last picture was drawn."""
    exchanges: list[Exchange]
    """Requests for frames."""

    def statuses(self, image: int = 0) -> list[int]:
        """The quality statuses of an image, in order."""
        return [entry["status"] for entry in self.images if entry["index"] == image]

    def sizes(self, image: int = 0) -> list[tuple[int, int]]:
        """The decoded sizes of an image as (rows, columns), in order."""
        return [(entry["rows"], entry["columns"]) for entry in self.images if entry["index"] == image]

    def digests(self, image: int = 0) -> list[str]:
        """The digests of an image's pixels, in order."""
        return [entry["digest"] for entry in self.images if entry["index"] == image]

    def ranges(self, path: str) -> list[str | None]:
        """The ranges that were requested of a frame."""
        return [exchange.range for exchange in self.exchanges if exchange.path.partition("?")[0] == path]


async def _nothing(_asked: str) -> None:
    pass


@dataclass
class Viewer:
    """One page with Cornerstone3D."""

    page: Any
    server: PageServer
    faults: list[str] = field(default_factory=list)
    """Uncaught errors of the page, and errors in its console."""
    requests: list[Any] = field(default_factory=list)
    is_used_up: bool = True
    """True if the page must be reloaded before the next test."""
    _range_heard: Callable[[str], Awaitable[None]] = field(default=_nothing, repr=False)

    async def prepare(self) -> None:
        """Resets the page before a test, so that nothing of the last test is left."""
        if self.is_used_up:
            await self.page.goto(self.server.url)
            await self.page.wait_for_function("window.isReady")
            self.faults.clear()
            self.is_used_up = False
        await self.page.evaluate("window.seen = null")

    async def show(
        self,
        kind: str,
        root: str,
        series: Series,
        retrieve: dict[str, Any],
        *,
        name: str = "shown",
        headers: dict[str, str] | None = None,
        limits: Mapping[str, int] | None = None,
    ) -> Seen:
        """Opens a series as a `stack` or a `volume`. Returns once its loader has ended."""
        self.requests.clear()
        was_used_up, self.is_used_up = self.is_used_up, True
        asked = {"name": name, "kind": kind, "root": root.rstrip("/"), "series": series.path}
        async with asyncio.timeout(STORY):
            seen = await self.page.evaluate(
                "asked => window.show(asked)",
                {**asked, "retrieve": retrieve, "headers": headers, "limits": limits},
            )
        found = Seen(**seen, exchanges=[await _exchange(request) for request in self.requests])
        self.is_used_up = was_used_up or bool(self.faults or found.errors)
        return found

    async def until_image(self, status: int) -> None:
        """Waits until an image of at least this quality has arrived and was drawn."""
        look = "status => window.seen?.images.some((one, at) => one.status >= status"
        look += " && window.seen.renders.some((render) => render.images > at))"
        await self.page.wait_for_function(look, arg=status)

    async def before_ranges(self, heard: Callable[[str], Awaitable[None]]) -> None:
        """Calls `heard` before each request with a Range. The request waits until the call returns."""
        self.is_used_up, self._range_heard = True, heard
        await self.page.evaluate("""() => {
            const real = window.fetch;
            window.fetch = async (url, options) => {
                if (options?.headers?.Range) await window.heard(options.headers.Range);
                return real(url, options);
            };
        }""")

    async def looks_like(self, kind: str, series: Series, *, name: str = "shown") -> dict[str, Any]:
        """The difference between the canvas of a show and the drawing of plain pixels."""
        self.server.add(series)
        await self.show(kind, f"{self.server.url}/plain", series, {"stages": [{"id": "all"}]}, name="plain")
        found: dict[str, Any] = await self.page.evaluate(f"window.compare('{name}', 'plain')")
        return found

    async def hear_range(self, asked: str) -> None:
        """Called by the page when it is about to request a range."""
        await self._range_heard(asked)

    def _asked(self, request: Any) -> None:
        if "/instances/" in request.url:
            self.requests.append(request)

    def _heard(self, message: Any) -> None:
        if message.type == "error":
            self.faults.append(message.text)


async def _exchange(request: Any) -> Exchange:
    response = await request.response()
    asked = await request.all_headers()
    answered = await response.all_headers() if response else {}
    return Exchange(
        re.sub(r"^https?://[^/]+", "", request.url),
        asked.get("range"),
        response.status if response else 0,
        answered.get("content-type", ""),
        answered.get("content-range"),
        asked,
        answered,
    )


@asynccontextmanager
async def viewer_in(browser: Any, server: PageServer) -> AsyncIterator[Viewer]:
    """A new page, not loaded yet, with a cache and storage of its own."""
    context = await browser.new_context(viewport={"width": 540, "height": 540})
    context.set_default_timeout(STORY * 1000)
    page = await context.new_page()
    viewer = Viewer(page, server)
    page.on("pageerror", lambda error: viewer.faults.append(str(error)))
    page.on("console", viewer._heard)
    page.on("request", viewer._asked)
    await page.expose_function("heard", viewer.hear_range)
    try:
        yield viewer
    finally:
        await context.close()
