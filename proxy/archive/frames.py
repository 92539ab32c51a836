"""The frames in a file: a codestream as it is, one in a JPH box, or those that are encapsulated in DICOM."""

from collections.abc import Iterator
from pathlib import Path

from pydicom import dcmread
from pydicom.encaps import generate_frames
from pydicom.errors import InvalidDicomError

from proxy.errors import CodestreamError

_CODESTREAM = b"\xff\x4f\xff\x51"  # SOC, SIZ (T.800 A.3)
_JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  \r\n\x87\n"  # T.800 I.5.1
_CONTIGUOUS = b"jp2c"  # T.800 I.5.4


def frames_in(path: Path) -> Iterator[bytes]:
    """The codestreams in a file, in the order of frame_number. Raises `CodestreamError`, `OSError`."""
    content = path.read_bytes()
    if content.startswith(_CODESTREAM):
        yield content
    elif content.startswith(_JP2_SIGNATURE):
        yield _boxed(content)
    else:
        yield from _encapsulated(path)


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
    raise CodestreamError("boxes without a codestream")


def _encapsulated(path: Path) -> Iterator[bytes]:
    try:
        dataset = dcmread(path)
    except InvalidDicomError as error:
        raise CodestreamError(f"{path}: neither a codestream nor DICOM") from error
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if "PixelData" not in dataset or syntax is None or not syntax.is_encapsulated:
        raise CodestreamError(f"{path}: its pixels are not encapsulated, {syntax and syntax.name}")
    yield from generate_frames(dataset.PixelData, number_of_frames=int(dataset.get("NumberOfFrames") or 1))
