"""A study like those in an archive: CT, CR, MR, colour, multi-frame, and two images with a palette."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID, ExplicitVRLittleEndian, HTJ2KLosslessRPCL, RLELossless

from proxy.codecs.htj2k import encode_htj2k
from proxy.demo.attributes import neutral, uid_of
from proxy.demo.images import PackagedFile, find
from proxy.errors import ConfigurationError

STUDY = uid_of("real origins", "study")

_HTJ2K = {"ct": "693_UNCR", "cr": "RG1_UNCR", "mr": "MR2_UNCR", "colour": "US1_UNCR", "frames": "emri_small"}
_PALETTE = {"palette": "OBXXXX1A", "palette-rle": "OBXXXX1A_rle"}
_MOST_FRAMES = 5
_LOOK_UP = tuple(
    f"{colour}PaletteColorLookupTable{part}"
    for colour in ("Red", "Green", "Blue")
    for part in ("Data", "Descriptor")
)


@dataclass(frozen=True)
class Image:
    """One instance, in a series of its own."""

    name: str
    dataset: Dataset
    """Attributes without pixels."""
    syntax: str
    """UID of the transfer syntax."""
    stored: tuple[bytes, ...]
    """The encoded frames, without padding."""
    pixels: tuple[NDArray[Any], ...] = ()
    """Pixels of each frame, if the frames are HTJ2K."""

    @property
    def frames(self) -> Callable[[], tuple[NDArray[Any], ...]]:
        """The pixels in the form that `prepare` expects."""
        return lambda: self.pixels

    @property
    def path(self) -> str:
        """Path of the instance, below the base of a server."""
        series, instance = self.dataset.SeriesInstanceUID, self.dataset.SOPInstanceUID
        return f"/studies/{STUDY}/series/{series}/instances/{instance}"

    @property
    def paths(self) -> list[str]:
        """Paths of the frames."""
        return [f"{self.path}/frames/{number + 1}" for number in range(len(self.stored))]

    @property
    def is_htj2k(self) -> bool:
        return self.syntax == HTJ2KLosslessRPCL

    def part10(self) -> bytes:
        """The instance as a DICOM file."""
        dataset, content = deepcopy(self.dataset), BytesIO()
        is_raw = self.syntax == ExplicitVRLittleEndian
        dataset.PixelData = self.stored[0] if is_raw else encapsulate(list(self.stored))
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = not is_raw
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = UID(self.syntax)
        dataset.save_as(content, enforce_file_format=True)
        return content.getvalue()


def images() -> Iterator[Image]:
    """All images of the study. Skips the test if the packages with the images are missing."""
    for number, (name, file) in enumerate((_HTJ2K | _PALETTE).items(), start=1):
        source = _read(file)
        dataset = neutral(source, f"real {name}", f"{number} {name}")
        dataset.StudyInstanceUID, dataset.SeriesNumber = STUDY, number
        dataset.PatientID, dataset.PatientName, dataset.StudyDescription = "real", "Real^Origin", "all kinds"
        yield _htj2k(name, dataset, source) if name in _HTJ2K else _palette(name, dataset, source)


def _read(file: str) -> Dataset:
    try:
        return dcmread(find(PackagedFile("data_store", f"data/{file}.dcm")))
    except ConfigurationError as error:
        pytest.skip(str(error))


def _htj2k(name: str, dataset: Dataset, source: Dataset) -> Image:
    array = source.pixel_array
    pixels = tuple(
        np.ascontiguousarray(frame) for frame in (array if "NumberOfFrames" in source else [array])
    )
    pixels = pixels[:_MOST_FRAMES]
    if dataset.SamplesPerPixel == 3:
        dataset.PhotometricInterpretation, dataset.PlanarConfiguration = "YBR_RCT", 0
    if len(pixels) > 1:
        dataset.NumberOfFrames = len(pixels)
    return Image(name, dataset, HTJ2KLosslessRPCL, tuple(map(encode_htj2k, pixels)), pixels)


def _palette(name: str, dataset: Dataset, source: Dataset) -> Image:
    for keyword in _LOOK_UP:
        dataset[keyword] = source[keyword]
    if source.file_meta.TransferSyntaxUID == RLELossless:
        return Image(name, dataset, RLELossless, tuple(generate_frames(source.PixelData, number_of_frames=1)))
    return Image(name, dataset, ExplicitVRLittleEndian, (source.PixelData,))
