"""Panes that could not load a volume: each says why, also the one that was never begun."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser import axe
from tests.browser.comparing import VOLUME, Place, demo, reader_of, small_tree
from tests.browser.serving import program

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    program("chromium")
    with demo(small_tree(tmp_path_factory)) as running:
        yield running


async def test_a_pane_that_waited_in_vain_says_so_and_can_be_loaded(browser: Any, place: Place) -> None:
    async with reader_of(browser, place) as reader:
        place.tell(503)
        await reader.open(VOLUME, "whole")
        pane = await reader.pane("whole", "hot")
        assert pane["state"] == "leftout"
        assert pane["problem"].startswith("Not loaded")
        left = reader.page.locator(".pane[data-via=hot]")
        assert await left.locator(".slices:visible, .waterfall:visible, .jump:visible").count() == 0
        place.tell(0)
        await left.locator(".again").click()
        await reader.wait("() => document.querySelector('.pane[data-via=hot]').dataset.state === 'done'")
        assert (await reader.pane("whole", "hot"))["problem"] == ""
        assert await left.locator(".slices:visible, .waterfall:visible").count() == 2


@pytest.mark.parametrize("width", [390, 1280, 2560])
async def test_axe_finds_nothing_in_panes_that_failed(browser: Any, place: Place, width: int) -> None:
    async with reader_of(browser, place) as reader:
        await reader.page.set_viewport_size({"width": width, "height": 900})
        place.tell(503)
        await reader.open(VOLUME, "whole,range")
        await axe.check(reader.page, axe.ANY)
