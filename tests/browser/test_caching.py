"""The browser's cache between viewer and proxy. It rewrites requests, and the viewer must not notice.

If ranges have a strong ETag, Chromium keeps them as parts of one cache entry. It fills in open ends and
guards missing parts with If-Range. It revalidates an entry with a Range and If-None-Match, even if the page
requested the whole. If the response is then neither 304 nor 200, the page sees that.
"""

from typing import Any

import numpy as np
import pytest

from proxy.frame.scope import FrameScope
from tests.browser.between import Turn, between
from tests.browser.pictures import Series
from tests.browser.plans import BY_RANGE, STREAMING, first
from tests.browser.viewing import ANYWHERE, FULL, SUBRESOLUTION, Viewer
from tests.codestreams import Pixels
from tests.house import House, house
from tests.scripted_origin import ScriptedOrigin, honest

pytestmark = pytest.mark.anyio

WHOLE: dict[str, Any] = {"stages": "single"}
FIRST_ALONE = {
    "stages": [{"id": "first", "retrieveType": "fast"}],
    "retrieveOptions": {"fast": first(decodeLevel=3)},
}
"""The requests of a prefetch: only the first options."""

FIRST, END = "bytes=0-65535", "bytes=65536-{last}"
ALL, REST = "bytes=0-{last}", "bytes=65536-"
IF_SAME = "if-none-match"
WITH_ETAG = (
    (BY_RANGE, [(FIRST, "", 206), (END, "if-range", 206)]),
    (STREAMING, [(ALL, IF_SAME, 304)]),
    (BY_RANGE, [(FIRST, IF_SAME, 304), (END, IF_SAME, 304)]),
    (WHOLE, [(ALL, IF_SAME, 304)]),
)
WITHOUT = (
    (BY_RANGE, [(FIRST, "", 206), (REST, "", 206)]),
    (STREAMING, [(None, "", 200)]),
    (BY_RANGE, [(FIRST, "", 206), (REST, "", 206)]),
    (WHOLE, [(None, "", 200)]),
)

KEPT_NO_TIME = {"ttl": 0.000_001}


def root(home: House) -> str:
    return str(home.viewer.base_url)


def turns(wanted: list[Any], size: int) -> list[Turn]:
    """The expected turns, with the representation's last byte filled in."""
    return [Turn(asked and asked.format(last=size - 1), guard, status) for asked, guard, status in wanted]


@pytest.mark.parametrize("keeps_etag", [True, False], ids=["with our ETag", "without"])
async def test_whatever_the_browser_makes_of_it_the_viewer_sees_the_same(
    viewer: Viewer, radiograph: Series, keeps_etag: bool
) -> None:
    async with house(radiograph.origin(), cors=ANYWHERE) as home:
        size = int((await home.viewer.get(radiograph.frames[0])).headers["content-length"])
        wire = between(home, keeps_etag=keeps_etag)
        for plan, wanted in WITH_ETAG if keeps_etag else WITHOUT:
            seen = await viewer.show("stack", root(home), radiograph, plan)
            assert wire.taken() == turns(wanted, size)
            assert (seen.statuses()[-1], seen.digests()[-1]) == (FULL, radiograph.digest())
            if plan is BY_RANGE:  # 128 if the viewer was not told the total length
                assert seen.sizes() == [(256, 256), (1024, 1024)]
            assert (viewer.faults, seen.errors) == ([], [])


@pytest.mark.parametrize("then", [STREAMING, WHOLE, BY_RANGE], ids=["streaming", "whole", "range"])
async def test_a_part_that_the_browser_holds_is_completed(
    viewer: Viewer, radiograph: Series, then: dict[str, Any]
) -> None:
    async with house(radiograph.origin(), cors=ANYWHERE) as home:
        size = int((await home.viewer.get(radiograph.frames[0])).headers["content-length"])
        wire = between(home)
        await viewer.show("stack", root(home), radiograph, FIRST_ALONE)
        wire.taken()
        seen = await viewer.show("stack", root(home), radiograph, then)
        assert wire.taken() == turns([(FIRST, IF_SAME, 304), (END, "if-range", 206)], size)
    assert (seen.statuses()[-1], seen.digests()[-1]) == (FULL, radiograph.digest())
    assert (viewer.faults, seen.errors) == ([], [])


