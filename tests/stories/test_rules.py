"""Rules about a viewer's headers and about the series decide how frames are fetched."""

import pytest

from tests.house import house
from tests.scripted_origin import ScriptedOrigin, codestream, frame_of
from tests.stories.test_alternates import described

pytestmark = pytest.mark.anyio

BODIES = [codestream(200_000, seed) for seed in range(3)]
NAMED = {"0008103E": "Scout of the thorax", "00180015": "CHEST", "00280010": 512, "00280011": 512}


def ranges(origin: ScriptedOrigin, number: int) -> list[str | None]:
    return [asked.range for asked in origin.asked if asked.path.startswith(frame_of(number))]


async def test_a_header_of_the_viewer_chooses_the_profile() -> None:
    origin = described(ScriptedOrigin().with_series(BODIES))
    rule = {"profile": "single", "header": {"X-Viewer": "tablet*"}}
    async with house(origin, choose=[rule]) as home:
        for number, headers in enumerate([{"x-viewer": "Tablet-7"}, {"x-viewer": "desktop"}, {}]):
            response = await home.viewer.get(frame_of(number), headers=headers)
            assert response.status_code == 200
            assert BODIES[number] in response.content
        assert ranges(origin, 0) == [None]
        assert ranges(origin, 1)[0] == ranges(origin, 2)[0] == "bytes=0-65535"


async def test_the_series_chooses_the_profile_once_its_metadata_is_known() -> None:
    origin = described(ScriptedOrigin().with_series(BODIES), more=NAMED)
    rule = {
        "profile": "single",
        "description": "*scout*",
        "body_part": ["CHEST", "ABDOMEN"],
        "size_at_most": "512x512",
    }
    async with house(origin, choose=[rule]) as home:
        await home.viewer.get(frame_of(0))
        lists = home.app._lists
        await home.until(lambda: any(lists.held(key) for key in lists._kept))
        await home.viewer.get(frame_of(1))
        assert ranges(origin, 1) == [None]
