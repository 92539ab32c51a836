"""The playground in a browser: its picture is the plan of the command, and faults lead to their line."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import axe
from tests.browser.comparing import Place, Reader, demo, reader_of, small_tree
from tests.browser.serving import program

pytestmark = pytest.mark.anyio

FRAME, RATE = 520_000, 30e6
"""Bytes of a frame, and bits per second, as the page has them at first."""
COLOURS = 8
SIZES = [(1440, 900), (390, 844)]
INTERLEAVED = """{
  ...interleavedRetrieveStages, // the viewer's own stages
  retrieveOptions: {
    multipleFast: { rangeIndex: 0, chunkSize: 64 * 1024 },
    multipleFinal: { rangeIndex: -1 },
  },
}"""
TEXTS = {
    "javascript": INTERLEAVED,
    "json": json.dumps({"retrieveOptions": {"single": {"streaming": True}}}),
    "yaml": "stages: [{id: a, decimate: 2, retrieveType: fast}, {id: b, priority: 3}, {id: c, offset: 1}]\n"
    "retrieveOptions: {fast: {rangeIndex: 1}}\n",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    program("chromium")
    with demo(small_tree(tmp_path_factory)) as running:
        yield running


@pytest.fixture
async def reader(browser: Any, place: Place) -> AsyncIterator[Reader]:
    async with reader_of(browser, place) as opened:
        await open_playground(opened)
        yield opened
        assert opened.elsewhere == []
        assert opened.faults == []


async def open_playground(reader: Reader) -> None:
    await reader.page.goto(f"{reader.place.url}/playground.html")
    await until(reader, "shown")


async def until(reader: Reader, state: str) -> None:
    await reader.wait(f"() => document.body.dataset.state === '{state}'")


async def write(reader: Reader, text: str, state: str = "shown", images: int = 12) -> None:
    """Puts a text and a number into the playground at once, and waits until they were read."""
    await reader.page.evaluate(
        """([text, images]) => {
            document.body.dataset.state = 'written';
            document.getElementById('images').value = images;
            document.getElementById('text').value = text;
            document.getElementById('text').dispatchEvent(new Event('input'));
        }""",
        [text, images],
    )
    await until(reader, state)


async def planned(text: str, images: int, folder: Path) -> list[dict[str, Any]]:
    """The output of `plan --json`."""
    await asyncio.to_thread((folder / "profile").write_text, text)
    command = ("-m", "proxy", "plan", str(folder / "profile"), "--images", str(images), "--json")
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0
    printed: list[dict[str, Any]] = json.loads(output)
    return printed


async def colours_of(reader: Reader, plan: list[dict[str, Any]], images: int) -> list[tuple[str, str]]:
    """The picture's colour at each fetch of a plan, and at the same time in another image's row."""
    bars = bars_of(plan, images)
    found: list[tuple[str, str]] = await reader.page.evaluate(
        """async ([bars, images]) => {
            const { layout } = await import('./planpicture.js');
            const canvas = document.getElementById('picture');
            const { width, height } = canvas.getBoundingClientRect();
            const at = layout(width, height, images, 1);
            const columns = canvas.width;
            const { data } = canvas.getContext('2d').getImageData(0, 0, columns, canvas.height);
            const ratio = canvas.width / width;
            const pixel = (x, y) => {
                const from = 4 * (Math.floor(y * ratio) * columns + Math.floor(x * ratio));
                return [...data.subarray(from, from + 4)].join(',');
            };
            return bars.map(([time, image]) => {
                const rows = [image, (image + 1) % images].map((row) => at.y(row) + at.row / 2);
                return rows.map((y) => pixel(at.x(time), y));
            });
        }""",
        [bars, images],
    )
    return found


def bars_of(plan: list[dict[str, Any]], images: int) -> list[tuple[float, int]]:
    """The middle of each fetch as a share of the whole time, and its image."""
    sizes = [
        (FRAME if each["stop"] is None else min(each["stop"], FRAME)) - min(each["start"], FRAME)
        for each in plan
    ]
    ends = [sum(sizes[: number + 1]) for number in range(len(sizes))]
    return [
        ((end - size / 2) / ends[-1], each["image"])
        for end, size, each in zip(ends, sizes, plan, strict=True)
    ]


async def palette(reader: Reader) -> list[str]:
    """The colours of the stages as the picture's pixels have them."""
    found: list[str] = await reader.page.evaluate(
        """() => Array.from({ length: 8 }, (_, number) => {
            const style = getComputedStyle(document.documentElement).getPropertyValue(`--s${number}`).trim();
            return [1, 3, 5].map((at) => parseInt(style.slice(at, at + 2), 16)).join(',') + ',255';
        })"""
    )
    return found


async def check_picture(reader: Reader, text: str, plan: list[dict[str, Any]], images: int) -> None:
    """The picture has a bar for each fetch of the plan: in its order, its image's row, its stage's colour."""
    await write(reader, text, images=images)
    colours = await palette(reader)
    stages = await reader.page.evaluate(
        "() => [...document.querySelectorAll('#stages tbody td:first-child')].map((cell) => cell.textContent)"
    )
    own = [colours[stages.index(each["stage"]) % COLOURS] for each in plan]
    found = await colours_of(reader, plan, images)
    assert [bar for bar, _ in found] == own
    if images > 1:
        assert not {beside for _, beside in found} & set(colours)


