"""How a completion is guarded against another version, and how the proxy treats an origin in trouble."""

from collections import Counter
from typing import Any

import httpx
import pytest

from proxy.errors import OriginBusy, OriginError, OriginRefused, OriginUnreachable
from proxy.origin.health import AGAIN_FOR_EACH, FAILURES, MOST_AGAIN, REST, Health
from proxy.telemetry.telemetry import Telemetry
from tests.codestreams import PARTS, htj2k, picture
from tests.house import cache_did, house
from tests.scripted_origin import FRAME, Asked, Reply, ScriptedOrigin, frame_of, honest

pytestmark = pytest.mark.anyio

SINGLE = {"accept": "image/jphc"}
OLD = htj2k(picture(512, 512, seed=1), **PARTS)
NEW = htj2k(picture(512, 512, seed=2), **PARTS)
NEW_AS_LONG = NEW[: len(OLD)].ljust(len(OLD), b"\0")


def trusting(policy: str | None) -> dict[str, Any]:
    made = {"first": "64KiB"} | ({"validators": policy} if policy else {})
    return {"profiles": {"p": made}, "profile": "p"}


def weak(*versions: bytes) -> Any:
    """A server whose weak ETag depends on the range. Each request gets the next version of the frame."""
    left = list(versions)

    def script(asked: Asked) -> Reply | None:
        if asked.path != FRAME:
            return None
        body = left.pop(0) if len(left) > 1 else left[0]
        return honest(body, asked, etag=f'W/"{asked.range}"')

    return script


@pytest.mark.parametrize("policy", [None, "length", "off"])
async def test_weak_etags_that_differ_pass_where_length_and_markers_agree(policy: str | None) -> None:
    async with house(ScriptedOrigin(script=weak(OLD)), **trusting(policy)) as home:
        answer = await home.viewer.get(FRAME, headers=SINGLE)
        assert answer.content == OLD
        assert home.origin.ranges == ["bytes=0-65535", "bytes=65536-"]
        assert home.metric("unguarded_completions_total", origin="pacs") == 1
        assert all("if-range" not in asked.headers for asked in home.origin.asked)


async def test_strict_takes_nothing_that_is_not_guarded_and_learns_it() -> None:
    origin = ScriptedOrigin().with_series([OLD, OLD])

    def script(asked: Asked) -> Reply | None:
        body = origin.frames.get(asked.path)
        return honest(body, asked, etag=f'W/"{asked.range}"') if body else None

    origin.script = script
    async with house(origin, **trusting("strict")) as home:
        for image in (0, 1):
            assert (await home.viewer.get(frame_of(image), headers=SINGLE)).content == OLD
            await home.until_idle()
        assert origin.ranges_of(frame_of(0)) == ["bytes=0-65535", None]
        assert origin.ranges_of(frame_of(1)) == [None]


@pytest.mark.parametrize("policy", [None, "length"])
async def test_another_version_of_the_same_length_is_found_out_by_its_markers(policy: str | None) -> None:
    async with house(ScriptedOrigin(script=weak(OLD, NEW_AS_LONG)), **trusting(policy)) as home:
        with pytest.raises(httpx.TransportError):  # the response ends before its last byte
            await home.viewer.get(FRAME, headers=SINGLE)
        await home.until_idle()
        assert home.metric("mismatches_total", origin="pacs", reason="markers") == 1
        answer = await home.viewer.get(FRAME, headers=SINGLE)
        assert (answer.content, cache_did(answer)) == (NEW_AS_LONG, "hit")


async def test_length_means_length_even_where_strong_etags_differ() -> None:
    def script(asked: Asked) -> Reply | None:
        return honest(OLD, asked, etag=f'"{asked.range}"') if asked.path == FRAME else None

    async with house(ScriptedOrigin(script=script), **trusting("length")) as home:
        assert (await home.viewer.get(FRAME, headers=SINGLE)).content == OLD


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_viewer_s_fetch_is_asked_again_where_the_origin_was_busy_for_a_moment(status: int) -> None:
    seen: Counter[str | None] = Counter()

    def script(asked: Asked) -> Reply | None:
        if asked.path != FRAME:
            return None
        seen[asked.range] += 1
        return Reply(status, {}) if seen[asked.range] == 1 else None

    async with house(ScriptedOrigin({FRAME: OLD}, script)) as home:
        assert (await home.viewer.get(FRAME, headers=SINGLE)).content == OLD
        assert set(seen.values()) == {2}
        assert home.metric("asked_again_total", origin="pacs") == len(seen)


async def test_it_is_asked_no_more_than_twice_again_and_the_viewer_hears_what_the_origin_said() -> None:
    origin = ScriptedOrigin(script=lambda asked: Reply(504, {}) if asked.path == FRAME else None)
    async with house(origin) as home:
        answer = await home.viewer.get(FRAME, headers=SINGLE)
        assert (answer.status_code, len(origin.frame_requests)) == (504, 3)


async def test_an_origin_that_fails_again_and_again_is_left_alone_and_hits_go_on() -> None:
    is_well = True
    origin = ScriptedOrigin().with_series([OLD, OLD, OLD])
    origin.script = lambda asked: None if is_well else Reply(502, {})
    async with house(origin) as home:
        assert (await home.viewer.get(frame_of(0), headers=SINGLE)).content == OLD
        await home.until_idle()
        is_well = False
        for _ in range(2):
            assert (await home.viewer.get(frame_of(1), headers=SINGLE)).status_code in (502, 503)
        asked = len(origin.asked)
        left_alone = await home.viewer.get(frame_of(2), headers=SINGLE)
        assert (left_alone.status_code, len(origin.asked)) == (503, asked)
        assert 1 <= int(left_alone.headers["retry-after"]) <= REST
        assert home.metric("origin_up", origin="pacs") == 0
        hit = await home.viewer.get(frame_of(0), headers=SINGLE)
        assert (hit.content, cache_did(hit)) == (OLD, "hit")


@pytest.mark.parametrize("error", [OriginRefused(404), OriginBusy(429, None), OriginBusy(503, 1.0)])
def test_what_an_origin_says_on_purpose_is_no_failure(error: OriginError) -> None:
    health = Health("pacs", Telemetry())
    for _ in range(2 * FAILURES):
        health.note(error)
    assert not health.is_doubted
    health.note(OriginUnreachable("x"))
    assert not health.is_resting


def test_few_are_asked_again() -> None:
    health = Health("pacs", Telemetry())
    assert sum(health.may_ask_again() for _ in range(100)) == MOST_AGAIN
    for _ in range(int(1 / AGAIN_FOR_EACH) + 1):
        health.well()
    assert [health.may_ask_again(), health.may_ask_again()] == [True, False]


async def test_an_origin_that_is_not_there_is_said_to_be() -> None:
    origin = ScriptedOrigin({FRAME: OLD})
    async with house(origin) as home:
        await origin.stop()
        answer = await home.viewer.get(FRAME, headers=SINGLE)
        assert answer.status_code in (502, 503, 504)
