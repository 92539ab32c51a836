"""Reads the frames in a file: a bare codestream, a codestream in a JPH file, or frames in DICOM."""

from collections.abc import Iterator
from pathlib import Path

from pydicom.uid import UID

from proxy.archive.dataset import (
    NO_DICOM,
    encapsulated_frames,
    is_encapsulated,
    number_of_frames,
    read_dataset,
    syntax_of,
)
from proxy.archive.describing import metadata_of
from proxy.errors import CodestreamError

_CODESTREAM = b"\xff\x4f\xff\x51"  # SOC, SIZ (T.800 A.3)
_JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  \r\n\x87\n"  # T.800 I.5.1
_CONTIGUOUS = b"jp2c"  # T.800 I.5.4


def frames_in(path: Path) -> Iterator[bytes]:
    """Yields the codestreams in a file, in the order of frame_number. Raises `CodestreamError`, `OSError`."""
    content = path.read_bytes()
    if content.startswith(_CODESTREAM):
        yield content
    elif content.startswith(_JP2_SIGNATURE):
        yield _boxed(content)
    else:
        try:
            yield from _encapsulated(content)
        except CodestreamError as error:
            is_other = str(error) == NO_DICOM
            why = "neither a codestream nor DICOM" if is_other else error
            raise CodestreamError(f"{path}: {why}") from error


def _boxed(content: bytes) -> bytes:
    at = 0
    while at + 8 <= len(content):
        length, head = int.from_bytes(content[at : at + 4], "big"), 8
        if length == 1:
            length, head = int.from_bytes(content[at + 8 : at + 16], "big"), 16
        stop = at + length if length else len(content)
        if content[at + 4 : at + 8] == _CONTIGUOUS:
            return content[at + head : stop]
        if stop < at + head:
            break
        at = stop
    raise CodestreamError("the JPH file has no codestream")


def _encapsulated(content: bytes) -> tuple[bytes, ...]:
    dataset = read_dataset(content)
    syntax = syntax_of(dataset)
    if "PixelData" not in dataset:
        raise CodestreamError("the file has no PixelData")
    if not is_encapsulated(dataset, "PixelData"):
        raise CodestreamError(f"the pixels are not encapsulated: {UID(syntax).name}")
    metadata, _ = metadata_of(dataset.group_dataset(0x28))
    return encapsulated_frames(dataset, "PixelData", number_of_frames(metadata))