@pytest.mark.parametrize("name", TEXTS)
async def test_the_picture_agrees_with_the_plan(reader: Reader, name: str, tmp_path: Path) -> None:
    plan = await planned(TEXTS[name], 12, tmp_path)
    await check_picture(reader, TEXTS[name], plan, 12)
    await reader.page.click("#list summary")
    await reader.wait("() => document.querySelector('#list tbody').rows.length > 0")
    rows = [row.split("\t") for row in (await reader.page.inner_text("#list tbody")).splitlines()]
    listed = [(stage, int(image)) for _, stage, image, _ in rows]
    assert listed == [(each["stage"], each["image"]) for each in plan]
    await write(reader, await reader.page.inner_text("#yaml"))
    assert len(plan) == await reader.page.evaluate("() => Number(document.getElementById('fetch').max)")


async def test_warnings_stand_beside_the_picture(reader: Reader) -> None:
    await write(reader, INTERLEAVED, images=174)
    assert "it fetches whole images (3) before the first bytes of 86 others" in await reader.page.inner_text(
        "#advice"
    )
    await write(reader, "extends: interleaved", images=174)
    assert await reader.page.is_hidden("#advice")


async def test_a_fault_leads_to_its_line(reader: Reader) -> None:
    await write(reader, "stages:\n- {id: a}\n- {id: b, decimate: 0}\n", "faulty")
    assert await reader.page.inner_text("#faults") == ("Line 3\nstages.1.decimate: must be at least 1")
    await reader.page.click("#faults button")
    chosen = "(text) => text.value.slice(text.selectionStart, text.selectionEnd)"
    assert await reader.page.eval_on_selector("#text", chosen) == "- {id: b, decimate: 0}"
    await write(reader, "stages: [{id: a}]")
    assert await reader.page.inner_text("#faults") == ""


async def test_the_plan_follows_what_is_typed(reader: Reader) -> None:
    await reader.page.fill("#text", "stages: [{id: typed}]")
    await reader.wait("() => /typed/.test(document.getElementById('stages').textContent)")
    await reader.page.select_option("#sample", index=0)
    await reader.wait("() => /lossySequential/.test(document.getElementById('stages').textContent)")
    await reader.page.fill("#images", "3")
    await reader.wait("() => /1 of 6/.test(document.getElementById('fetchno').textContent)")


async def test_a_number_of_images_has_bounds(reader: Reader) -> None:
    await write(reader, "first: 1/4", "faulty", images=1001)
    assert "1 to 1000" in await reader.page.inner_text("#faults")
    await write(reader, "first: 1/4", images=1000)
    assert "2,000" not in await reader.page.inner_text("#faults")


async def test_names_are_text_and_nothing_else(reader: Reader) -> None:
    name = "<img src=x onerror=document.title='run'>"
    await write(reader, json.dumps({"stages": [{"id": name}], "retrieveOptions": {name: {}}}))
    assert name in await reader.page.inner_text("#stages")
    assert await reader.page.evaluate("() => document.querySelectorAll('main img').length") == 0


async def test_a_key_moves_through_the_fetches(reader: Reader) -> None:
    await write(reader, "{}")
    await reader.page.focus("#fetch")
    await reader.page.keyboard.press("End")
    now = await reader.page.inner_text("#now")
    assert now.startswith(
        "Image 11 in stage initialImages: whole, 520 kB. After 1.66 s, 12 of 12 images show"
    )
    await reader.page.keyboard.press("Home")
    assert "1 of 12 images show something and 1 are complete" in await reader.page.inner_text("#now")


async def test_the_times_follow_from_frame_and_link(reader: Reader) -> None:
    await write(reader, "{}", images=10)
    await reader.page.fill("#frame", "1000")
    await reader.page.fill("#rate", "8")
    await reader.wait("() => /10 s/.test(document.getElementById('headline').textContent)")


async def test_a_configuration_comes_with_the_address(reader: Reader) -> None:
    await reader.page.goto("about:blank")
    await reader.page.goto(f"{reader.place.url}/playground.html#text=%7B%22first%22%3A1024%7D&images=3")
    await until(reader, "shown")
    assert await reader.page.input_value("#text") == '{"first":1024}'
    assert re.search(r"\b1 of 6\b", await reader.page.inner_text("#fetchno"))


@pytest.mark.parametrize("size", SIZES, ids=["wide", "narrow"])
@pytest.mark.parametrize("text", [INTERLEAVED, "stages: [{id: a}]\nstage: []"], ids=["right", "wrong"])
async def test_axe_finds_nothing_serious(
    browser: Any, place: Place, text: str, size: tuple[int, int]
) -> None:
    async with reader_of(browser, place) as reader:
        await reader.page.set_viewport_size({"width": size[0], "height": size[1]})
        await open_playground(reader)
        await write(reader, text, "shown" if text == INTERLEAVED else "faulty")
        await axe.check(reader.page)
