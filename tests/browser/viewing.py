"""Chromium with Cornerstone3D in it: its page shows series, and tells what it saw."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.browser.pictures import Series
from tests.browser.serving import PageServer

ANYWHERE = {"origins": ["*"]}
"""The proxy's `cors`: the page is from another port, and the browser minds."""

FLAGS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # WebGL without a graphics card: Cornerstone3D loads progressively only where it draws with it.
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
]

PATIENCE = 20
"""Seconds that a series may take."""

FULL, LOSSY, SUBRESOLUTION, ADJACENT, FAR = 8, 7, 6, 3, 1
"""How good an image counts with the viewer."""


@dataclass(frozen=True)
class Exchange:
    """One request of the page for a frame, and what it got; headers as the browser has them."""

    path: str
    range: str | None
    status: int
    """0 where the connection was cut or never made."""
    media: str
    content_range: str | None
    asked: dict[str, str] = field(repr=False)
    answered: dict[str, str] = field(repr=False)


@dataclass(frozen=True)
class Seen:
    """What became of a series in the viewer."""

    images: list[dict[str, Any]]
    """As they were handed to the viewport: at (ms), index, status, columns, rows, syntax, digest."""
    errors: list[dict[str, Any]]
    """That the loader told the viewport: at, index, permanent, reason."""
    renders: list[dict[str, Any]]
    """The canvas after each drawing: at, images (so many had come), lit (the share that is not black)."""
    stages: list[dict[str, Any]]
    """Cornerstone3D's own stage events."""
    rendering: str
    """gpu or cpu."""
    ended: int
    """Milliseconds until the loader had ended and the last picture was drawn."""
    exchanges: list[Exchange]
    """Requests for frames."""

    def statuses(self, image: int = 0) -> list[int]:
        """The qualities of an image in their order."""
        return [entry["status"] for entry in self.images if entry["index"] == image]

    def sizes(self, image: int = 0) -> list[tuple[int, int]]:
        """Its decoded sizes, rows and columns, in their order."""
        return [(entry["rows"], entry["columns"]) for entry in self.images if entry["index"] == image]

    def digests(self, image: int = 0) -> list[str]:
        """Of its pixels, in their order."""
        return [entry["digest"] for entry in self.images if entry["index"] == image]

    def ranges(self, path: str) -> list[str | None]:
        """What was asked of a frame."""
        return [exchange.range for exchange in self.exchanges if exchange.path.partition("?")[0] == path]


async def _nothing(_asked: str) -> None:
    pass


@dataclass
class Viewer:
    """One page with Cornerstone3D."""

    page: Any
    server: PageServer
    faults: list[str] = field(default_factory=list)
    """What the page didn't catch, and what it wrote as an error to its console."""
    requests: list[Any] = field(default_factory=list)
    is_used_up: bool = True
    """Whether the page has to be loaded anew before another test."""
    _range_heard: Callable[[str], Awaitable[None]] = field(default=_nothing, repr=False)

    async def prepare(self) -> None:
        """Before a test: nothing is seen yet, and what the last one left behind is gone."""
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
        """Opens a series as a `stack` or a `volume`; returns when its loader has ended."""
        self.requests.clear()
        was_used_up, self.is_used_up = self.is_used_up, True
        asked = {"name": name, "kind": kind, "root": root.rstrip("/"), "series": series.path}
        async with asyncio.timeout(PATIENCE):
            seen = await self.page.evaluate(
                "asked => window.show(asked)",
                {**asked, "retrieve": retrieve, "headers": headers, "limits": limits},
            )
        found = Seen(**seen, exchanges=[await _exchange(request) for request in self.requests])
        self.is_used_up = was_used_up or bool(self.faults or found.errors)
        return found

    async def until_image(self, status: int) -> None:
        """Until an image of that quality at least has come and was drawn."""
        look = "status => window.seen?.images.some((one, at) => one.status >= status"
        look += " && window.seen.renders.some((render) => render.images > at))"
        await self.page.wait_for_function(look, arg=status)

    async def before_ranges(self, heard: Callable[[str], Awaitable[None]]) -> None:
        """Lets something happen before each request with a Range, which waits for it."""
        self.is_used_up, self._range_heard = True, heard
        await self.page.evaluate("""() => {
            const real = window.fetch;
            window.fetch = async (url, options) => {
                if (options?.headers?.Range) await window.heard(options.headers.Range);
                return real(url, options);
            };
        }""")

    async def looks_like(self, kind: str, series: Series, *, name: str = "shown") -> dict[str, Any]:
        """How far the canvas of a show is from what plain pixels look like."""
        self.server.add(series)
        await self.show(kind, f"{self.server.url}/plain", series, {"stages": [{"id": "all"}]}, name="plain")
        found: dict[str, Any] = await self.page.evaluate(f"window.compare('{name}', 'plain')")
        return found

    async def hear_range(self, asked: str) -> None:
        """The page is about to ask for that range."""
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
    """A new page, not yet loaded, with a cache and a store of its own."""
    context = await browser.new_context(viewport={"width": 540, "height": 540})
    context.set_default_timeout(PATIENCE * 1000)
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
