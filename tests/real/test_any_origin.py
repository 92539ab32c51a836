"""Third-party origins: every frame from the proxy equals the frame from the origin."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest

from proxy.codecs.htj2k import decode_htj2k
from proxy.codestream.header import read_header
from tests.house import House, cache_did, house
from tests.real.conftest import RealOrigin
from tests.real.plain import CORNERSTONE, frame_of, own_status, taken_apart
from tests.scripted_origin import ScriptedOrigin

pytestmark = [pytest.mark.anyio, pytest.mark.demo]

FIRST = 65536
VIEWERS = 16
ENVELOPE = 1024
"""More bytes than any multipart envelope here has."""
SINGLE = {"accept": "image/jphc"}
AS_STORED = {"accept": CORNERSTONE}
ESTABLISHED = "01"


@asynccontextmanager
async def in_front_of(real: RealOrigin, **settings: Any) -> AsyncIterator[House]:
    """Runs the proxy in front of a real origin, with a viewer that may read. The scripted origin is idle."""
    async with house(ScriptedOrigin(), origin={"url": real.url}, **settings) as home:
        home.viewer.headers.update(real.credentials)
        yield home
        assert home.origin.asked == []


def received(home: House) -> float:
    """Bytes of frames received from the origin, including envelopes."""
    stages = ("first", "completion")
    return sum(home.metric("origin_bytes_total", origin="pacs", stage=stage) for stage in stages)


def test_the_origin_gives_the_very_codestreams_that_it_was_given(real: RealOrigin) -> None:
    for image in real.images:
        if image.is_htj2k:
            for path, stored in zip(image.paths, image.stored, strict=True):
                # Frames in a DICOM file have an even length (PS3.5 A.4).
                assert real.body(path) in (stored, stored + b"\0"), path


async def test_each_frame_is_the_origins_own_cold_and_hot(real: RealOrigin) -> None:
    async with in_front_of(real) as home:
        for path in real.paths(is_htj2k=True):
            cold = await home.viewer.get(path, headers=SINGLE)
            assert (cold.status_code, cache_did(cold)) == (200, "fwd=miss; stored"), (path, cold.text[:300])
            assert cold.content == real.body(path)
            assert cold.headers["content-type"].startswith("image/jphc")
            await home.until_idle()
            hot = await home.viewer.get(path, headers=SINGLE)
            assert (hot.content, cache_did(hot)) == (real.body(path), "hit")


async def test_first_bytes_and_rest_make_the_origins_own_frame(real: RealOrigin) -> None:
    async with in_front_of(real) as home:
        for path in real.paths(is_htj2k=True):
            whole = real.body(path)
            first = await home.viewer.get(path, headers=SINGLE | {"range": f"bytes=0-{FIRST - 1}"})
            assert (first.status_code, first.content) == (206, whole[:FIRST]), path
            assert first.headers["content-range"].endswith(f"/{len(whole)}")
            rest = await home.viewer.get(path, headers=SINGLE | {"range": f"bytes={FIRST}-"})
            assert rest.status_code == (206 if len(whole) > FIRST else 416)
            assert first.content + rest.content == whole
            # If the origin gives no strong validator, the ETag is weak until all bytes have arrived.
            is_strong = first.headers["etag"].startswith('"')
            assert first.headers["etag"] == rest.headers["etag"] or not is_strong


async def test_a_first_range_brings_no_more_than_itself(with_ranges: RealOrigin) -> None:
    careful = {"first": "64KiB", "complete": "on-demand"}
    paths = with_ranges.paths(is_htj2k=True)
    async with in_front_of(with_ranges, profiles={"careful": careful}, profile="careful") as home:
        for path in paths:
            answer = await home.viewer.get(path, headers=SINGLE | {"range": f"bytes=0-{FIRST - 1}"})
            assert answer.content == with_ranges.body(path)[:FIRST]
        await home.until_idle()
        wanted = sum(min(FIRST, len(with_ranges.body(path))) for path in paths)
        assert wanted <= received(home) < wanted + ENVELOPE * len(paths)


async def test_in_multipart_it_is_the_origins_own_too_whole_and_by_range(real: RealOrigin) -> None:
    async with in_front_of(real) as home:
        for path in real.paths(is_htj2k=True):
            first = await home.viewer.get(path, headers=AS_STORED | {"range": f"bytes=0-{FIRST - 1}"})
            whole = await home.viewer.get(path, headers=AS_STORED)
            assert (first.status_code, whole.status_code) == (206, 200), path
            assert whole.content[:FIRST] == first.content
            part = taken_apart(whole.content)
            assert part.body == real.body(path)
            assert part.is_labelled_htj2k, part.label


async def test_sixteen_viewers_at_once_have_one_fetch(real: RealOrigin) -> None:
    paths = real.paths(is_htj2k=True)
    async with in_front_of(real) as home:
        answers = await asyncio.gather(
            *(home.viewer.get(path, headers=SINGLE) for path in paths for _ in range(VIEWERS))
        )
        for number, answer in enumerate(answers):
            path = paths[number // VIEWERS]
            assert answer.status_code == 200, (path, answer.text[:300])
            assert answer.content == real.body(path), path
        await home.until_inside(0)  # a response counts a moment after its last byte
        assert home.metric("frame_answers_total", status="200", cache="miss") == len(paths)
        bodies = sum(len(real.body(path)) for path in paths)
        assert bodies <= received(home) < bodies + ENVELOPE * len(paths)


async def test_what_is_not_htj2k_goes_through_with_the_same_bytes(real: RealOrigin) -> None:
    async with in_front_of(real) as home:
        for path in real.paths(is_htj2k=False):
            cold = await home.viewer.get(path, headers=AS_STORED)
            assert cold.status_code == 200, (path, cold.text[:300])
            assert "content-encoding" not in cold.headers
            assert any(frame_of(cold).is_as(own) for own in real.own[path]), (path, frame_of(cold).label)
            await home.until_idle()
            hot = await home.viewer.get(path, headers=AS_STORED)
            assert (hot.content, cache_did(hot)) == (cold.content, "hit")


async def test_a_palette_that_came_first_changes_nothing_for_the_others(real: RealOrigin) -> None:
    async with in_front_of(real) as home:
        for path in real.paths(is_htj2k=False) + real.paths(is_htj2k=True)[::-1]:
            answer = await home.viewer.get(path, headers=AS_STORED)
            assert answer.status_code == 200, (path, answer.text[:300])
            assert frame_of(answer).body in [own.body for own in real.own[path]], path


async def test_a_thumbnail_is_the_frames_own_resolution(real: RealOrigin) -> None:
    async with in_front_of(real) as home:
        for path in real.paths(is_htj2k=True):
            answer = await home.viewer.get(f"{path}?fsiz=64,64", headers=SINGLE)
            assert answer.status_code == 200, (path, answer.text[:300])
            assert "not-reduced" not in answer.headers
            whole = real.body(path)
            header, pixels = read_header(whole), decode_htj2k(answer.content)
            assert header is not None
            small = [decode_htj2k(whole, reduce) for reduce in range(header.decompositions + 1)]
            wanted = [each for each in small if min(each.shape[:2]) >= 64][-1]
            assert np.array_equal(pixels, wanted), (path, pixels.shape)


async def test_a_plan_loads_a_series_and_its_viewers_wait_for_nothing(real: RealOrigin) -> None:
    async with in_front_of(real) as home:
        home.admin.headers.update(real.credentials)
        for image in real.images:
            if image.is_htj2k:
                series = image.path.partition("/instances/")[0]
                *frames, (_, end) = await home.events(await home.begin_plan("sequential", series))
                assert end["state"] == "done", (image.name, end, frames)
                for path in image.paths:
                    answer = await home.viewer.get(path, headers=SINGLE)
                    assert (answer.content, cache_did(answer)) == (real.body(path), "hit")


async def test_a_frame_that_is_not_there_is_refused_as_the_origin_refuses_it(real: RealOrigin) -> None:
    missing = f"{real.images[0].path}/frames/99"
    own = own_status(real.url + missing, real.credentials)
    assert 400 <= own < 500
    async with in_front_of(real) as home:
        for _ in range(2):
            answer = await home.viewer.get(missing, headers=SINGLE)
            assert answer.status_code == own
        await home.until_inside(0)
        assert home.metric("frame_answers_total", status=str(own), cache="miss") == 2


async def test_who_proves_nothing_is_refused_whoever_came_before(orthanc_basic: RealOrigin) -> None:
    path = orthanc_basic.paths(is_htj2k=True)[0]
    async with in_front_of(orthanc_basic) as home:
        assert (await home.viewer.get(path, headers=SINGLE)).status_code == 200
        wrong = httpx.BasicAuth("reader", "a guess")
        stranger = await home.viewer.get(path, headers=SINGLE, auth=wrong)
        del home.viewer.headers["authorization"]
        nobody = await home.viewer.get(path, headers=SINGLE)
        for refused in (stranger, nobody):
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == 'Basic realm="Orthanc Secure Area"'


async def test_a_connection_that_the_origin_closed_meanwhile_costs_no_answer(
    orthanc_open: RealOrigin,
) -> None:
    port = urlsplit(orthanc_open.url).port
    assert port is not None
    used: set[str] = set()
    async with in_front_of(orthanc_open) as home:
        for path in orthanc_open.paths(is_htj2k=True)[:3]:
            if used:
                await home.until(partial(is_one_gone, used, port))  # Orthanc keeps idle ones for a second
            answer = await home.viewer.get(path, headers=SINGLE)
            assert (answer.status_code, answer.content) == (200, orthanc_open.body(path))
            used = open_connections(port)  # none if the machine is so busy that it is closed already


def is_one_gone(used: set[str], port: int) -> bool:
    return not used <= open_connections(port)


def open_connections(port: int) -> set[str]:
    """The local addresses of all connections to a port."""
    try:
        rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    except OSError:
        pytest.skip("only Linux lists open connections")
    fields = [row.split() for row in rows]
    return {
        here for _, here, there, state, *_ in fields if (there[-4:], state) == (f"{port:04X}", ESTABLISHED)
    }
