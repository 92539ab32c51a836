"""`examples/cornerstone3d` shows a series through the proxy as it does directly, by two ranges a picture."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import yaml

from tests.browser.archive import Archive, archive_of, write_study
from tests.browser.canvases import Canvas, canvases
from tests.browser.pictures import Series
from tests.browser.serving import EXAMPLES, PageServer, listening
from tests.house import STORY, house
from tests.scripted_origin import ScriptedOrigin

pytestmark = pytest.mark.anyio

CORS = yaml.safe_load((EXAMPLES / "cornerstone3d" / "config.yaml").read_text("utf-8"))["cors"]


@pytest.fixture(scope="module")
async def archive(
    volume: Series, radiograph: Series, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Archive]:
    tree = tmp_path_factory.mktemp("example") / "tree"
    write_study(tree, volume, radiograph)
    made = archive_of(tree)
    async with listening(made) as made.url:
        yield made


@asynccontextmanager
async def page_of(browser: Any, server: PageServer) -> AsyncIterator[Any]:
    context = await browser.new_context(viewport={"width": 540, "height": 540})
    context.set_default_timeout(STORY * 1000)
    try:
        page = await context.new_page()
        await page.goto(f"{server.url}/example")
        await page.wait_for_function("() => Boolean(window.show)")
        yield page
    finally:
        await context.close()


async def shown(browser: Any, server: PageServer, root: str, kind: str, series: Series) -> list[Canvas]:
    """The canvas once all pictures came. An uncaught error fails the test."""
    _, _, study, _, uid = series.path.split("/")
    faults: list[str] = []
    async with page_of(browser, server) as page:
        page.on("pageerror", lambda error: faults.append(str(error)))
        await page.evaluate(
            "wanted => window.show(wanted)", {"root": root, "study": study, "series": uid, "as": kind}
        )
        found = await canvases(page, is_all=kind == "volume")
    assert faults == []
    assert found[0].lit > 0.1
    return found


@pytest.mark.parametrize(("kind", "name"), [("stack", "radiograph"), ("volume", "volume")])
async def test_the_example_shows_the_same_directly_cold_and_hot(
    browser: Any, server: PageServer, archive: Archive, request: Any, kind: str, name: str
) -> None:
    series: Series = request.getfixturevalue(name)
    direct = await shown(browser, server, archive.url, kind, series)
    async with house(
        ScriptedOrigin(), origin={"url": archive.url}, cors=CORS | {"origins": [server.url]}
    ) as home:
        root = str(home.viewer.base_url).rstrip("/")
        archive.taken()
        assert await shown(browser, server, root, kind, series) == direct
        await home.until_idle()
        fetched = archive.taken()
        assert await shown(browser, server, root, kind, series) == direct
        assert archive.taken() == []
    frames = [call for call in fetched if call.kind == "frames"]
    assert len(set(frames)) == len(frames) >= len(series.frames), "nothing is fetched twice"
