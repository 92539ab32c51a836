"""The metrics tell how fast an origin is, what is forwarded to it, and when it is down."""

import asyncio

import pytest

from tests.house import house
from tests.scripted_origin import FRAME, Asked, Reply, ScriptedOrigin, codestream, frame_of, running

pytestmark = pytest.mark.anyio

BODY = codestream(400_000)
SINGLE = {"accept": "image/jphc"}


async def test_an_origin_s_first_byte_and_rate_are_measured_for_each_stage() -> None:
    async with house(ScriptedOrigin({FRAME: BODY})) as home:
        before = home.metric("origin_first_byte_seconds_count", origin="pacs", stage="pass")
        assert (await home.viewer.get(FRAME, headers=SINGLE)).content == BODY
        await home.viewer.get("/studies?limit=3")
        await home.until_idle()
        await home.until_inside(0)
        for stage in ("first", "completion"):
            labels = {"origin": "pacs", "stage": stage}
            assert home.metric("origin_first_byte_seconds_count", **labels) == 1
            assert home.metric("origin_bytes_per_second_count", **labels) == 1
            assert home.metric("origin_bytes_per_second_sum", **labels) > 0
        assert home.metric("origin_first_byte_seconds_count", origin="pacs", stage="pass") == before + 1
        assert home.metric("forwarded_total", origin="pacs", kind="search", status="200") == 1
        assert home.metric("forwarded_seconds_count", origin="pacs", kind="search") == 1


async def test_an_origin_whose_searches_fail_is_down_until_one_succeeds() -> None:
    is_broken = True

    def script(asked: Asked) -> Reply | None:
        return Reply(500, {}) if is_broken and asked.path.startswith("/studies?") else None

    async with house(ScriptedOrigin(script=script), wait=False) as home:
        for _ in range(6):
            assert (await home.viewer.get("/studies?limit=3")).status_code == 500
            assert home.metric("origin_up", origin="pacs") == 0, "it was never reached"
        is_broken = False
        assert (await home.viewer.get("/studies?limit=3")).status_code == 200
        assert home.metric("origin_up", origin="pacs") == 1
        is_broken = True
        for offset in range(6):  # another search each time, since the proxy keeps the one that succeeded
            await home.viewer.get(f"/studies?limit=3&offset={offset}")
        assert home.metric("origin_up", origin="pacs") == 0
        assert not home.app.origins["pacs"].health.is_doubted, "its frames are asked for all the same"


@pytest.mark.parametrize("frames", ["hits", "fetched", "failing"])
@pytest.mark.parametrize("fault", [500, 502, 503, 504, None])
async def test_an_origin_whose_searches_fail_is_down_whatever_its_frames_do(
    fault: int | None, frames: str
) -> None:
    """Without a status, the origin hangs up instead of answering."""
    is_broken = False

    def script(asked: Asked) -> Reply | None:
        if not is_broken or (asked.path.startswith("/studies/") and frames != "failing"):
            return None
        if fault is None:
            raise ConnectionError
        return Reply(fault, {})

    async with house(ScriptedOrigin(script=script).with_series([BODY] * 8), profile="single") as home:
        assert (await home.viewer.get(frame_of(0), headers=SINGLE)).status_code == 200
        await home.until_idle()
        assert home.metric("origin_up", origin="pacs") == 1
        is_broken = True
        for number in range(7):
            await home.viewer.get(f"/studies?limit=3&offset={number}")
            await home.viewer.get(frame_of(number if frames != "hits" else 0), headers=SINGLE)
            await home.until_idle()
        assert home.metric("origin_up", origin="pacs") == 0
        is_broken = False
        assert (await home.viewer.get("/studies?limit=3")).status_code == 200
        assert home.metric("origin_up", origin="pacs") == 1


async def test_the_log_says_that_an_origin_is_back_though_no_viewer_asks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    origin = ScriptedOrigin({FRAME: BODY})
    async with house(origin) as home:
        await origin.stop()
        for _ in range(6):
            assert (await home.viewer.get("/studies?limit=3")).status_code in (502, 503)
        home.app.readiness.pause = 0.01
        asking = asyncio.create_task(home.app.readiness.keep_asking())
        async with running(origin):
            await home.until(lambda: home.metric("origin_up", origin="pacs") == 1)
        asking.cancel()
    said = [record.getMessage() for record in caplog.records if record.name == "proxy.telemetry.outage"]
    assert said == ["origin is down", "origin is back"]


async def test_the_page_has_what_operators_expect_and_no_created_lines() -> None:
    async with house(ScriptedOrigin({FRAME: BODY}), cache={"bytes": "32MiB"}) as home:
        await home.viewer.get(FRAME, headers=SINGLE)
        page = (await home.admin.get("/metrics")).text
        assert "_created" not in page
        assert "python_info{" in page
        assert home.metric("cache_budget_bytes") == 32 * 1024 * 1024
        assert home.metric("connections", listener="viewers") >= 1
        assert home.metric("connections", listener="admin") >= 1


async def test_those_who_wait_for_an_origin_are_seen_in_the_metrics() -> None:
    origin = ScriptedOrigin({FRAME: BODY})
    async with house(origin) as home:
        origin.door = asyncio.Event()
        reading = asyncio.create_task(home.viewer.get(FRAME, headers=SINGLE))
        await home.until(lambda: home.metric("places_taken", bound="waiting") == 1)
        origin.door.set()
        await reading
        await home.until_inside(0)
        assert home.metric("places_taken", bound="waiting") == 0
