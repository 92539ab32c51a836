"""Reads a DICOM file with pydicom, and turns its faults into errors with plain messages."""

from io import BytesIO

from pydicom import dcmread
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID

from proxy.archive.encapsulated import ITEM, frames_of
from proxy.archive.inflating import check_inflated
from proxy.errors import CodestreamError
from proxy.wire.dicomjson import FRAMES, text_of

NATIVE = frozenset({"1.2.840.10008.1.2", *(f"1.2.840.10008.1.2.{last}" for last in ("1", "1.99", "2"))})
"""Uncompressed transfer syntaxes (PS3.5 A.1 to A.3 and A.5)."""
NO_DICOM = "not a DICOM file: it lacks the prefix DICM"
_UNDEFINED = 0xFFFFFFFF
MOST_FRAMES = 1 << 24
"""Frames of one instance; a higher number is an error in the file."""


def read_dataset(content: bytes) -> Dataset:
    """Reads a file's data set. Raises `CodestreamError` for any error of pydicom too."""
    check_inflated(content)
    try:
        dataset = dcmread(BytesIO(content))
    except InvalidDicomError as error:
        raise CodestreamError(NO_DICOM) from error
    except Exception as error:  # a file can cause any error
        raise CodestreamError(words(error)) from error
    for element in dataset.values():  # pydicom accepts a truncated last element
        if len(getattr(element, "value", None) or b"") < getattr(element, "length", 0) < _UNDEFINED:
            raise CodestreamError(f"it ends inside {element.tag} {keyword_for_tag(element.tag)}".rstrip())
    return dataset


def words(error: Exception) -> str:
    """Formats an error for people: ours as is, the system's without its number, others with their type."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    text = " ".join(str(error).split())
    if isinstance(error, InvalidDicomError):
        return NO_DICOM
    if type(error).__module__.startswith("proxy."):
        return text
    return f"it can't be read as DICOM ({type(error).__name__}{': ' if text else ''}{text})"


def syntax_of(dataset: Dataset) -> str:
    """Returns the transfer syntax UID. Raises `CodestreamError` if the file has none."""
    syntax = str(dataset.file_meta.get("TransferSyntaxUID") or "")
    if not syntax:
        raise CodestreamError("the file has no transfer syntax")
    return syntax


def is_encapsulated(dataset: Dataset, keyword: str) -> bool:
    """True if the pixels are in items. Raises `CodestreamError` if the transfer syntax contradicts that."""
    syntax, element = syntax_of(dataset), dataset[keyword]
    if not isinstance(element.value, bytes):
        raise CodestreamError(f"{keyword} is not binary: its VR is {element.VR}")
    if syntax in NATIVE:
        if element.is_undefined_length:
            raise CodestreamError(f"{keyword} is in items, but transfer syntax {syntax} does not allow items")
        return False
    if element.value.startswith(ITEM):
        return True
    uid = UID(syntax)
    if element.is_undefined_length or (uid.is_transfer_syntax and uid.is_encapsulated):
        raise CodestreamError(f"{keyword} is not in items, but transfer syntax {syntax} requires items")
    return False  # for an unknown transfer syntax


def number_of_frames(metadata: dict[str, object]) -> int:
    """Returns NumberOfFrames from DICOM JSON metadata; 1 if absent. Raises `CodestreamError`."""
    text = text_of(metadata, FRAMES) or "0"
    if not (text.isascii() and text.isdigit() and int(text[:20]) <= MOST_FRAMES):
        raise CodestreamError(f"NumberOfFrames is {text[:20]}")
    return int(text[:20]) or 1


def encapsulated_frames(dataset: Dataset, keyword: str, count: int) -> tuple[bytes, ...]:
    """Returns the encapsulated frames. Raises `CodestreamError`."""
    tables = dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths")
    offsets, lengths = (table if isinstance(table, bytes) else b"" for table in tables)
    return frames_of(dataset[keyword].value, count, (offsets, lengths), syntax_of(dataset))
