"""The viewer's picture if the origin fails: it never takes part of an image for the whole."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from proxy.codecs.htj2k import encode_htj2k
from tests.browser.pictures import Series
from tests.browser.plans import BY_RANGE, BY_RANGE_WITH_LAST_HOPE, STACKS, STREAMING, VOLUMES
from tests.browser.viewing import ANYWHERE, FULL, SUBRESOLUTION, Seen, Viewer
from tests.house import House, house
from tests.scripted_origin import HANG_UP, Asked, Reply, honest

pytestmark = pytest.mark.anyio

AFTER = 5000
"""Bytes after which an origin closes the connection."""


def answers_500(body: bytes, asked: Asked) -> Reply:
    return Reply(500, {"content-type": "text/plain"}, (b"out of order",))


def hangs_up(body: bytes, asked: Asked) -> Reply:
    reply = honest(body, asked)
    [whole] = reply.pieces
    assert isinstance(whole, bytes)
    return Reply(reply.status, {**reply.headers, "content-length": str(len(whole))}, (whole[:AFTER], HANG_UP))


Failing = Callable[[bytes, Asked], Reply]
FAILING = {"500": answers_500, "hangs up": hangs_up}


def completions(frames: dict[str, bytes], how: Failing, times: int = 1_000_000) -> Any:
    """A script that makes the first `times` completions fail."""
    failed = count()

    def script(asked: Asked) -> Reply | None:
        body = frames.get(asked.path.partition("?")[0])
        is_completion = asked.range is not None and not asked.range.startswith("bytes=0-")
        return how(body, asked) if body and is_completion and next(failed) < times else None

    return script


def is_honest(seen: Seen, series: Series) -> bool:
    """True if every image that counts as complete is complete."""
    return all(
        image["digest"] == series.digest(image["index"]) for image in seen.images if image["status"] == FULL
    )


@pytest.mark.parametrize("how", FAILING)
@pytest.mark.parametrize("name", [*STACKS, "streaming"])
async def test_where_the_rest_never_comes_nothing_counts_as_whole(
    viewer: Viewer, radiograph: Series, name: str, how: str
) -> None:
    plan = STREAMING if name == "streaming" else STACKS[name].retrieve
    origin = radiograph.origin()
    origin.script = completions(origin.frames, FAILING[how])
    async with house(origin, cors=ANYWHERE) as home:
        seen = await viewer.show("stack", str(home.viewer.base_url), radiograph, plan)
    assert FULL not in seen.statuses()
    assert seen.errors[-1]["permanent"]


@pytest.mark.parametrize("how", FAILING)
@pytest.mark.parametrize("name", VOLUMES)
async def test_where_a_slice_never_comes_the_others_do(
    viewer: Viewer, volume: Series, name: str, how: str
) -> None:
    origin, broken = volume.origin(), 3

    def script(asked: Asked) -> Reply | None:
        is_broken = asked.path.partition("?")[0] == volume.frames[broken]
        return FAILING[how](volume.codestreams[broken], asked) if is_broken else None

    origin.script = script
    async with house(origin, cors=ANYWHERE) as home:
        plan = {"stages": "interleaved", "retrieveOptions": VOLUMES[name]}
        seen = await viewer.show("volume", str(home.viewer.base_url), volume, plan)
    assert is_honest(seen, volume)
    others = set(range(len(volume.frames))) - {broken}
    assert {image for image in others if FULL in seen.statuses(image)} == others
    # If an origin closes the connection repeatedly, each try adds some bytes, perhaps all.
    assert {error["index"] for error in seen.errors} <= {broken}


async def test_an_origin_that_hangs_up_once_is_not_noticed(viewer: Viewer, radiograph: Series) -> None:
    origin = radiograph.origin()
    origin.script = completions(origin.frames, hangs_up, times=1)
    async with house(origin, cors=ANYWHERE) as home:
        seen = await viewer.show("stack", str(home.viewer.base_url), radiograph, BY_RANGE)
    assert seen.statuses() == [SUBRESOLUTION, FULL]
    assert seen.digests()[-1] == radiograph.digest()
    assert (viewer.faults, seen.errors) == ([], [])


@pytest.mark.parametrize("how", FAILING)
async def test_a_last_hope_heals_what_ranges_did_not(viewer: Viewer, radiograph: Series, how: str) -> None:
    origin = radiograph.origin()
    origin.script = completions(origin.frames, FAILING[how])
    async with house(origin, cors=ANYWHERE) as home:
        app, asked = home.app.viewers, count(1)

        async def healing(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"].endswith("/frames/1") and next(asked) == 3:  # after two ranges
                origin.script = None
            await app(scope, receive, send)

        home.door._app = healing
        seen = await viewer.show("stack", str(home.viewer.base_url), radiograph, BY_RANGE_WITH_LAST_HOPE)
    assert is_honest(seen, radiograph)
    assert [stage["numberOfFailures"] for stage in seen.stages] == [0, 1, 0]
    assert (seen.statuses()[-1], seen.digests()[-1]) == (FULL, radiograph.digest())


async def losing(viewer: Viewer, home: House, then: Callable[[], None]) -> None:
    """Removes the frame from the proxy before the rest is requested, and then calls `then`."""

    async def before(asked: str) -> None:
        if not asked.startswith("bytes=0-"):
            await home.until_idle()
            then()

    await viewer.before_ranges(before)


KEPT_NO_TIME = {"stale": 0, "ttl": 0.000_001}


async def test_a_rest_that_can_not_be_had_leaves_a_part(viewer: Viewer, radiograph: Series) -> None:
    origin = radiograph.origin()
    async with house(origin, cors=ANYWHERE, cache=KEPT_NO_TIME) as home:

        def fail() -> None:
            origin.script = lambda asked: answers_500(b"", asked)

        await losing(viewer, home, fail)
        seen = await viewer.show("stack", str(home.viewer.base_url), radiograph, BY_RANGE)
    assert seen.exchanges[-1].status >= 500
    assert FULL not in seen.statuses()


async def test_the_rest_of_another_version_leaves_a_part(viewer: Viewer, radiograph: Series) -> None:
    origin = radiograph.origin()
    other = encode_htj2k(radiograph.pixels[0][::-1].copy())
    async with house(origin, cors=ANYWHERE, cache=KEPT_NO_TIME) as home:
        await losing(viewer, home, lambda: origin.frames.update({radiograph.frames[0]: other}))
        seen = await viewer.show("stack", str(home.viewer.base_url), radiograph, BY_RANGE)
    assert seen.exchanges[-1].asked["if-range"]
    assert FULL not in seen.statuses()
