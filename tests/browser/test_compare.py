"""The demo's page in a browser: what it paints, what its clocks say, and how it shows what is wrong."""

import asyncio
import hashlib
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.codecs.htj2k import decode_htj2k
from proxy.codecs.render import windowed
from proxy.measure.network import parse_network
from proxy.wire.display import read_displays
from tests.browser import axe
from tests.browser.comparing import (
    AS_USUAL,
    EMPTY,
    HOLD,
    RADIOGRAPH,
    SLICES,
    UNSUPPORTED,
    VOLUME,
    Place,
    Reader,
    demo,
    reader_of,
    small_tree,
)
from tests.browser.serving import program

pytestmark = pytest.mark.anyio

HELD_FOR = 0.5
"""Seconds for which the origin holds a frame back, so that there is something to measure."""
COARSE = 1.0
"""Milliseconds to which a browser rounds its clock, and more."""
SIZES = [(1440, 900), (390, 844)]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_tree(tmp_path_factory)


@pytest.fixture(scope="module")
def place(tree: Path) -> Iterator[Place]:
    program("chromium")
    with demo(tree) as running:
        yield running


@pytest.fixture
async def reader(browser: Any, place: Place) -> AsyncIterator[Reader]:
    async with reader_of(browser, place) as opened:
        yield opened
        assert opened.elsewhere == []


async def test_panes_reach_first_and_final_in_order_and_paint_every_resolution(reader: Reader) -> None:
    await reader.open(RADIOGRAPH, "whole,streaming,range,jls,jls-reduced")
    for way in ("whole", "streaming", "range", "jls", "jls-reduced"):
        for via in ("direct", "cold", "hot"):
            await reader.until_drawn(way, via)
            pane = await reader.pane(way, via)
            assert pane["state"] == "done"
            assert 0 < pane["first"] <= pane["final"]
            is_late = way in ("whole", "jls")
            assert (pane["first"] == pane["final"]) is is_late
            assert pane["painted"][-1] == 1024
            assert pane["painted"] == sorted(pane["painted"])
            assert way not in ("streaming", "range") or len(pane["painted"]) > 2
            assert pane["badge"] == {"direct": "", "hot": "cache: hit"}.get(via, pane["badge"])
    assert reader.faults == []


async def test_the_final_picture_has_the_pixels_of_the_image(reader: Reader, tree: Path) -> None:
    digest, columns, rows = await asyncio.to_thread(greys_of, tree, RADIOGRAPH)
    await reader.open(RADIOGRAPH, "range,jls")
    for way, via in (("range", "direct"), ("range", "cold"), ("range", "hot"), ("jls", "direct")):
        await reader.until_drawn(way, via)
        assert await reader.greys(way, via) == (digest, columns, rows)


def greys_of(tree: Path, title: str) -> tuple[str, int, int]:
    """SHA-256 of an image's greys, its columns and its rows, without the page's own code."""
    for metadata in tree.glob("studies/*/series/*/metadata.json"):
        [instance, *_] = json.loads(metadata.read_bytes())
        if title in instance["0008103E"]["Value"][0]:
            [file] = metadata.parent.glob("instances/*/frames/1.jphc")
            stored = decode_htj2k(file.read_bytes())
            shown = windowed(stored, read_displays(instance)[0])
            return hashlib.sha256(shown.tobytes()).hexdigest(), stored.shape[1], stored.shape[0]
    raise AssertionError("unreachable")


async def test_the_clocks_agree_with_the_servers_metrics(reader: Reader) -> None:
    """The page's clock and the server's metric both count from the request to its last byte.

    So both contain the time for which the origin holds the frame back, and both lie within the time from the
    click to the answer of the metrics. Their difference is thus at most that of the two times, and no bound
    depends on the machine.
    """
    await reader.open(RADIOGRAPH, "whole")
    before = await _delivered(reader)
    reader.place.tell(HOLD)
    clicked = time.monotonic()
    await reader.page.click(".pane[data-via=cold] .again")
    await reader.place.until_held()
    held = time.monotonic()
    await asyncio.sleep(HELD_FOR)
    running = await reader.page.evaluate("() => document.querySelector('.pane[data-via=cold]').dataset.state")
    assert (running, await _delivered(reader)) == ("running", before)
    let_go = time.monotonic()
    reader.place.tell(AS_USUAL)
    await reader.wait("() => document.querySelector('.pane[data-via=cold]').dataset.state === 'done'")
    final = (await reader.pane("whole", "cold"))["final"]
    while (delivered := await _delivered(reader))[0] == before[0]:
        await asyncio.sleep(0.01)  # the last byte may be here before the server has written that down
    ended = time.monotonic()
    assert delivered[0] == before[0] + 1
    for milliseconds in (final, 1000 * (delivered[1] - before[1])):
        assert 1000 * (let_go - held) - COARSE <= milliseconds <= 1000 * (ended - clicked) + COARSE


