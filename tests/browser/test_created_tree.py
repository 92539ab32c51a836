"""The real Cornerstone3D with a tree that `create` wrote, directly and through the proxy."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from proxy.cli import main
from proxy.commands.processes import Children, address, listen
from proxy.demo.origin import run
from tests.browser.pictures import Series, radiograph, volume
from tests.browser.plans import BY_RANGE
from tests.browser.viewing import ANYWHERE, FULL, SUBRESOLUTION, Viewer
from tests.house import house
from tests.scripted_origin import ScriptedOrigin

pytestmark = pytest.mark.anyio


def save(series: Series, folder: Path) -> None:
    """Writes the series as uncompressed DICOM files."""
    for image, pixels in enumerate(series.pixels):
        dataset = Dataset.from_json(series._instance(image))
        del dataset.AvailableTransferSyntaxUID
        dataset.PixelData = pixels.tobytes()
        dataset["PixelData"].VR = "OW"
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.save_as(folder / f"{dataset.SOPInstanceUID}.dcm", enforce_file_format=True)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serves a tree with both series and yields the URL up to /studies."""
    folder = tmp_path_factory.mktemp("tree")
    (folder / "files").mkdir()
    for series in (radiograph(), volume()):
        save(series, folder / "files")
    assert main(["create", str(folder / "files"), "-o", str(folder / "tree")]) == 0
    with Children() as children, listen() as listener:
        children.start("tree", run, listener, str(folder / "tree"))
        yield "http://{}:{}".format(*address(listener))


async def test_a_created_stack_is_shown_progressively_with_its_own_pixels(
    viewer: Viewer, served: str
) -> None:
    async with house(ScriptedOrigin(), origin={"url": served}, cors=ANYWHERE) as home:
        seen = await viewer.show("stack", str(home.viewer.base_url), radiograph(), BY_RANGE)
    assert seen.statuses() == [SUBRESOLUTION, FULL]
    assert seen.digests()[-1] == radiograph().digest()
    assert (viewer.faults, seen.errors) == ([], [])


async def test_a_created_volume_is_shown_with_its_own_pixels(viewer: Viewer, served: str) -> None:
    async with house(ScriptedOrigin(), origin={"url": served}, cors=ANYWHERE) as home:
        seen = await viewer.show("volume", str(home.viewer.base_url), volume(), {"stages": "interleaved"})
    assert (viewer.faults, seen.errors) == ([], [])
    assert (await viewer.looks_like("volume", volume()))["differing"] == 0
