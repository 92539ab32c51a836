"""The pictures that the demo shows: five real ones from packages, and two that are named synthetic."""

import importlib.util
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from proxy.codecs.jobs import Alternate
from proxy.demo.attributes import mark_synthetic, neutral, number
from proxy.demo.synthetic import LARGE_EDGE, SLICES, ct_slice, large_radiograph
from proxy.errors import ConfigurationError

RECIPE = "demo-1"
"""Changes whenever the pictures do; whoever keeps them encoded keeps this with them."""
ALTERNATES = {"jls": Alternate("jpegls"), "jlsThumbnail": Alternate("jpegls", scale=4)}
"""What they are encoded as beside HTJ2K, by the name that stands in URLs instead of `frames`."""

_SERIES_HOW = f"{SLICES} slices made from one real slice: scaled and bent slowly, with seeded noise"
_LARGE_HOW = "The middle of a real radiograph, enlarged bilinearly, with seeded noise"


@dataclass(frozen=True)
class PackagedFile:
    """One file of a package."""

    package: str
    """The name by which it is imported."""
    path: str
    """Below the package."""


_CHEST = PackagedFile("data_store", "data/RG1_UNCR.dcm")
_CT = PackagedFile("data_store", "data/693_UNCR.dcm")
_REAL = (
    ("cr-chest", "CR chest 1841x1955", _CHEST),
    ("cr-leg", "CR leg 1760x1760", PackagedFile("data_store", "data/RG3_UNCR.dcm")),
    ("mr-shoulder", "MR shoulder 1024x1024", PackagedFile("data_store", "data/MR2_UNCR.dcm")),
    ("ct-head", "CT head 512x512", _CT),
    ("dx-cat", "DX thorax of a cat 3072x2614", PackagedFile("deid_data", "data/animals/cat.dcm")),
)


@dataclass(frozen=True)
class DemoInstance:
    """One instance, with its frames not yet read."""

    dataset: Dataset
    """Its attributes, without pixels."""
    frames: Callable[[], list[NDArray[Any]]]
    """Reads or makes its frames, (rows, columns) each, in the order of frame_number."""


@dataclass(frozen=True)
class DemoPicture:
    """What a viewer opens as one: a study of one series."""

    name: str
    """A word for command lines and tables."""
    title: str
    """What a person reads; says "synthetic" where it is."""
    is_synthetic: bool
    """Whether its pixels were made."""
    instances: tuple[DemoInstance, ...]
    """In the order of InstanceNumber."""


def pictures() -> tuple[DemoPicture, ...]:
    """All pictures of the demo. Raises `ConfigurationError` where the packages with them are missing."""
    return (*(_real(*row) for row in _REAL), _synthetic_series(), _synthetic_large())


def _real(name: str, title: str, source: PackagedFile) -> DemoPicture:
    path = find(source)
    dataset = neutral(dcmread(path, stop_before_pixels=True), name, title)
    return DemoPicture(name, title, False, (DemoInstance(dataset, partial(_read, path)),))


def _synthetic_series() -> DemoPicture:
    name, title = "ct-series", f"Synthetic CT series {SLICES} x 512x512"
    path = find(_CT)
    first = neutral(dcmread(path, stop_before_pixels=True), name, title)
    mark_synthetic(first, _SERIES_HOW)
    first.SliceThickness = first.SpacingBetweenSlices = 1
    pixels = _read(path)[0]
    instances = tuple(
        DemoInstance(dataset, partial(_slice, pixels, index))
        for index, dataset in enumerate(_numbered(first, name))
    )
    return DemoPicture(name, title, True, instances)


def _numbered(first: Dataset, name: str) -> Iterator[Dataset]:
    x, y, z = (float(value) for value in first.ImagePositionPatient)
    for index in range(SLICES):
        dataset = deepcopy(first)
        number(dataset, name, index + 1)
        dataset.ImagePositionPatient = [x, y, z + index]
        dataset.SliceLocation = z + index
        yield dataset


def _synthetic_large() -> DemoPicture:
    name, title = "cr-large", f"Synthetic CR chest {LARGE_EDGE}x{LARGE_EDGE}"
    path = find(_CHEST)
    dataset = neutral(dcmread(path, stop_before_pixels=True), name, title)
    mark_synthetic(dataset, _LARGE_HOW)
    dataset.Rows = dataset.Columns = LARGE_EDGE
    return DemoPicture(name, title, True, (DemoInstance(dataset, partial(_large, path, dataset.BitsStored)),))


def _read(path: Path) -> list[NDArray[Any]]:
    return [dcmread(path).pixel_array]


def _slice(pixels: NDArray[Any], index: int) -> list[NDArray[Any]]:
    return [ct_slice(pixels, index)]


def _large(path: Path, bits_stored: int) -> list[NDArray[Any]]:
    return [large_radiograph(_read(path)[0], bits_stored)]


def find(source: PackagedFile) -> Path:
    """Where a source is installed. Raises `ConfigurationError` where it is not."""
    spec = importlib.util.find_spec(source.package)
    for place in (spec and spec.submodule_search_locations) or ():
        path = Path(place) / source.path
        if path.is_file():
            return path
    raise ConfigurationError("the demo's images are not installed: pip install progressive-proxy[demo]")
