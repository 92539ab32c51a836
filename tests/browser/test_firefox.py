"""The main stories of the demo's page in Firefox, as Debian ships it, driven by WebDriver BiDi."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.browser.bidi import Firefox, firefox
from tests.browser.comparing import RADIOGRAPH, SLICES, VOLUME, Place, Reader, demo, reader_of, small_tree
from tests.browser.serving import program
from tests.browser.test_compare import greys_of
from tests.browser.test_live import open_live, packages
from tests.browser.test_playground import TEXTS, check_picture, open_playground, planned

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Firefox]:
    async with firefox(program("firefox-esr")) as running:
        yield running


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    program("firefox-esr")
    with demo(small_tree(tmp_path_factory), kept=packages(tmp_path_factory)) as running:
        yield running


@pytest.fixture
async def reader(browser: Firefox, place: Place) -> AsyncIterator[Reader]:
    async with reader_of(browser, place) as opened:
        yield opened
        assert opened.elsewhere == []
        assert opened.faults == []


async def test_panes_reach_first_and_final_and_the_pixels_are_those_of_the_image(reader: Reader) -> None:
    pixels = await asyncio.to_thread(greys_of, reader.place.tree, RADIOGRAPH)
    await reader.open(RADIOGRAPH, "whole,range")
    for way in ("whole", "range"):
        for via in ("direct", "cold", "hot"):
            await reader.until_drawn(way, via)
            pane = await reader.pane(way, via)
            assert pane["state"] == "done"
            assert 0 < pane["first"] <= pane["final"]
            assert (pane["first"] == pane["final"]) is (way == "whole")
            assert pane["painted"] == sorted(pane["painted"])
            assert await reader.greys(way, via) == pixels
        assert pane["badge"] == "cache: hit"


async def test_a_volume_lights_up(reader: Reader) -> None:
    await reader.open(VOLUME, "range")
    for via in ("direct", "cold", "hot"):
        pane = await reader.pane("range", via)
        assert pane["slices"] == f"{SLICES} of {SLICES} slices visible, {SLICES} complete"


@pytest.mark.parametrize("name", TEXTS)
async def test_the_playgrounds_picture_agrees_with_the_plan(
    reader: Reader, name: str, tmp_path: Path
) -> None:
    plan = await planned(TEXTS[name], 12, tmp_path)
    await open_playground(reader)
    await check_picture(reader, TEXTS[name], plan, 12)


async def test_cornerstone_shows_an_image(reader: Reader) -> None:
    """Without WebGL, as on a machine without a graphics card, Firefox's Cornerstone3D draws one step."""
    await open_live(reader)
    await reader.page.evaluate("() => document.getElementById('load').click()")
    await reader.wait("() => ['done', 'failed'].includes(document.body.dataset.state)")
    rows = await reader.page.evaluate(
        "() => [...document.querySelectorAll('#runs tbody tr')].map((row) => row.lastChild.textContent)"
    )
    assert [sizes.split(" → ")[-1] for sizes in rows] == 3 * ["1024×1024"]
