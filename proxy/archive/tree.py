"""Where a static DICOMweb tree keeps what, and what its JSON says (PS3.18 10.4, 10.6 and annex F).

    studies/index.json                          the list of studies
    studies/S/metadata.json
    studies/S/series/index.json                 the list of its series
    studies/S/instances/index.json              the list of all its instances
    studies/S/series/E/metadata.json
    studies/S/series/E/instances/index.json     the list of the series' instances
    studies/S/series/E/instances/I/metadata.json
    studies/S/series/E/instances/I/frames/N.jphc    the codestream
    studies/S/series/E/instances/I/frames/N.mht     the same as multipart/related

Nothing here reads or writes; `prepare` does.
"""

from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any

from pydicom.dataset import Dataset

from proxy.wire.media import JPHC
from proxy.wire.multipart import wrap

BOUNDARY = "progressive-proxy-8c2f6a1be07d4953"
"""The boundary of every `.mht`: one for all, so that a plain file server can send the right type."""

HTJ2K_RPCL = "1.2.840.10008.1.2.4.202"
"""HTJ2K Lossless RPCL, the transfer syntax of all frames (PS3.5 10.18)."""

Json = dict[str, Any]
"""One data set in the DICOM JSON model (PS3.18 F.2)."""

_STUDY = (
    "SpecificCharacterSet", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName",
    "StudyDescription", "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "StudyInstanceUID", "StudyID",
)  # fmt: skip
_SERIES = (
    "SpecificCharacterSet", "Modality", "SeriesDescription", "StudyInstanceUID", "SeriesInstanceUID",
    "SeriesNumber",
)  # fmt: skip
_INSTANCE = (
    "SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "AvailableTransferSyntaxUID", "Modality",
    "StudyInstanceUID", "SeriesInstanceUID", "InstanceNumber", "NumberOfFrames", "Rows", "Columns",
    "BitsAllocated",
)  # fmt: skip


def instance_path(dataset: Dataset) -> str:
    """The folder of an instance, below the tree."""
    return (
        f"studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
        f"/instances/{dataset.SOPInstanceUID}"
    )


def frame_files(codestream: bytes) -> Iterator[tuple[str, bytes]]:
    """The files of one frame: the end of each name, and the content."""
    envelope = wrap(BOUNDARY, f"{JPHC};transfer-syntax={HTJ2K_RPCL}")
    yield ".jphc", codestream
    yield ".mht", envelope.before + codestream + envelope.after


def described(dataset: Dataset, number_of_frames: int) -> Dataset:
    """The attributes of an instance as the tree gives them: of the encoded frames, without pixels."""
    dataset = copy(dataset)
    if "PixelData" in dataset:
        del dataset.PixelData
    if dataset.get("PhotometricInterpretation") == "RGB":
        dataset.PhotometricInterpretation = "YBR_RCT"  # the encoder transforms colour (PS3.5 8.2.4)
    dataset.AvailableTransferSyntaxUID = HTJ2K_RPCL
    dataset.NumberOfFrames = number_of_frames
    return dataset


def documents(datasets: Sequence[Dataset]) -> Iterator[tuple[str, list[Json]]]:
    """Every JSON document of a tree with these instances: its path, and what it lists."""
    studies = _grouped(datasets, "StudyInstanceUID")
    yield "studies/index.json", [_study_row(members) for members in studies]
    for study in studies:
        yield from _study_documents(study)


def _study_documents(study: Sequence[Dataset]) -> Iterator[tuple[str, list[Json]]]:
    base = f"studies/{study[0].StudyInstanceUID}"
    metadata = {dataset.SOPInstanceUID: _json(dataset) for dataset in study}
    rows = {dataset.SOPInstanceUID: _row(dataset, _INSTANCE) for dataset in study}
    every_series = _grouped(study, "SeriesInstanceUID")
    yield f"{base}/metadata.json", list(metadata.values())
    yield f"{base}/instances/index.json", list(rows.values())
    yield f"{base}/series/index.json", [_series_row(members) for members in every_series]
    for series in every_series:
        below = f"{base}/series/{series[0].SeriesInstanceUID}"
        yield f"{below}/metadata.json", [metadata[dataset.SOPInstanceUID] for dataset in series]
        yield f"{below}/instances/index.json", [rows[dataset.SOPInstanceUID] for dataset in series]
    for dataset in study:
        yield f"{instance_path(dataset)}/metadata.json", [metadata[dataset.SOPInstanceUID]]


def _grouped(datasets: Sequence[Dataset], keyword: str) -> list[list[Dataset]]:
    groups: dict[str, list[Dataset]] = {}
    for dataset in datasets:
        groups.setdefault(str(dataset[keyword].value), []).append(dataset)
    return list(groups.values())


def _study_row(members: Sequence[Dataset]) -> Json:
    # PS3.18 table 10.6.3-3
    return _row(
        members[0],
        _STUDY,
        ModalitiesInStudy=sorted({dataset.Modality for dataset in members}),
        NumberOfStudyRelatedSeries=len(_grouped(members, "SeriesInstanceUID")),
        NumberOfStudyRelatedInstances=len(members),
    )


def _series_row(members: Sequence[Dataset]) -> Json:
    # PS3.18 table 10.6.3-4
    return _row(members[0], _SERIES, NumberOfSeriesRelatedInstances=len(members))


def _row(dataset: Dataset, keywords: Sequence[str], **more: object) -> Json:
    row = Dataset()
    for keyword in keywords:
        if keyword in dataset:
            row[keyword] = dataset[keyword]
    row.InstanceAvailability = "ONLINE"
    for keyword, value in more.items():
        setattr(row, keyword, value)
    return _json(row)


def _json(dataset: Dataset) -> Json:
    return dict(sorted(dataset.to_json_dict().items()))
