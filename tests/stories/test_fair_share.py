"""No caller takes the cache by asking for a frame in many ways, and what is kept beside frames counts too."""

import json
from base64 import b64encode
from typing import Any

import pytest

from tests.house import House, house
from tests.scripted_origin import SERIES, ScriptedOrigin, codestream, frame_of, instance_of

pytestmark = pytest.mark.anyio

SIZE = 200_000
NOBODY = {"accept": "image/jphc"}
ANNE, BOB = ({**NOBODY, "authorization": f"Bearer {name}"} for name in ("anne", "bob"))
MIB = 1024 * 1024


async def _hits(home: House, paths: list[str]) -> int:
    answers = [await home.viewer.get(path, headers=ANNE) for path in paths]
    assert {(answer.status_code, len(answer.content)) for answer in answers} == {(200, SIZE)}
    return sum("; hit" in answer.headers["cache-status"] for answer in answers)


@pytest.mark.parametrize("headers", [NOBODY, BOB], ids=["nobody", "bob"])
async def test_sixty_arguments_push_out_nobody_else_s_frames(headers: dict[str, str]) -> None:
    origin = ScriptedOrigin().with_series([codestream(SIZE, seed) for seed in range(25)])
    async with house(origin, cache={"bytes": 6 * MIB}) as home:
        paths = [frame_of(image) for image in range(25)]
        await _hits(home, paths)
        assert await _hits(home, paths) == 25
        for number in range(60):
            answer = await home.viewer.get(f"{paths[0]}?x={number}", headers=headers)
            assert (answer.status_code, len(answer.content)) == (200, SIZE)
            await home.until_idle()
        assert await _hits(home, paths) == 25


def coloured(uid: str) -> dict[str, Any]:
    """An instance with a palette of its own: 65,536 entries of 16 bits."""
    table = {"vr": "OW", "InlineBinary": b64encode(uid.encode().ljust(131_072)).decode()}
    tags = dict.fromkeys(("00281201", "00281202", "00281203"), table)
    sizes = {tag: {"vr": "US", "Value": [16]} for tag in ("00280010", "00280011", "00280100")}
    return instance_of(uid) | tags | sizes | {"00281101": {"vr": "US", "Value": [0, 0, 16]}}


async def test_palettes_of_many_series_count_and_take_no_more_than_their_share() -> None:
    origin = ScriptedOrigin()
    many = [f"{SERIES}{number}" for number in range(8)]
    for series in many:
        uid = series.rpartition("/")[2]
        body = codestream(100)
        origin.with_series([body, body], series)
        listed = [coloured(f"{uid}.{number + 1}") for number in range(2)]
        origin.metadata[f"{series}/metadata"] = json.dumps(listed).encode()
    async with house(origin, cache={"bytes": 24 * MIB}) as home:
        held = []
        for series in many:
            await home.events(await home.begin_plan("sequential", series))
            held.append(home.metric("cache_bytes", part="tables"))
        assert held[0] > 2 * 170_000
        assert max(held) <= 3 * MIB
        assert held[-1] > 2 * MIB
