"""The live viewer of the demo's page: the real Cornerstone3D, bundled by the demo itself."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.demo.bundle import Bundle
from tests.browser import axe
from tests.browser.comparing import AS_USUAL, HOLD_RESTS, Place, Reader, demo, reader_of, small_tree
from tests.browser.serving import HERE, MODULES, program

pytestmark = pytest.mark.anyio

CONFIGURATIONS = {
    "HTJ2K byte range: 64 KiB, then the rest": True,
    "HTJ2K streaming, one stage": True,
    "HTJ2K mixed, five stages": True,
    "HTJ2K whole": False,
    "JPEG-LS whole": False,
    "JPEG-LS reduced, then whole": True,
}
"""The page's configurations, and if each draws a coarse picture first."""
VIAS = ("direct", "cold", "hot")
TIME = r"[\d,.]+ ms"
SIZES = [(1440, 900), (390, 844)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    program("chromium")
    with demo(small_tree(tmp_path_factory), kept=packages(tmp_path_factory)) as running:
        yield running


def packages(folders: pytest.TempPathFactory) -> Path:
    """A folder for the bundle, with the packages of the tests instead of installed ones."""
    for name in ("node", "esbuild"):
        program(name)
    kept = folders.mktemp("kept")
    folder = Bundle(kept).folder
    folder.mkdir()
    (folder / "node_modules").symlink_to(MODULES.resolve())
    return kept


@pytest.fixture
async def reader(browser: Any, place: Place) -> AsyncIterator[Reader]:
    async with reader_of(browser, place) as opened:
        yield opened
        assert opened.elsewhere == []


async def open_live(reader: Reader) -> None:
    await reader.page.goto(f"{reader.place.url}/live.html")
    await reader.wait("() => ['ready', 'lacking', 'failed'].includes(document.body.dataset.state)")


async def load(reader: Reader, title: str, *, is_seen_to_grow: bool = False) -> list[list[str]]:
    """Loads an image with a configuration in all ways. Returns the rows of the table, oldest first.

    If it `is_seen_to_grow`, the rest of its bytes comes once something is drawn.
    """
    await reader.page.click("#forget", force=True) if await reader.page.is_enabled("#forget") else None
    await reader.page.select_option("#configuration", label=title)
    await reader.page.keyboard.press("Escape")
    reader.place.tell(HOLD_RESTS if is_seen_to_grow else AS_USUAL)
    await reader.page.click("#load")
    if is_seen_to_grow:
        await reader.wait("() => steps.children.length > 0")
        reader.place.tell(AS_USUAL)
    await reader.wait("() => ['done', 'failed'].includes(document.body.dataset.state)")
    assert await reader.page.inner_text("#problem") == ""
    rows = (await reader.page.inner_text("#runs tbody")).splitlines()
    return [row.split("\t") for row in reversed(rows)]


@pytest.mark.parametrize("title", CONFIGURATIONS)
async def test_cornerstone_shows_each_configuration_with_and_without_the_proxy(
    reader: Reader, title: str
) -> None:
    await open_live(reader)
    rows = await load(reader, title, is_seen_to_grow=CONFIGURATIONS[title])
    assert [row[1] for row in rows] == [
        "Without the proxy", "Proxy, first viewer (cold)", "Proxy, next viewer (hot)"
    ]  # fmt: skip
    for _, _, first, final, sizes in rows:
        assert re.fullmatch(TIME, first)
        assert re.fullmatch(TIME, final)
        assert sizes.split(" → ")[-1] == "1024×1024"
        assert float(first[:-3].replace(",", "")) <= float(final[:-3].replace(",", ""))
    if CONFIGURATIONS[title]:
        assert len(rows[0][4].split(" → ")) > 1
    lit = await reader.page.evaluate("""() => {
        const canvas = document.querySelector('#film canvas');
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        return data.filter((value, at) => at % 4 === 0 && value > 0).length / (data.length / 4);
    }""")
    assert lit > 0.3
    assert reader.faults == []


async def test_a_load_asks_the_servers_and_no_cache_of_the_browser(reader: Reader) -> None:
    asked = []
    reader.page.on("response", lambda each: asked.append((each.url, each.status)))
    await open_live(reader)
    for _ in range(2):
        asked.clear()
        await load(reader, "HTJ2K whole")
        assert [status for url, status in asked if "/frames/" in url] == [200, 200, 200]


async def test_many_loads_keep_no_drawing_context_of_the_browser(reader: Reader) -> None:
    """A browser has about 16 contexts of WebGL for a page. It warns, and takes the oldest away."""
    said = []
    reader.page.on("console", lambda each: said.append(each.text))
    await open_live(reader)
    for via in ("direct", "cold"):
        await reader.page.uncheck(f"#vias [value={via}]")
    for count in range(1, 21):
        await reader.page.keyboard.press("l")
        await reader.wait(f"() => runs.tBodies[0].rows.length === {count} && !load.disabled")
    assert [text for text in said if "context" in text.lower()] == []
    assert reader.faults == []


@pytest.mark.parametrize("title", CONFIGURATIONS)
async def test_a_refusal_has_a_face_and_no_time(reader: Reader, title: str) -> None:
    await open_live(reader)
    await reader.page.select_option("#configuration", label=title)
    for status, face in ((403, "Not allowed (403)"), (503, "Busy (503)")):
        reader.place.tell(status)
        await reader.page.click("#load")
        await reader.wait(f"() => problem.textContent.startsWith({json.dumps(face)})")
        assert await reader.page.inner_text("#runs tbody") == ""
        assert await reader.page.inner_text("#steps") == ""
        assert "Without the proxy: no complete picture" in await reader.page.inner_text("#headline")
    assert len(await load(reader, title)) == len(VIAS)


async def test_a_configuration_leads_to_its_plan(reader: Reader) -> None:
    await open_live(reader)
    await reader.page.click("#plan")
    await reader.wait("() => document.body.dataset.state === 'shown'")
    assert "lossySequential" in await reader.page.inner_text("#stages")


async def test_without_npm_the_tab_says_so_and_the_rest_works(
    browser: Any, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    running = demo(place.tree)
    other = await asyncio.to_thread(running.__enter__)
    monkeypatch.undo()
    try:
        async with reader_of(browser, other) as reader:
            await open_live(reader)
            said = await reader.page.inner_text("#problem")
            assert said.startswith("Cornerstone3D can't be built")
            assert "apt-get install npm" in said
            await reader.page.click("text=Playground")
            await reader.wait("() => document.body.dataset.state === 'shown'")
            await reader.page.click("text=Compare")
            await reader.until_over()
            assert await reader.page.evaluate("() => document.body.dataset.state") == "done"
            assert reader.faults == []
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


def test_the_versions_are_those_of_the_tests() -> None:
    ours = json.loads((Path(__file__).parents[2] / "proxy/demo/viewer/package.json").read_text("utf-8"))
    theirs = json.loads((HERE / "package.json").read_text("utf-8"))
    assert ours["dependencies"].items() <= theirs["dependencies"].items()


@pytest.mark.parametrize("size", SIZES, ids=["wide", "narrow"])
async def test_axe_finds_nothing_serious(browser: Any, place: Place, size: tuple[int, int]) -> None:
    async with reader_of(browser, place) as reader:
        await reader.page.set_viewport_size({"width": size[0], "height": size[1]})
        await open_live(reader)
        await load(reader, "HTJ2K byte range: 64 KiB, then the rest")
        await axe.check(reader.page)
