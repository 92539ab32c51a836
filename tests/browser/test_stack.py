"""A stack viewport in front of the proxy: its requests, its intermediate pictures, and its final picture."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.pictures import Series
from tests.browser.plans import BY_RANGE, KIB, OHIF, STACKS, STREAMING
from tests.browser.viewing import ANYWHERE, FULL, SUBRESOLUTION, Viewer
from tests.house import House, house
from tests.scripted_origin import Asked, Reply, honest

pytestmark = pytest.mark.anyio

FETCHED = {"bytes=0-65535", "bytes=65536-", "bytes=0-32767", "bytes=32768-"}
"""The ranges that the proxy may request from the origin: a first fetch, and the rest."""


STREAMING_AT_64_KIB = {
    "stages": "single",
    "retrieveOptions": {"single": {"streaming": True, "decodeLevel": 3, "initialChunkSize": 64 * KIB}},
}
"""By default the viewer decodes nothing before 128 KiB."""


def root(home: House) -> str:
    return str(home.viewer.base_url)


@pytest.mark.parametrize("is_hot", [False, True], ids=["cold", "hot"])
@pytest.mark.parametrize("name", STACKS)
async def test_every_plan_shows_what_it_should(
    viewer: Viewer, radiograph: Series, name: str, is_hot: bool
) -> None:
    plan, origin = STACKS[name], radiograph.origin()
    [frame] = radiograph.frames
    async with house(origin, cors=ANYWHERE) as home:
        if is_hot:
            await home.viewer.get(frame)
            await home.until_idle()
        seen = await viewer.show("stack", root(home), radiograph, plan.retrieve)
        await home.until_idle()
    assert seen.rendering == "gpu"
    told = list(zip(seen.statuses(), seen.sizes(), strict=True))
    if plan.is_streamed:  # timing decides how much has arrived when it is decoded
        del told[1:-1]
    assert told == [(status, (rows, rows)) for status, rows in zip(plan.statuses, plan.sizes, strict=True)]
    assert seen.digests()[-1] == radiograph.digest()
    assert [asked and _open_ended(asked, len(origin.frames[frame])) for asked in seen.ranges(frame)] == list(
        plan.asked
    )
    assert all(render["lit"] > 0.9 for render in seen.renders)
    assert (viewer.faults, seen.errors) == ([], [])
    ranges = origin.ranges_of(frame)
    assert len(ranges) == 2
    assert set(map(str, ranges)) <= FETCHED
    assert (await viewer.looks_like("stack", radiograph))["differing"] == 0


def _open_ended(asked: str, codestream: int) -> str:
    """The viewer's own range. Chromium fills in the end of a range if it knows the total."""
    start, _, end = asked.partition("-")
    return f"{start}-" if end and int(end) >= codestream else asked


@pytest.mark.parametrize("plan", [BY_RANGE, STREAMING_AT_64_KIB], ids=["range", "streaming"])
async def test_a_picture_is_shown_while_the_rest_waits(
    viewer: Viewer, radiograph: Series, plan: dict[str, Any]
) -> None:
    origin, go_on = radiograph.origin(), asyncio.Event()
    origin.script = _when(lambda asked: asked.range == "bytes=65536-", origin.frames, before=[go_on])
    async with house(origin, cors=ANYWHERE) as home:
        showing = asyncio.create_task(viewer.show("stack", root(home), radiograph, plan))
        await viewer.until_image(SUBRESOLUTION)
        now = await viewer.page.evaluate("window.seen")
        go_on.set()
        seen = await showing
    assert [image["rows"] for image in now["images"]] == [256]
    assert now["renders"][-1]["lit"] > 0.9
    assert seen.statuses()[0] == SUBRESOLUTION
    assert (seen.statuses()[-1], seen.digests()[-1]) == (FULL, radiograph.digest())
    assert (viewer.faults, seen.errors) == ([], [])


@pytest.mark.parametrize("plan", [STREAMING, STREAMING_AT_64_KIB], ids=["stock", "from 64 KiB"])
async def test_a_large_picture_that_is_held_is_drawn_before_its_rest_is_sent(
    viewer: Viewer, large_radiograph: Series, plan: dict[str, Any]
) -> None:
    """The pause is an hour, so everything that is drawn is drawn during it."""
    async with house(large_radiograph.origin(), cors=ANYWHERE, listen={"pause": 3600}) as home:
        await home.viewer.get(large_radiograph.frames[0], headers={"range": "bytes=0-9"})
        await home.until_idle()
        showing = asyncio.create_task(viewer.show("stack", root(home), large_radiograph, plan))
        await viewer.until_image(SUBRESOLUTION)
        seen = await viewer.page.evaluate("window.seen")
        showing.cancel()
        await viewer.page.goto("about:blank")
    assert {image["status"] for image in seen["images"]} == {SUBRESOLUTION}
    assert seen["renders"][-1]["lit"] > 0.9


@pytest.mark.parametrize("headers", [None, OHIF], ids=["Cornerstone3D", "OHIF"])
async def test_stock_streaming_shows_the_whole(
    viewer: Viewer, radiograph: Series, headers: dict[str, str] | None
) -> None:
    async with house(radiograph.origin(), cors=ANYWHERE) as home:
        seen = await viewer.show("stack", root(home), radiograph, STREAMING, headers=headers)
    assert (seen.statuses()[-1], seen.digests()[-1]) == (FULL, radiograph.digest())
    assert (viewer.faults, seen.errors) == ([], [])
    assert (await viewer.looks_like("stack", radiograph))["differing"] == 0


async def test_the_cut_picture_is_the_frames_own_reduction(viewer: Viewer, radiograph: Series) -> None:
    async with house(radiograph.origin(), cors=ANYWHERE) as home:
        seen = await viewer.show("stack", root(home), radiograph, STACKS["reduced, then range"].retrieve)
    assert seen.digests() == [radiograph.digest(reduce=3), radiograph.digest()]


async def test_the_same_page_again_is_answered_from_the_browsers_cache(
    viewer: Viewer, radiograph: Series
) -> None:
    """Chromium revalidates with If-None-Match and a Range. The viewer must see 200 for a whole."""
    async with house(radiograph.origin(), cors=ANYWHERE) as home:
        for plan in (BY_RANGE, STREAMING, BY_RANGE, {"stages": "single"}):
            seen = await viewer.show("stack", root(home), radiograph, plan)
            assert (seen.statuses()[-1], seen.digests()[-1]) == (FULL, radiograph.digest())
        assert home.metric("frame_answers_total", status="304", cache="hit") >= 4
    assert (viewer.faults, seen.errors) == ([], [])


def _when(is_it: Callable[[Asked], bool], frames: dict[str, bytes], before: list[Any]) -> Any:
    def script(asked: Asked) -> Reply | None:
        body = frames.get(asked.path)
        return honest(body, asked, before=before) if body and is_it(asked) else None

    return script