def smaller(pixels: Pixels) -> Pixels:
    return (pixels[::-1] // 2).copy()


def larger(pixels: Pixels) -> Pixels:
    noise = np.random.default_rng(1).integers(0, 2000, pixels.shape)
    return (pixels[::-1] // 2 + noise).astype(pixels.dtype)


def another(radiograph: Series, change: Any) -> Series:
    """The series with another picture in its place."""
    return Series(radiograph.path, (change(radiograph.pixels[0]),), radiograph.window)


@pytest.mark.parametrize("change", [smaller, larger])
@pytest.mark.parametrize("then", [STREAMING, WHOLE, BY_RANGE], ids=["streaming", "whole", "range"])
@pytest.mark.parametrize("held", [BY_RANGE, STREAMING, FIRST_ALONE], ids=["ranges", "whole", "first"])
async def test_another_version_than_the_browser_holds_is_shown_whole(
    viewer: Viewer, radiograph: Series, held: dict[str, Any], then: dict[str, Any], change: Any
) -> None:
    new = another(radiograph, change)
    assert (len(new.codestreams[0]) > len(radiograph.codestreams[0])) is (change is larger)
    async with house(radiograph.origin(), cors=ANYWHERE, cache=KEPT_NO_TIME) as home:
        await viewer.show("stack", root(home), radiograph, held)
        await home.until_idle()
        home.origin.frames[radiograph.frames[0]] = new.codestreams[0]
        seen = await viewer.show("stack", root(home), radiograph, then)
    assert (seen.statuses()[-1], seen.digests()[-1]) == (FULL, new.digest())
    assert (viewer.faults, seen.errors) == ([], [])


@pytest.mark.parametrize("held", [BY_RANGE, FIRST_ALONE], ids=["all", "first"])
async def test_a_version_that_ends_between_two_ranges_leaves_a_part(
    viewer: Viewer, radiograph: Series, held: dict[str, Any]
) -> None:
    new = another(radiograph, larger)
    async with house(radiograph.origin(), cors=ANYWHERE, cache=KEPT_NO_TIME) as home:
        await viewer.show("stack", root(home), radiograph, held)
        wire = between(home)

        async def change(asked: str) -> None:
            if asked != FIRST:
                await home.until_idle()
                home.origin.frames[radiograph.frames[0]] = new.codestreams[0]

        await viewer.before_ranges(change)
        seen = await viewer.show("stack", root(home), radiograph, BY_RANGE)
        told = wire.taken()
    assert [turn.status for turn in told] == [304, 416]
    assert told[1].guard == ("if-none-match" if held is BY_RANGE else "if-range")
    assert set(seen.statuses()) == {SUBRESOLUTION}


FETCH = """async ([url, range]) => {
    const answer = await fetch(url, {headers: {Range: range}});
    const size = (await answer.arrayBuffer()).byteLength;
    return [answer.status, answer.headers.get('content-type'), size];
}"""


@pytest.mark.parametrize("etag", [None, "", 'W/"weak"'], ids=["strong", "none", "weak"])
async def test_a_range_behind_a_whole_that_the_browser_holds_has_a_type(
    viewer: Viewer, radiograph: Series, etag: str | None
) -> None:
    """A viewer whose first range held everything requests what follows, and reads the response's type."""
    viewer.is_used_up = True  # the page's console reports each 416
    body, path = radiograph.codestreams[0], radiograph.frames[0]
    origin = ScriptedOrigin(
        script=lambda asked: honest(body, asked, etag=etag) if asked.path == path else None
    )
    async with house(origin, cors=ANYWHERE) as home:
        url = root(home).rstrip("/") + path
        # The first response is of a copy being fetched. Unless the origin has an ETag, the proxy's is weak.
        for guard in ("", "if-none-match") if etag is None else ("", "", "if-none-match"):
            wire = between(home)
            seen = [
                await viewer.page.evaluate(FETCH, [url, f"bytes={at}"]) for at in ("0-9999999", "9000000-")
            ]
            size = seen[0][2]
            media = (await home.viewer.get(path)).headers["content-type"]
            assert seen == [[206, media, size], [416, media, 0]]
            assert wire.taken()[0].guard == guard


@pytest.mark.parametrize("is_forgotten", [False, True], ids=["held", "fetched anew"])
@pytest.mark.parametrize("etag", ["", 'W/"weak"'], ids=["none", "weak"])
async def test_without_a_strong_etag_of_the_origin_the_viewer_sees_the_same(
    viewer: Viewer, radiograph: Series, etag: str, is_forgotten: bool
) -> None:
    """The browser holds ranges under the ETag of a whole while the proxy fetches a new copy."""
    body, path = radiograph.codestreams[0], radiograph.frames[0]
    origin = radiograph.origin()
    origin.script = lambda asked: honest(body, asked, etag=etag) if asked.path == path else None
    async with house(origin, cors=ANYWHERE) as home:
        for plan in (BY_RANGE, STREAMING, BY_RANGE, WHOLE, FIRST_ALONE, BY_RANGE, FIRST_ALONE, STREAMING):
            seen = await viewer.show("stack", root(home), radiograph, plan)
            if plan is not FIRST_ALONE:  # it ends without a whole
                assert (seen.statuses()[-1], seen.digests()[-1]) == (FULL, radiograph.digest())
                assert (viewer.faults, seen.errors) == ([], [])
            await home.until_idle()
            if is_forgotten:
                home.app.forget(FrameScope("pacs"))


async def test_a_viewer_that_prefetches_and_forgets_costs_the_origin_nothing_more(
    viewer: Viewer, radiograph: Series
) -> None:
    """The viewer requests a stack's first bytes, and after scrolling there all from the start (#2433)."""
    origin = radiograph.origin()
    async with house(origin, cors=ANYWHERE) as home:
        between(home, keeps_etag=False)
        await viewer.show("stack", root(home), radiograph, FIRST_ALONE)
        await home.until_idle()
        for plan in (BY_RANGE, STREAMING, WHOLE):
            seen = await viewer.show("stack", root(home), radiograph, plan)
            assert (seen.statuses()[-1], seen.digests()[-1]) == (FULL, radiograph.digest())
            assert {each.answered["cache-status"] for each in seen.exchanges} == {"progressive-proxy; hit"}
    assert origin.ranges_of(radiograph.frames[0]) == ["bytes=0-65535", "bytes=65536-"]