async def _delivered(reader: Reader) -> tuple[float, float]:
    """The number of complete frames that the proxy delivered, and the seconds for all of them."""
    text = await (await reader.page.request.get(f"{reader.place.admin}/metrics")).text()

    def value(name: str) -> float:
        line = rf"^progressive_proxy_final_delivery_seconds_{name}{{[^}}]*}} (\S+)$"
        return sum(float(found) for found in re.findall(line, text, re.MULTILINE))

    return value("count"), value("sum")


async def test_a_slow_link_can_not_be_outrun(reader: Reader) -> None:
    await reader.open(RADIOGRAPH, "range")
    await reader.page.click("text=By hand")
    for name, value in (("down", 20), ("up", 5), ("latency", 20)):
        await reader.page.fill(f"#{name}", str(value))
    await reader.page.click("text=Use this link")
    await reader.until_over()
    network = parse_network("20/5/20ms")
    size = await reader.page.evaluate("() => document.querySelector('.clock.size dd').textContent")
    assert size == "627 kB"
    for via in ("direct", "cold"):
        pane = await reader.pane("range", via)
        assert pane["first"] >= 1000 * network.limit(65536) - 1
        assert pane["final"] >= 1000 * network.limit(620_000)
    await reader.page.click("text=None (local)")
    await reader.until_over()


async def test_a_volume_lights_up_and_a_jump_says_how_long_it_took(reader: Reader) -> None:
    await reader.open(VOLUME, "whole,range,interleaved,jls-reduced")
    for way in ("whole", "range", "interleaved", "jls-reduced"):
        for via in ("direct", "cold", "hot"):
            pane = await reader.pane(way, via)
            assert (pane["state"], pane["slices"]) == (
                "done", f"{SLICES} of {SLICES} slices visible, {SLICES} complete"
            )  # fmt: skip
    await reader.page.focus("#slice")
    await reader.page.keyboard.press("End")
    jumps = "[...document.querySelectorAll('.jump')]"
    await reader.wait(f"() => {jumps}.every((each) => /complete after/.test(each.textContent))")
    text = await reader.page.text_content(".jump")
    assert re.match(rf"Slice {SLICES}: seen after .*ms, complete after .* ms\. Its bytes were here\.$", text)
    assert reader.faults == []


@pytest.mark.parametrize("title", [RADIOGRAPH, VOLUME])
async def test_a_study_is_opened_with_its_lists_first_and_the_clocks_say_when(
    reader: Reader, title: str
) -> None:
    await reader.open(title, "open")
    for via in ("direct", "cold", "hot"):
        await reader.until_drawn("open", via)
        pane = await reader.pane("open", via)
        assert (pane["state"], pane["slices"]) == ("done", None)
        assert 0 < pane["first"] <= pane["final"]
        card = reader.page.locator(f".pane[data-way=open][data-via={via}]")
        drawn = await card.locator(".waterfall").get_attribute("aria-label")
        assert drawn == "Waterfall of 4 requests"
        read = milliseconds(await card.locator(".clock.lists dd").text_content())
        assert 0 < read <= pane["first"] + COARSE
        assert pane["badge"] == {"direct": "", "hot": "cache: hit"}.get(via, pane["badge"])
    assert reader.faults == []


def milliseconds(text: str) -> float:
    return float(text.removesuffix(" ms").replace(",", ""))


async def test_a_person_sees_the_opening_of_a_study_without_choosing_it(reader: Reader) -> None:
    await reader.page.goto(reader.place.url)
    await reader.until_over()
    titles = await reader.page.locator(".way h2").all_text_contents()
    assert titles == ["Whole frames", "64 KiB, then the rest", "Open a study"]


async def test_slices_light_up_in_the_order_of_the_plan(reader: Reader) -> None:
    """The first fetches of all slices come before the rest of any."""
    await reader.open(VOLUME, "range")
    told = await (await reader.page.request.get(f"{reader.place.url}/fetches?way=range&images=3")).json()
    first, rest = "bytes=0-65535", "bytes=65536-"
    assert told == [[image, "/frames/", part] for part in (first, rest) for image in range(3)]
    pane = await reader.pane("range", "direct")
    assert pane["first"] < pane["final"]


async def test_a_slice_that_a_person_jumps_to_is_fetched_next(reader: Reader) -> None:
    await reader.open(VOLUME, "range")
    order = await reader.page.evaluate("""async () => {
        const { Load } = await import('./load.js');
        const told = await (await fetch('state')).json();
        const { frames } = told.series.at(-1);
        const { direct } = told.ways.find((way) => way.name === 'range');
        const fetches = await (await fetch(`fetches?way=range&images=${frames.length}`)).json();
        const load = new Load({ base: direct, frames, fetches, isProgressive: true, changed() {} });
        load.hurry(7);
        await load.run();
        return load.requests.map((request) => request.image);
    }""")
    assert order[:3] == [7, 0, 1]
    assert sorted(order) == sorted(2 * list(range(SLICES)))
    assert reader.faults == []


