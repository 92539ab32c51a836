from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.browser import pictures
from tests.browser.pictures import Series
from tests.browser.serving import PageServer, page_server, program
from tests.browser.viewing import FLAGS, Viewer, viewer_in
from tests.house import STORY


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """One event loop for all tests here, because they share a browser."""
    return "asyncio"


@pytest.fixture(scope="session")
def radiograph() -> Series:
    return _encoded(pictures.radiograph)


@pytest.fixture(scope="session")
def large_radiograph() -> Series:
    return _encoded(pictures.large_radiograph)


@pytest.fixture(scope="session")
def volume() -> Series:
    return _encoded(pictures.volume)


def _encoded(make: Callable[[], Series]) -> Series:
    """Encodes a series before any event loop runs, because encoding blocks."""
    pytest.importorskip("data_store", reason="needs the demo's images: pip install progressive-proxy[demo]")
    series = make()
    assert series.codestreams
    assert series.metadata
    return series


@pytest.fixture(scope="session")
async def server() -> AsyncIterator[PageServer]:
    async with page_server() as running:
        yield running


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Any]:
    chromium = program("chromium")
    playwright = pytest.importorskip(
        "playwright.async_api", reason="needs playwright: pip install playwright"
    )
    async with playwright.async_playwright() as driver:
        running = await driver.chromium.launch(executable_path=chromium, args=FLAGS, timeout=1000 * STORY)
        yield running
        await running.close()


@pytest.fixture(scope="session")
async def page(browser: Any, server: PageServer) -> AsyncIterator[Viewer]:
    async with viewer_in(browser, server) as opened:
        yield opened


@pytest.fixture
async def viewer(page: Viewer) -> Viewer:
    """One page for all tests. It is reloaded after a test that left something behind."""
    await page.prepare()
    return page
