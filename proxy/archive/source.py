"""Parses a DICOM file: metadata, stored frames, and what they are.

Nothing is decoded here. A malformed file can raise any exception, but does no other harm.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian

from proxy.archive.dataset import (
    NATIVE,
    encapsulated_frames,
    is_encapsulated,
    number_of_frames,
    read_dataset,
    syntax_of,
)
from proxy.archive.describing import metadata_of
from proxy.archive.encapsulated import stream_of
from proxy.archive.inflating import META, check_inflated, is_deflated
from proxy.archive.manifest import digest
from proxy.archive.tree import Json
from proxy.codecs.decode import JPEG, JPEG_2000, JPEG_LS, RLE
from proxy.errors import BadResource, CodestreamError
from proxy.wire.media import EXPLICIT_LITTLE_ENDIAN, HTJ2K, JPHC
from proxy.wire.pixels import ImagePixel, read_image_pixel
from proxy.wire.resource import is_standard_uid

UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")

_VIDEO = {f"1.2.840.10008.1.2.4.{last}": "video/mpeg" for last in ("100", "101", "100.1", "101.1")} | {
    f"1.2.840.10008.1.2.4.{last}": "video/mp4"
    for last in ("102", "103", "104", "105", "106", "102.1", "103.1", "104.1", "105.1", "106.1", "107", "108")
}
_MEDIA = (
    (HTJ2K, JPHC),
    (JPEG_LS, "image/jls"),
    (JPEG_2000, "image/jp2"),
    (JPEG, "image/jpeg"),
    ({RLE}, "image/dicom-rle"),
    ({f"1.2.840.10008.1.2.4.{last}" for last in (92, 93)}, "image/jpx"),
    ({f"1.2.840.10008.1.2.4.{last}" for last in (110, 111, 112)}, "image/jxl"),
)
"""Media types of frames by transfer syntax (PS3.18 table 8.7.3-5)."""
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_SWAPPED = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}


@dataclass(frozen=True, slots=True)
class DicomFile:
    """One instance, as its file has it."""

    content: bytes
    """The bytes of the file."""
    digest: str
    """Digest that identifies the file."""
    metadata: Json
    """Attributes without pixels; binary values are inline."""
    left_out: tuple[str, ...]
    """Attributes that JSON can't represent, and why."""
    pixel: ImagePixel | None
    """How pixels are stored; None if the metadata does not say."""
    syntax: str
    """The transfer syntax of its frames."""
    frames: tuple[bytes, ...]
    """The stored frames; empty for a video or a file without an image."""
    video: bytes = b""
    """The stream of a video, which has no frames."""

    @property
    def media(self) -> str:
        """Returns the media type of the frames, or of the video."""
        found = next((media for syntaxes, media in _MEDIA if self.syntax in syntaxes), None)
        return found or _VIDEO.get(self.syntax, "application/octet-stream")

    @property
    def label(self) -> str:
        """Returns the media type with its transfer syntax."""
        return f"{self.media};transfer-syntax={self.syntax}"


def uids_of(path: Path) -> tuple[str, str, str] | None:
    """Returns the UIDs of study, series and instance; None for a DICOMDIR, which has none.

    Raises `InvalidDicomError` if the file is not DICOM, `BadResource` if a UID is missing or malformed, and
    more.
    """
    with path.open("rb") as file:
        if is_deflated(file.read(META)):
            check_inflated(path.read_bytes())
    dataset = dcmread(path, stop_before_pixels=True, specific_tags=["DirectoryRecordSequence", *UIDS])
    if "DirectoryRecordSequence" in dataset:
        return None
    if lacking := [keyword for keyword in UIDS if not dataset.get(keyword)]:
        raise BadResource(f"the file has no {', '.join(lacking)}")
    study, series, instance = (str(dataset[keyword].value) for keyword in UIDS)
    if not all(map(is_standard_uid, (study, series, instance))):
        raise BadResource("a UID is malformed: it must have at most 64 digits and single dots")
    return study, series, instance


def read_source(path: Path) -> DicomFile:
    """Parses a file. Raises `CodestreamError`, `OSError`, and any error that the file causes."""
    content = path.read_bytes()
    dataset = read_dataset(content)
    syntax = syntax_of(dataset)
    if syntax == ExplicitVRBigEndian:
        _swap(dataset)
    metadata, left_out = metadata_of(dataset)
    pixel = read_image_pixel(metadata)
    kept = next((keyword for keyword in _PIXELS if keyword in dataset), None)
    frames, video = tuple[bytes, ...](), b""
    if kept is not None and syntax in _VIDEO:
        video = stream_of(dataset[kept].value)
    elif kept is not None:
        count = number_of_frames(metadata)
        if is_encapsulated(dataset, kept):
            frames = encapsulated_frames(dataset, kept, count)
        elif pixel is None:
            raise CodestreamError(f"{kept} comes without Rows, Columns and BitsAllocated")
        else:
            frames = _plain_frames(dataset[kept].value, pixel, count)
    elif pixel is not None:
        left_out.append("PixelData: missing, although the metadata describes the pixels")
    if syntax in NATIVE:
        syntax = EXPLICIT_LITTLE_ENDIAN  # the transfer syntax of a single uncompressed frame (PS3.18 8.7.3.5)
    return DicomFile(content, digest(content), metadata, tuple(left_out), pixel, syntax, frames, video)


def _swap(dataset: Dataset) -> None:
    """Converts binary values from the retired big endian to little endian; others are parsed already."""
    for tag in list(dataset.keys()):
        kind = dataset.get_item(tag).VR
        if kind == "SQ":
            for item in dataset[tag].value:
                _swap(item)
        elif (width := _SWAPPED.get(kind)) and isinstance(value := dataset[tag].value, bytes):
            whole = len(value) // width * width
            dataset[tag].value = np.frombuffer(value[:whole], f">u{width}").astype(f"<u{width}").tobytes()


def _plain_frames(value: bytes, pixel: ImagePixel, count: int) -> tuple[bytes, ...]:
    bits = pixel.bits_of(len(value), count)
    if bits % 8:  # frames may begin inside a byte (PS3.5 8.1.1)
        every = np.unpackbits(np.frombuffer(value, np.uint8), bitorder="little")
        return tuple(
            np.packbits(every[at * bits : (at + 1) * bits], bitorder="little").tobytes()
            for at in range(count)
        )
    length = bits // 8
    return tuple(value[at * length : (at + 1) * length] for at in range(count))