async def test_a_cleared_cache_is_empty_for_the_next_viewer(reader: Reader) -> None:
    await reader.open(RADIOGRAPH, "whole")
    assert (await reader.pane("whole", "hot"))["badge"] == "cache: hit"
    await reader.page.keyboard.press("c")
    await reader.page.wait_for_selector("text=The proxy's cache is empty")
    await reader.page.click(".pane[data-via=hot] .again")
    await reader.wait(
        "() => document.querySelector('.pane[data-via=hot] .badge').textContent === 'cache: miss'"
    )
    await reader.page.keyboard.press("r")
    await reader.until_over()
    assert (await reader.pane("whole", "hot"))["badge"] == "cache: hit"


@pytest.mark.parametrize(
    ("status", "title"), [(403, "Not allowed"), (404, "Nothing found"), (502, "The origin is down")]
)
async def test_a_refusal_has_a_face(reader: Reader, status: int, title: str) -> None:
    reader.place.tell(status)
    await reader.open(RADIOGRAPH, "range")
    for via in ("direct", "cold"):
        pane = await reader.pane("range", via)
        assert pane["state"] == "failed"
        assert pane["problem"].startswith(f"{title} ({status})")
        assert not re.search(r"Origin[A-Z]\w+:", pane["problem"])  # a name of the program
    clocks = await reader.page.eval_on_selector_all(
        ".clock.first dd, .clock.final dd", "all => all.map((each) => each.textContent)"
    )
    assert set(clocks) == {"–"}
    assert "Not every pane" in await reader.page.text_content("#headline")


async def test_an_origin_without_studies_has_a_face(browser: Any, tree: Path) -> None:
    running = demo(tree)
    place = await asyncio.to_thread(running.__enter__)
    try:
        async with reader_of(browser, place) as reader:
            place.tell(EMPTY)
            await reader.page.goto(place.url)
            await reader.until_over()
            assert (await reader.page.text_content("#problem")).startswith("Nothing found")
            place.tell(AS_USUAL)
            await reader.page.goto(f"{place.url}/#ways=range")
            await reader.page.reload()
            await reader.wait("() => document.body.dataset.state === 'done'")
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


async def test_an_origin_that_is_down_has_a_face(browser: Any, tree: Path) -> None:
    running = demo(tree)
    place = await asyncio.to_thread(running.__enter__)
    try:
        async with reader_of(browser, place) as reader:
            process, _ = place.children._running[0]
            process.terminate()
            await asyncio.to_thread(process.join)
            await reader.page.goto(place.url)
            await reader.until_over()
            said = await reader.page.text_content("#problem")
            assert said.startswith("The origin is down (502)")
            assert "Try again" in said
            assert await reader.page.locator("#controls:visible, #actions:visible").count() == 0
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


async def test_a_picture_that_can_not_be_drawn_says_so_and_its_clocks_go_on(reader: Reader) -> None:
    await reader.open(UNSUPPORTED, "range")
    await reader.wait("() => [...document.querySelectorAll('.drawnote')].every((each) => !each.hidden)")
    pane = await reader.pane("range", "direct")
    assert (pane["state"], pane["painted"]) == ("done", [])
    assert "Modality LUT" in pane["note"]


async def test_a_link_of_zero_has_a_face(reader: Reader) -> None:
    await reader.open(RADIOGRAPH, "range")
    await reader.page.click("text=By hand")
    await reader.page.fill("#down", "0")
    await reader.page.click("text=Use this link")
    await reader.page.wait_for_selector("text=carries nothing")
    assert (await reader.page.text_content("#problem")).startswith("Not a link")
    await reader.page.click("text=None (local)")
    await reader.wait("() => document.body.dataset.state === 'done'")


async def test_a_load_can_be_broken_off_by_another_link(reader: Reader) -> None:
    """Fetches over the slow link end before the next load begins, so that it finds an empty cache."""
    await reader.open(RADIOGRAPH, "whole")
    await reader.page.click("text=Slow 3G")
    await reader.wait("() => document.querySelector('.pane[data-via=cold]')?.dataset.state === 'running'")
    await reader.page.click("text=None (local)")
    await reader.until_over()
    told = [(await reader.pane("whole", via))["badge"] for via in ("cold", "hot")]
    assert told == ["cache: miss", "cache: hit"]


@pytest.mark.parametrize("size", SIZES, ids=["wide", "narrow"])
@pytest.mark.parametrize("title", [RADIOGRAPH, VOLUME])
async def test_axe_finds_nothing_serious(
    browser: Any, place: Place, title: str, size: tuple[int, int]
) -> None:
    async with reader_of(browser, place) as reader:
        await reader.page.set_viewport_size({"width": size[0], "height": size[1]})
        await reader.open(title, "whole,range")
        await axe.check(reader.page)
