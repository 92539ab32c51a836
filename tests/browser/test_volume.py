"""A volume viewport with Cornerstone3D's stock plan `interleaved`."""

import pytest

from tests.browser.pictures import SLICES, Series
from tests.browser.plans import OHIF, VOLUMES
from tests.browser.viewing import ANYWHERE, FULL, SUBRESOLUTION, Viewer
from tests.house import house

pytestmark = pytest.mark.anyio

LOADED_ONCE = {7, 0, 15}
"""Images that `initialImages` requests whole (0-based)."""
WITH_FIRST = {1, 3, 5, 9, 11, 13}
"""Images that come in a smaller size first: the second and fourth of each four, if not loaded already."""


@pytest.mark.parametrize("is_hot", [False, True], ids=["cold", "hot"])
@pytest.mark.parametrize("name", VOLUMES)
async def test_every_slice_of_a_volume_comes_whole(
    viewer: Viewer, volume: Series, name: str, is_hot: bool
) -> None:
    origin = volume.origin()
    async with house(origin, cors=ANYWHERE) as home:
        if is_hot:
            for frame in volume.frames:
                await home.viewer.get(frame)
            await home.until_idle()
        plan = {"stages": "interleaved", "retrieveOptions": VOLUMES[name]}
        seen = await viewer.show("volume", str(home.viewer.base_url), volume, plan)
        await home.until_idle()
    for image in range(SLICES):
        assert seen.statuses(image)[-1] == FULL
        assert seen.digests(image)[-1] == volume.digest(image)
        assert seen.statuses(image) == sorted(seen.statuses(image))
        own = [status for status in seen.statuses(image) if status >= SUBRESOLUTION]
        assert own == ([SUBRESOLUTION, FULL] if image in WITH_FIRST else [FULL])
    assert (viewer.faults, seen.errors) == ([], [])
    assert [stage["numberOfFailures"] for stage in seen.stages] == [0] * 8
    # The proxy requests no range of the origin twice.
    assert all(
        len(set(origin.ranges_of(frame))) == len(origin.ranges_of(frame)) <= 2 for frame in volume.frames
    )
    drawn = await viewer.looks_like("volume", volume)
    assert drawn["differing"] == 0
    assert 0.1 < drawn["lit"] < 0.9


@pytest.mark.parametrize("stages", ["single", "interleaved"])
async def test_without_options_every_slice_is_loaded_once_and_whole(
    viewer: Viewer, volume: Series, stages: str
) -> None:
    """OHIF uses `interleaved` without options for volumes."""
    origin = volume.origin()
    async with house(origin, cors=ANYWHERE) as home:
        root = str(home.viewer.base_url)
        seen = await viewer.show("volume", root, volume, {"stages": stages}, headers=OHIF)
    for image, frame in enumerate(volume.frames):
        own = [status for status in seen.statuses(image) if status >= SUBRESOLUTION]
        assert (own, seen.digests(image)[-1]) == ([FULL], volume.digest(image))
        assert seen.ranges(frame) == [None]
    assert {each.asked["accept"] for each in seen.exchanges} == {OHIF["Accept"]}
    assert (viewer.faults, seen.errors) == ([], [])
    drawn = await viewer.looks_like("volume", volume)
    assert drawn["differing"] == 0
