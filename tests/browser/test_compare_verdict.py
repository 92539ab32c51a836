"""The three numbers at the top of the page, one for each column of panes."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.comparing import RADIOGRAPH, Place, demo, reader_of, small_tree
from tests.browser.serving import program

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    program("chromium")
    with demo(small_tree(tmp_path_factory), "hospital-lan") as running:
        yield running


async def test_the_verdict_has_the_numbers_of_the_panes_and_none_without_them(
    browser: Any, place: Place
) -> None:
    async with reader_of(browser, place) as reader:
        numbers, words = reader.page.locator("#verdict strong"), reader.page.locator("#verdict small")
        await reader.open(RADIOGRAPH, "whole,range", in_turn=True)
        ways = ("whole", "range")
        plain, *_ = [await reader.pane(way, "direct") for way in ways]
        first = min([(await reader.pane(way, "cold"))["first"] for way in ways])
        final = min([(await reader.pane(way, "hot"))["final"] for way in ways])
        told = [float(re.sub(" ms|,", "", text)) for text in await numbers.all_text_contents()]
        assert told == pytest.approx([plain["first"], first, final], abs=0.51)
        for said, ratio in zip((await words.all_text_contents())[1:], (first, final), strict=True):
            times = re.search(r"(no|[\d,.]+ times) sooner$", said)
            assert times
            if times[1] == "no":
                assert plain["first"] / ratio < 1.1
            else:
                found = float(times[1].removesuffix(" times").replace(",", ""))
                assert found == pytest.approx(plain["final"] / ratio, rel=0.06)
        assert re.search(r"behind a link of \d+ Mbit/s", await reader.page.inner_text("#headline"))

        place.tell(503)
        await reader.page.keyboard.press("r")
        await reader.wait("() => headline.textContent.startsWith('Not every pane')")
        assert await numbers.all_text_contents() == ["–"] * 3
