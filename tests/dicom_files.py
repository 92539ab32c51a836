"""DICOM files of all kinds: the test files of pydicom, each as its own instance, and small files of ours."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import pydicom
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from tests.codestreams import picture

STUDY = "1.2.826.0.1.3680043.8.498.7"

LOSSLESS = (
    "CT_small", "MR_small_RLE", "MR_small_bigendian", "MR_small_implicit", "MR_small_jp2klossless",
    "MR_small_jpeg_ls_lossless", "MR_small_padded", "J2K_pixelrep_mismatch", "SC_rgb_rle",
    "SC_rgb_rle_16bit_2frame", "SC_rgb_small_odd", "SC_rgb_small_odd_big_endian", "SC_rgb_jpeg_gdcm",
    "ExplVR_BigEnd", "examples_palette", "examples_rgb_color", "examples_jpeg2k", "image_dfl",
)  # fmt: skip
"""Lossless images of 8 and 16 bits."""
LOSSY = ("693_J2KI", "JPEGLSNearLossless_08", "JPEGLSNearLossless_16", "SC_rgb_jpeg_dcmtk")
"""Images with lossy compression."""
KEPT = ("liver_1frame", "rtdose", "rtdose_rle", "SC_rgb_rle_32bit")
"""Images of 1 and 32 bits, which no other form can represent."""
NO_IMAGES = ("reportsi", "test-SR", "rtplan", "waveform_ecg")
ALL = (*LOSSLESS, *LOSSY, "JPGExtended", *KEPT, *NO_IMAGES)


def source(name: str) -> Path:
    """Path of pydicom's file."""
    return Path(str(files(pydicom))) / "data" / "test_files" / f"{name}.dcm"


def write(folder: Path, name: str, number: int = 1) -> Path:
    """Writes pydicom's file as one instance of our test study, in a series of its own."""
    dataset = dcmread(source(name))
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY, f"{STUDY}.{number}"
    dataset.SeriesNumber, dataset.InstanceNumber = number, 1
    dataset.SOPInstanceUID = f"{STUDY}.{number}.1"
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(dataset.SOPInstanceUID)
    return save(folder / f"{name}.dcm", dataset)


def save(path: Path, dataset: Dataset) -> Path:
    """Writes a data set as a DICOM file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path)
    return path


def image(number: int = 1, **more: Any) -> Dataset:
    """A small data set of our own with an image."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.Modality = SecondaryCaptureImageStorage, "OT"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2", "1.2.3"
    dataset.SOPInstanceUID, dataset.InstanceNumber = f"1.2.3.{number}", number
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = 20, 30, 1
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = picture(20, 30).tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.preamble, dataset.file_meta = b"\0" * 128, FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for keyword, value in more.items():
        setattr(dataset, keyword, value)
    return dataset


def compressed(dataset: Dataset, syntax: str, *frames: bytes) -> Dataset:
    dataset.file_meta.TransferSyntaxUID, dataset.PixelData = UID(syntax), encapsulate(list(frames))
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    return dataset
