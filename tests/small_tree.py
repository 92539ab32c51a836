"""Small images for trees: a study of two instances with two frames and one frame, and a colour study."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage


@dataclass(frozen=True)
class SmallInstance:
    """An instance whose frames are in memory. `read` lists the instances whose frames were read."""

    dataset: Dataset
    pixels: tuple[NDArray[Any], ...]
    read: list[str]

    @property
    def frames(self) -> Callable[[], tuple[NDArray[Any], ...]]:
        self.read.append(str(self.dataset.SOPInstanceUID))
        return lambda: self.pixels


def small_instances(read: list[str] | None = None) -> list[SmallInstance]:
    counted: list[str] = [] if read is None else read
    return [
        SmallInstance(_dataset("1.2.1", "1.2.1.1", 1, "CT"), (_grey(1), _grey(2)), counted),
        SmallInstance(_dataset("1.2.1", "1.2.1.1", 2, "CT"), (_grey(3),), counted),
        SmallInstance(_dataset("1.2.2", "1.2.2.1", 1, "XC"), (_colour(),), counted),
    ]


def _grey(seed: int) -> NDArray[Any]:
    return np.random.default_rng(seed).integers(-2000, 3000, (200, 130), dtype=np.int16)


def _colour() -> NDArray[Any]:
    return np.random.default_rng(9).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def _dataset(study: str, series: str, number: int, modality: str) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = f"{series}.{number}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.Modality, dataset.InstanceNumber = modality, number
    dataset.PatientID, dataset.PatientName = f"patient {study}", "Nobody"
    dataset.PhotometricInterpretation = "RGB" if modality == "XC" else "MONOCHROME2"
    dataset.PixelData = b"\0\0"
    return dataset
