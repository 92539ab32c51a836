"""The pictures of the demo: five real ones from packages, and two that are labelled synthetic."""

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
"""Version of the pictures. Change it whenever they change, so that encoded copies are made again."""
ALTERNATES = {"jls": Alternate("jpegls"), "jlsThumbnail": Alternate("jpegls", scale=4)}
"""Encodings beside HTJ2K, by the name that replaces `frames` in URLs."""

_SERIES_HOW = f"{SLICES} slices made from one real slice: scaled and bent slowly, with seeded noise"
_LARGE_HOW = "The middle of a real radiograph, enlarged bilinearly, with seeded noise"


@dataclass(frozen=True)
class PackagedFile:
    """One file of an installed package."""

    package: str
    """Name of the package, as imported."""
    path: str
    """Path below the package."""


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
    """One instance whose frames have not been read yet."""

    dataset: Dataset
    """Attributes without pixels."""
    frames: Callable[[], list[NDArray[Any]]]
    """Reads or creates the frames, each (rows, columns), in the order of frame_number."""


@dataclass(frozen=True)
class DemoPicture:
    """A picture of the demo: a study with one series."""

    name: str
    """Short name for command lines and tables."""
    title: str
    """Title for people; it contains "synthetic" if the pixels are."""
    is_synthetic: bool
    """True if the pixels are synthetic."""
    instances: tuple[DemoInstance, ...]
    """Instances in the order of InstanceNumber."""


def pictures() -> tuple[DemoPicture, ...]:
    """Returns all pictures of the demo. Raises `ConfigurationError` if their packages are not installed."""
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
    """Returns the path of an installed file. Raises `ConfigurationError` if it is not installed."""
    spec = importlib.util.find_spec(source.package)
    for place in (spec and spec.submodule_search_locations) or ():
        path = Path(place) / source.path
        if path.is_file():
            return path
    raise ConfigurationError("the demo's images are not installed: pip install progressive-proxy[demo]")
