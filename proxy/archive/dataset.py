"""A DICOM file as pydicom reads it, and what its frames are: the place where a file's faults get words."""

from io import BytesIO

from pydicom import dcmread
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID

from proxy.archive.encapsulated import ITEM, frames_of
from proxy.errors import CodestreamError
from proxy.wire.dicomjson import FRAMES, text_of

NATIVE = frozenset({"1.2.840.10008.1.2", *(f"1.2.840.10008.1.2.{last}" for last in ("1", "1.99", "2"))})
"""Transfer syntaxes whose pixels are not compressed (PS3.5 A.1 to A.3 and A.5)."""
NO_DICOM = "no DICOM file: it has no prefix DICM"
_UNDEFINED = 0xFFFFFFFF
MOST_FRAMES = 1 << 24
"""Of one instance; more are an error of the file."""


def read_dataset(content: bytes) -> Dataset:
    """A file's data set. Raises `CodestreamError`, also for what pydicom raises of itself."""
    try:
        dataset = dcmread(BytesIO(content))
    except InvalidDicomError as error:
        raise CodestreamError(NO_DICOM) from error
    except Exception as error:  # whatever a file breaks
        raise CodestreamError(words(error)) from error
    for element in dataset.values():  # pydicom takes what is there of the last one
        if len(getattr(element, "value", None) or b"") < getattr(element, "length", 0) < _UNDEFINED:
            raise CodestreamError(f"it ends inside {element.tag} {keyword_for_tag(element.tag)}".rstrip())
    return dataset


def words(error: Exception) -> str:
    """What an error says to people: ours as it is, the system's without its number, others by their kind."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    text = " ".join(str(error).split())
    if isinstance(error, InvalidDicomError):
        return NO_DICOM
    if type(error).__module__.startswith("proxy."):
        return text
    return f"it can't be read as DICOM ({type(error).__name__}{': ' if text else ''}{text})"


def syntax_of(dataset: Dataset) -> str:
    """The UID of its transfer syntax. Raises `CodestreamError` if it names none."""
    syntax = str(dataset.file_meta.get("TransferSyntaxUID") or "")
    if not syntax:
        raise CodestreamError("it names no transfer syntax")
    return syntax


def is_encapsulated(dataset: Dataset, keyword: str) -> bool:
    """Whether its pixels are in items. Raises `CodestreamError` if its transfer syntax has it otherwise."""
    syntax, element = syntax_of(dataset), dataset[keyword]
    if not isinstance(element.value, bytes):
        raise CodestreamError(f"{keyword} is no bytes: its VR is {element.VR}")
    if syntax in NATIVE:
        if element.is_undefined_length:
            raise CodestreamError(f"{keyword} is in items, which transfer syntax {syntax} does not have")
        return False
    if element.value.startswith(ITEM):
        return True
    uid = UID(syntax)
    if element.is_undefined_length or (uid.is_transfer_syntax and uid.is_encapsulated):
        raise CodestreamError(f"{keyword} is not in items, as transfer syntax {syntax} has it")
    return False  # of a syntax that nobody knows


def number_of_frames(metadata: dict[str, object]) -> int:
    """As many as its metadata in DICOM JSON says; 1 if it says nothing. Raises `CodestreamError`."""
    text = text_of(metadata, FRAMES) or "0"
    if not (text.isascii() and text.isdigit() and int(text[:20]) <= MOST_FRAMES):
        raise CodestreamError(f"NumberOfFrames is {text[:20]}")
    return int(text[:20]) or 1


def encapsulated_frames(dataset: Dataset, keyword: str, count: int) -> tuple[bytes, ...]:
    """The frames in its items. Raises `CodestreamError`."""
    tables = dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths")
    offsets, lengths = (table if isinstance(table, bytes) else b"" for table in tables)
    return frames_of(dataset[keyword].value, count, (offsets, lengths), syntax_of(dataset))
