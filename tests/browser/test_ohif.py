"""The built OHIF, with the example's configuration, shows through the proxy what it shows directly."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.browser.archive import PATIENT, Archive, archive_of, write_study
from tests.browser.ohif import Ohif, Opened, ohif
from tests.browser.opening import (
    BY_RANGE,
    MPR,
    PAGES,
    STREAMED,
    each_way,
    proxy_of,
    root_of,
)
from tests.browser.pictures import Series
from tests.browser.serving import listening
from tests.house import house
from tests.pages.measured import read
from tests.scripted_origin import UID, ScriptedOrigin

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="session")
async def viewer(browser: Any) -> AsyncIterator[Ohif]:
    async with ohif(browser) as opened:
        yield opened


@pytest.fixture(scope="session")
async def archive(
    viewer: Ohif, volume: Series, radiograph: Series, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Archive]:
    tree = tmp_path_factory.mktemp("viewers") / "tree"
    write_study(tree, volume, radiograph)
    made = archive_of(tree)
    async with listening(made) as made.url:
        yield made


def is_good(viewer: Ohif, page: str, opened: Opened) -> None:
    """Holds for each way: no fault, nothing black, no request that failed, nobody else asked."""
    assert (opened.faults, viewer.strangers) == ([], [])
    assert [call for call in opened.asked if call.status not in (200, 206, 304)] == []
    assert all(canvas.lit > 0.05 for canvas in opened.canvases), opened.canvases  # MPR has narrow viewports
    assert {canvas.type for canvas in opened.canvases} == {"orthographic" if page == MPR else "stack"}


@pytest.mark.parametrize("name", PAGES)
async def test_each_canvas_is_the_same_directly_cold_and_hot(
    viewer: Ohif, archive: Archive, name: str
) -> None:
    page, (_, rows) = PAGES[name], read("opened")
    rows = [row for row in rows if row["page"] == name]
    least = min(row["viewer"] for row in rows)
    ways = direct, cold, hot = await each_way(viewer, archive, page, least)
    for way in ways:
        is_good(viewer, page, way.page)
        assert way.page.canvases == direct.page.canvases
    assert [call for call, times in Counter(cold.calls).items() if times > 1] == []
    assert hot.calls == [], "the second who opens the study causes no request at the archive"
    assert {call.cache.split(";")[1].strip() for call in hot.page.asked} == {"hit"}
    # The table in the page about OHIF has these counts.
    assert [way.row(name) for way in ways] == rows


async def test_ranges_are_requested_by_the_source_that_turns_them_on(viewer: Ohif, archive: Archive) -> None:
    ranges = {}
    async with proxy_of(viewer, archive) as home:
        for page in (STREAMED, BY_RANGE):
            asked = (await viewer.open(root_of(home), page)).asked
            ranges[page] = [call.range for call in asked if f"/{UID}.12/" in call.target and call.range]
    assert ranges[STREAMED] == []
    assert [asked.partition("-")[0] for asked in ranges[BY_RANGE]] == ["bytes=0", "bytes=65536"]
    assert ranges[BY_RANGE][0] == "bytes=0-65535"


async def test_the_list_of_studies_comes_through_the_proxy(viewer: Ohif, archive: Archive) -> None:
    async with proxy_of(viewer, archive) as home:
        await viewer.read(root_of(home), "/", PATIENT.replace("^", ", "))
    assert viewer.strangers == []


async def test_ohif_s_page_may_read_only_if_cors_lists_its_host(viewer: Ohif, archive: Archive) -> None:
    other = {"origins": ["https://other.example"]}
    async with house(ScriptedOrigin(), origin={"url": archive.url}, cors=other) as home:
        assert not await viewer.can_read(root_of(home) + "/studies")
    async with proxy_of(viewer, archive) as home:
        assert await viewer.can_read(root_of(home) + "/studies")
