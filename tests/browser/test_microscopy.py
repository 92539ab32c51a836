"""`examples/microscopy`: dicom-microscopy-viewer shows a slide through the proxy as it does directly."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import imagecodecs
import pytest
import yaml

from tests.browser.serving import EXAMPLES, PAGES, PageServer, bundled, listening
from tests.browser.slides import DRAWN, FORMS, SERIES, STUDY, Form, archive_of, slide
from tests.house import STORY, house
from tests.scripted_origin import ScriptedOrigin
from tests.tools import VIEWERS

pytestmark = pytest.mark.anyio

CORS = yaml.safe_load((EXAMPLES / "microscopy" / "config.yaml").read_text("utf-8"))["cors"]
VIEWER = VIEWERS / "dicom-microscopy-viewer"


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[PageServer]:
    """The server of the example's page."""
    if not VIEWER.is_dir():
        pytest.skip("dicom-microscopy-viewer is not installed: python -m tests.tools")
    entry = PAGES / "slide.js"
    made = bundled({"slide": entry}, [entry, EXAMPLES / "microscopy" / "slide.js"])
    files = {f"/{path.name}": path.read_bytes() for path in made.iterdir()}
    decoders = (VIEWER / "dist" / "dynamic-import").iterdir()
    files |= {f"/static/js/{path.name}": path.read_bytes() for path in decoders if path.is_file()}
    server = PageServer(files | {"/": (PAGES / "slide.html").read_bytes()})
    async with listening(server) as server.url:
        yield server


@asynccontextmanager
async def page_of(browser: Any, site: PageServer) -> AsyncIterator[Any]:
    context = await browser.new_context(viewport={"width": 540, "height": 540})
    context.set_default_timeout(STORY * 1000)
    try:
        page = await context.new_page()
        await page.goto(site.url)
        await page.wait_for_function("() => Boolean(window.show)")
        yield page
    finally:
        await context.close()


async def shown(browser: Any, site: PageServer, root: str) -> bytes:
    """The picture of the slide once each tile is drawn."""
    faults: list[str] = []
    async with page_of(browser, site) as page:
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        wanted = {"root": root, "study": STUDY, "series": SERIES}
        await page.evaluate("wanted => window.show(wanted)", wanted)
        await page.evaluate(f"() => ({DRAWN})(window.slide)")
        picture = await page.locator("#picture").screenshot()
    assert faults == []
    tissue = imagecodecs.png_decode(bytes(picture))[140:480, 40:380, :3]
    assert (tissue.std(axis=(0, 1)) > 10).all(), "no tissue is seen"
    return bytes(picture)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
async def test_a_slide_looks_the_same_directly_cold_and_hot(
    browser: Any, site: PageServer, form: Form
) -> None:
    archive = archive_of(slide(form), form)
    cors = CORS | {"origins": [site.url]}
    async with listening(archive) as archive.url:
        direct = await shown(browser, site, archive.url)
        archive.taken()
        async with house(ScriptedOrigin(), origin={"url": archive.url}, cors=cors) as home:
            root = str(home.viewer.base_url).rstrip("/")
            archive.taken()
            assert await shown(browser, site, root) == direct
            await home.until_idle()
            fetched = archive.taken()
            assert await shown(browser, site, root) == direct
            assert archive.taken() == []
    frames = [call.target for call in fetched if call.kind == "frames"]
    assert len(frames) == len(set(frames)) > 0
