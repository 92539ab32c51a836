"""Deflated files, and those that would inflate beyond any bound."""

import tracemalloc
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, SecondaryCaptureImageStorage

from proxy.archive.dataset import read_dataset
from proxy.archive.inflating import DEFLATED, LEAST
from proxy.archive.source import uids_of
from proxy.errors import CodestreamError

GROUP_LENGTH = b"\x02\x00\x00\x00UL\x04\x00"
"""The element FileMetaInformationGroupLength up to its value."""
UIDS = {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.3", "SOPInstanceUID": "1.4"}


def deflated() -> bytes:
    """A small deflated file, as pydicom writes it."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    for keyword, uid in UIDS.items():
        setattr(dataset, keyword, uid)
    written = BytesIO()
    dcmwrite(written, dataset, enforce_file_format=True)
    return written.getvalue()


def head() -> bytes:
    """The same file up to the deflated data set."""
    content = deflated()
    length = content.index(GROUP_LENGTH) + len(GROUP_LENGTH)
    return content[: length + 4 + int.from_bytes(content[length : length + 4], "little")]


def bomb() -> bytes:
    """A file whose data set inflates to four times the bound."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    zeros = bytes(LEAST // 16)
    return head() + b"".join(deflate.compress(zeros) for _ in range(64)) + deflate.flush()


def test_a_deflated_file_is_read(tmp_path: Path) -> None:
    assert DEFLATED in deflated()
    path = tmp_path / "deflated.dcm"
    path.write_bytes(deflated())
    assert uids_of(path) == tuple(UIDS.values())
    assert read_dataset(deflated()).SOPInstanceUID == dcmread(path).SOPInstanceUID == "1.4"


def test_a_bomb_is_refused_before_it_takes_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.dcm"
    path.write_bytes(bomb())
    tracemalloc.start()
    try:
        for read in (lambda: uids_of(path), lambda: read_dataset(path.read_bytes())):
            with pytest.raises(CodestreamError, match="it inflates to more than 64 MiB"):
                read()
        assert tracemalloc.get_traced_memory()[1] < LEAST
    finally:
        tracemalloc.stop()


def test_a_head_without_its_length_is_read_too() -> None:
    content = deflated()
    at = content.index(GROUP_LENGTH)
    assert read_dataset(content[:at] + content[at + 12 :]).SOPInstanceUID == "1.4"
    torn = bomb()
    with pytest.raises(CodestreamError, match="it inflates to more than 64 MiB"):
        read_dataset(torn[:at] + torn[at + 12 :])


def test_a_deflated_file_that_is_damaged_gets_a_sentence() -> None:
    with pytest.raises(CodestreamError, match="it can't be inflated"):
        read_dataset(head() + b"\xff" * 64)
