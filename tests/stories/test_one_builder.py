"""A plan and a viewer build the same request for a frame, so a planned frame is a hit for the viewer."""

import imagecodecs
import pytest

from tests.codestreams import PARTS, htj2k, picture
from tests.house import cache_did, house
from tests.scripted_origin import Asked, Reply, ScriptedOrigin, frame_of, honest

pytestmark = pytest.mark.anyio

IMAGES = range(3)
OWN = {
    path: bytes(imagecodecs.jpegls_encode(picture(64, 64, seed=9))) for path in ("/jls/", "/jlsThumbnail/")
}
"""Images that the origin has besides its frames, by path."""


def static_archive() -> ScriptedOrigin:
    def script(asked: Asked) -> Reply | None:
        own = next((body for path, body in OWN.items() if path in asked.path), None)
        return honest(own, asked, label="image/jls") if own else None

    return ScriptedOrigin(script=script).with_series(
        [htj2k(picture(64, 64, seed=n), **PARTS) for n in IMAGES]
    )


@pytest.mark.parametrize(
    ("profile", "paths"),
    [("jls", ["/jls/"]), ("jlsReduced", ["/jlsThumbnail/", "/jls/"]), ("sequential", ["/frames/"])],
)
@pytest.mark.parametrize("accept", ["image/jls", "image/*", "*/*", 'multipart/related; type="image/jls"'])
async def test_what_a_plan_fetched_is_a_hit_for_a_viewer_of_its_profile(
    profile: str, paths: list[str], accept: str
) -> None:
    """No alternate is configured. The profile names paths of the origin."""
    origin = static_archive()
    asks_for = accept if "/jls/" in paths else accept.replace("jls", "jphc")
    async with house(origin) as home:
        await home.events(await home.begin_plan(profile))
        asked = len(origin.asked)
        for path in paths:
            for image in IMAGES:
                url = frame_of(image).replace("/frames/", path)
                answer = await home.viewer.get(url, headers={"accept": asks_for})
                assert (answer.status_code, cache_did(answer)) == (200, "hit"), url
        assert len(origin.asked) == asked > len(IMAGES)


async def test_a_path_that_no_profile_names_is_the_origins() -> None:
    origin = static_archive()
    async with house(origin) as home:
        answer = await home.viewer.get(frame_of(0).replace("/frames/", "/other/"))
        assert (answer.status_code, answer.headers.get("cache-status")) == (404, None)
