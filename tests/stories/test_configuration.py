"""The configuration over the admin API: what is in force, and what another file would change."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.house import House, house
from tests.scripted_origin import ScriptedOrigin

pytestmark = pytest.mark.anyio


async def change(home: House, text: str | None = None) -> dict[str, Any]:
    path = "/v1/configuration/change"
    answer: httpx.Response
    if text is None:
        answer = await home.admin.get(path)
    else:
        answer = await home.admin.post(path, content=text, headers={"content-type": "application/yaml"})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_it_tells_each_value_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    async with house(ScriptedOrigin(), file=file, cache={"bytes": 1 << 26}) as home:
        told = (await home.admin.get("/v1/configuration")).json()
        values = {each["key"]: each for each in told["values"]}
        assert told["file"] == str(file)
        line = 1 + (await asyncio.to_thread(file.read_text)).splitlines().index(f'  "bytes": {1 << 26}')
        assert values["cache.bytes"] == {
            "key": "cache.bytes",
            "value": 1 << 26,
            "source": "file",
            "at": f"{file}:{line}",
        }
        assert values["cache.ttl"]["source"] == "default"
        assert values["origins[pacs].url"]["value"] == home.origin.url


async def test_a_file_is_compared_before_it_counts(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    async with house(ScriptedOrigin(), file=file, cache={"bytes": 1 << 26}) as home:
        assert await change(home) == {"faults": [], "differences": []}
        text = (await asyncio.to_thread(file.read_text)).replace(str(1 << 26), str(1 << 27))
        asked = await change(home, text)
        [difference] = asked["differences"]
        assert (difference["key"], difference["before"], difference["after"]) == (
            "cache.bytes",
            1 << 26,
            1 << 27,
        )
        assert difference["takes"] == "with a restart"
        assert (await change(home))["differences"] == []  # nothing was changed
        await asyncio.to_thread(file.write_text, text)
        assert await change(home) == asked
        values = {each["key"]: each for each in (await home.admin.get("/v1/configuration")).json()["values"]}
        assert values["cache.bytes"]["value"] == 1 << 26


@pytest.mark.parametrize("text", ["cache: {byts: 1}", "a: [", "", "- 1", "a: &a [*a]"])
async def test_a_bad_text_is_told_and_harms_nobody(tmp_path: Path, text: str) -> None:
    async with house(ScriptedOrigin(), file=tmp_path / "config.yaml") as home:
        told = await change(home, text)
        assert told["faults"]
        assert told["differences"] == []


async def test_a_body_that_is_no_text_is_refused() -> None:
    async with house(ScriptedOrigin()) as home:
        answer = await home.admin.post("/v1/configuration/change", content=b"\xff\xfe")
        assert (answer.status_code, answer.json()["title"]) == (400, "BadRequest")
        assert (await change(home))["faults"] == ["there is no file"]
