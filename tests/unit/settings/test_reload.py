"""The configuration changes while the service runs: a valid one is applied, an invalid one changes
nothing."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from proxy.plan.choice import CurrentChoice
from proxy.settings.model import load
from proxy.settings.reload import Reload
from proxy.telemetry.telemetry import Telemetry
from tests.house import house, read_until
from tests.scripted_origin import FRAME, ScriptedOrigin, codestream
from tests.stories.test_viewers import BODY, FIRST, SINGLE, stops_in_completion

pytestmark = pytest.mark.anyio

ORIGIN = "origins: [{name: pacs, url: http://pacs}]\n"
GOOD = ORIGIN + "profile: mine\nprofiles: {mine: {first: 128KiB}}\n"


async def reload_of(path: Path, text: str) -> tuple[Reload, CurrentChoice, Telemetry]:
    await asyncio.to_thread(path.write_text, text)
    settings = await asyncio.to_thread(load, path)
    telemetry = await asyncio.to_thread(Telemetry)
    chosen = CurrentChoice(await asyncio.to_thread(settings.choice))
    reload = Reload(path, settings, chosen, telemetry)
    assert not await reload.look()
    return reload, chosen, telemetry


def value(telemetry: Telemetry, name: str, **labels: str) -> float | None:
    return telemetry.metrics.registry.get_sample_value(f"progressive_proxy_{name}", labels)


async def test_a_good_file_takes_effect(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    reload, chosen, telemetry = await reload_of(path, ORIGIN)
    await asyncio.to_thread(path.write_text, GOOD)
    assert await reload.look()
    assert chosen.now.choose(None, "pacs", None) == "mine"
    assert chosen.now.firsts["mine"] == 128 * 1024
    assert value(telemetry, "reloads_total", result="good") == 1
    assert not await reload.look()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("origins: [\n", "not YAML"),
        (ORIGIN + "profiles: {mine: {stages: [{id: a, decimate: 0}]}}\n", "decimate"),
        (ORIGIN + "profile: nowhere\n", "there is no profile 'nowhere'"),
        ("", "origins"),
    ],
)
async def test_a_bad_file_changes_nothing_and_is_told(
    tmp_path: Path, text: str, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "config.yaml"
    reload, chosen, telemetry = await reload_of(path, GOOD)
    before = chosen.now
    await asyncio.to_thread(path.write_text, text)
    assert not await reload.look()
    assert chosen.now is before
    assert value(telemetry, "configuration_is_good") == 0
    assert value(telemetry, "reloads_total", result="bad") == 1
    assert fault in str(getattr(caplog.records[-1], "faults", ""))
    await asyncio.to_thread(path.write_text, GOOD)
    assert await reload.look()
    assert value(telemetry, "configuration_is_good") == 1


async def test_a_file_that_is_gone_for_a_moment_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    reload, chosen, _ = await reload_of(path, GOOD)
    before = chosen.now
    await asyncio.to_thread(path.unlink)
    assert not await reload.look()
    assert chosen.now is before


async def test_what_needs_a_restart_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    path = tmp_path / "config.yaml"
    reload, _, _ = await reload_of(path, GOOD)
    await asyncio.to_thread(
        path.write_text, GOOD + "cache: {bytes: 2GiB}\nlisten: {grace: 5}\ncors: {max_age: 5}\n"
    )
    assert await reload.look()
    assert getattr(caplog.records[-1], "needs_restart", None) == ["listen", "cors", "cache"]


async def test_a_reload_drops_no_viewer(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    barrier = asyncio.Event()
    async with house(stops_in_completion(1000, barrier)) as home:
        async with home.viewer.stream("GET", FRAME, headers=SINGLE) as answer:
            chunks = answer.aiter_raw()
            got = await read_until(chunks, FIRST)
            await asyncio.to_thread(path.write_text, ORIGIN)
            reload = Reload(path, home.app.settings, home.app.chosen, home.app.telemetry)
            await reload.look()
            await asyncio.to_thread(path.write_text, GOOD)
            assert await reload.look()
            other = await home.viewer.get(FRAME.replace("frames/1", "frames/2"), headers=SINGLE)
            assert other.status_code == 404
            assert "bytes=0-131071" in home.origin.ranges
            barrier.set()
            got += b"".join([chunk async for chunk in chunks])
        assert got == BODY


async def test_a_request_an_origin_and_a_rule_choose_the_profile() -> None:
    body = codestream(300_000)
    settings: dict[str, Any] = {
        "profiles": {"wide": {"first": "128KiB"}, "narrow": {"first": "16KiB"}},
        "choose": [{"profile": "narrow", "modality": "CT", "at_least": 2}],
        "origin": {"profile": "wide"},
    }
    async with house(ScriptedOrigin({FRAME: body}), **settings) as home:
        for headers, query, first in (
            ({}, "?a", "bytes=0-131071"),
            ({"retrieve-profile": "narrow"}, "?b", "bytes=0-16383"),
            ({}, "?c&profile=sequential", "bytes=0-65535"),
        ):
            answer = await home.viewer.get(FRAME + query, headers=SINGLE | headers)
            assert answer.content == body
            assert home.origin.ranges[-2] == first
