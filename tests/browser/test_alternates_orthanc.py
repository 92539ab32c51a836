"""A whole study of uncompressed images on a real Orthanc, which has no HTJ2K, loads progressively."""

import json
from collections.abc import Iterator

import pytest
from pydicom import Dataset

from tests.browser.pictures import Series
from tests.browser.serving import EXPLICIT
from tests.browser.test_alternates import (
    PLANS,
    VOLUMES,
    Uncompressed,
    charls,
    made,
    root,
    slices,
    smaller,
    viewer,
)
from tests.browser.test_volume import WITH_FIRST
from tests.browser.viewing import ANYWHERE, FULL, SUBRESOLUTION, Viewer
from tests.house import house
from tests.real.servers import orthanc
from tests.real.study import Image
from tests.scripted_origin import ScriptedOrigin
from tests.stories.test_alternates import ALTERNATES

__all__ = ["charls", "slices", "viewer"]  # fixtures

pytestmark = [pytest.mark.anyio, pytest.mark.demo]

STACKS = ("signed CT", "unsigned, 12 bits", "colour")


def images(series: Series) -> Iterator[Image]:
    """The images of a series, as an archive receives them."""
    for told, pixels in zip(json.loads(series.metadata), series.pixels, strict=True):
        dataset = Dataset.from_json(told)
        del dataset.AvailableTransferSyntaxUID
        dataset.PatientID = "uncompressed"
        if pixels.ndim == 3:
            dataset.PlanarConfiguration = 0
        yield Image(dataset.SOPInstanceUID, dataset, EXPLICIT, (pixels.tobytes(),))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Runs Orthanc with all images and yields the base URL of its DICOMweb."""
    held = [image for name in (*STACKS, "volume") for image in images(made(name))]
    with orthanc(tmp_path_factory.mktemp("orthanc"), held) as url:
        yield url


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest) -> Uncompressed:
    return made(request.param)


@pytest.mark.parametrize("plan", PLANS)
async def test_a_stack(viewer: Viewer, archive: str, stack: Uncompressed, plan: str) -> None:
    async with house(ScriptedOrigin(), origin={"url": archive}, cors=ANYWHERE, alternates=ALTERNATES) as home:
        seen = await viewer.show("stack", root(home), stack, PLANS[plan][0])
    scale = 4 if plan == "jlsReduced" else stack.by_range
    assert seen.statuses() == [SUBRESOLUTION, FULL]
    assert seen.sizes() == [smaller(stack, scale), smaller(stack, 1)]
    assert seen.digests()[-1] == stack.digest()
    assert all(render["lit"] > 0.3 for render in seen.renders)
    assert (viewer.faults, seen.errors) == ([], [])
    assert (await viewer.looks_like("stack", stack))["differing"] == 0


@pytest.mark.parametrize("plan", VOLUMES)
async def test_a_volume(viewer: Viewer, archive: str, slices: Uncompressed, plan: str) -> None:
    async with house(ScriptedOrigin(), origin={"url": archive}, cors=ANYWHERE, alternates=ALTERNATES) as home:
        seen = await viewer.show("volume", root(home), slices, VOLUMES[plan])
    for image in range(len(slices.frames)):
        own = [status for status in seen.statuses(image) if status >= SUBRESOLUTION]
        assert own == ([SUBRESOLUTION, FULL] if image in WITH_FIRST else [FULL])
        assert seen.digests(image)[-1] == slices.digest(image)
    assert (viewer.faults, seen.errors) == ([], [])
    assert (await viewer.looks_like("volume", slices))["differing"] == 0
