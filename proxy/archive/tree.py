"""The layout of a static DICOMweb tree, and the content of its JSON (PS3.18 10.4, 10.6 and annex F).

    studies/index.json                          the list of studies
    studies/S/metadata.json
    studies/S/series/index.json                 the list of its series
    studies/S/instances/index.json              the list of all its instances
    studies/S/series/E/metadata.json
    studies/S/series/E/thumbnail.jpeg
    studies/S/series/E/instances/index.json     the list of the series' instances
    studies/S/series/E/instances/I/metadata.json
        studies/S/series/E/instances/I/frames/N.jphc    the codestream; the suffix depends on the media type
    studies/S/series/E/instances/I/frames/N.mht     the same as multipart/related
    studies/S/series/E/instances/I/NAME/N.jls, .mht     the alternate of that name
        studies/S/series/E/instances/I/bulkdata/D.bin, .mht     values too large for metadata
    studies/S/series/E/instances/I/index.dcm, .mht  the DICOM file
    studies/S/series/E/instances/I/thumbnail.jpeg

Each JSON file may also exist in gzip, as `….json.gz`. This module neither reads nor writes; `writing` does.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from proxy.wire.dicomjson import INSTANCE, MODALITY, SERIES, STUDY, text_of, whole_of
from proxy.wire.multipart import wrap

BOUNDARY = "progressive-proxy-8c2f6a1be07d4953"
"""The boundary of every `.mht` file. It is constant, so that a plain file server can send the right type."""

DICOM_JSON, DICOM, JPEG = "application/dicom+json", "application/dicom", "image/jpeg"

ENDINGS = {
    "image/jphc": ".jphc",
    "image/jls": ".jls",
    "image/jp2": ".jp2",
    "image/jpx": ".jpx",
    "image/jxl": ".jxl",
    JPEG: ".jpeg",
    "image/dicom-rle": ".rle",
    "video/mpeg": ".mpeg",
    "video/mp4": ".mp4",
    DICOM: ".dcm",
    "application/octet-stream": ".bin",
}
"""File suffixes by media type."""

Json = dict[str, Any]
"""One data set in the DICOM JSON model (PS3.18 F.2)."""

_SERIES_NUMBER, _INSTANCE_NUMBER = "00200011", "00200013"
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


@dataclass(frozen=True, slots=True)
class Forms:
    """The forms in which a tree stores its content."""

    is_single: bool = True
    """True if frames are stored as single parts."""
    is_multipart: bool = True
    """True if frames are stored as multipart/related."""
    is_gzip: bool = False
    """True if JSON is also stored in gzip."""


def series_path(metadata: Json) -> str:
    """Returns the folder of an instance's series, below the tree."""
    return f"studies/{text_of(metadata, STUDY)}/series/{text_of(metadata, SERIES)}"


def instance_path(metadata: Json) -> str:
    """Returns the folder of an instance, below the tree."""
    return f"{series_path(metadata)}/instances/{text_of(metadata, INSTANCE)}"


def files_of(name: str, content: bytes, label: str, forms: Forms) -> Iterator[tuple[str, bytes, str]]:
    """Yields the files for a frame or other content: path, content and media type."""
    media = label.partition(";")[0]
    if forms.is_single:
        yield name + ENDINGS.get(media, ".bin"), content, label
    if forms.is_multipart:
        envelope = wrap(BOUNDARY, label)
        kind = f'multipart/related; type="{media}"; boundary={BOUNDARY}'
        yield f"{name}.mht", envelope.before + content + envelope.after, kind


def in_order(instances: Sequence[Json]) -> list[Json]:
    """Sorts instances by study, series number and instance number."""
    return sorted(instances, key=_place)


def _place(metadata: Json) -> tuple[str, int, str, int, str]:
    series, number = (whole_of(metadata, tag) for tag in (_SERIES_NUMBER, _INSTANCE_NUMBER))
    study_uid, series_uid, uid = (text_of(metadata, tag) for tag in (STUDY, SERIES, INSTANCE))
    return study_uid, series, series_uid, number, uid


def documents(instances: Sequence[Json]) -> Iterator[tuple[str, list[Json]]]:
    """Yields every list, and the metadata of series and studies, for a tree of these instances.

    The list of studies comes last. The metadata of each instance is in the folder of the instance.
    """
    studies = _grouped(instances, STUDY)
    for study in studies:
        yield from _study_documents(study)
    yield "studies/index.json", [_study_row(members) for members in studies]


def _study_documents(study: Sequence[Json]) -> Iterator[tuple[str, list[Json]]]:
    base = f"studies/{text_of(study[0], STUDY)}"
    every_series = _grouped(study, SERIES)
    for series in every_series:
        below, rows = series_path(series[0]), [_row(each, _INSTANCE) for each in series]
        yield f"{below}/instances/index.json", rows
        yield f"{below}/metadata.json", [_seen_from(below, each) for each in series]
    yield f"{base}/instances/index.json", [_row(each, _INSTANCE) for each in study]
    yield f"{base}/metadata.json", [_seen_from(base, each) for each in study]
    yield f"{base}/series/index.json", [_series_row(members) for members in every_series]


def _seen_from(base: str, metadata: Json) -> Json:
    """Makes bulk data URLs relative to the document that contains them (PS3.18 F.2.6, RFC 3986 5)."""
    below = instance_path(metadata).removeprefix(f"{base}/")

    def moved(element: Json) -> Json:
        if "BulkDataURI" in element:
            return element | {"BulkDataURI": f"{below}/{element['BulkDataURI']}"}
        return element

    return changed(metadata, moved)


def changed(metadata: Json, change: Callable[[Json], Json]) -> Json:
    """Applies `change` to every element of the metadata, including those in sequences."""
    told = {}
    for tag, element in metadata.items():
        if element["vr"] == "SQ" and "Value" in element:
            items = [changed(item, change) for item in element["Value"]]
            element = element | {"Value": items}
        told[tag] = change(element)
    return told


def _grouped(instances: Sequence[Json], tag: str) -> list[list[Json]]:
    groups: dict[str, list[Json]] = {}
    for metadata in instances:
        groups.setdefault(text_of(metadata, tag), []).append(metadata)
    return list(groups.values())


def _study_row(members: Sequence[Json]) -> Json:
    # PS3.18 table 10.6.3-3
    return _row(
        members[0],
        _STUDY,
        ModalitiesInStudy=sorted({text_of(each, MODALITY) for each in members} - {""}),
        NumberOfStudyRelatedSeries=len(_grouped(members, SERIES)),
        NumberOfStudyRelatedInstances=len(members),
    )


def _series_row(members: Sequence[Json]) -> Json:
    # PS3.18 table 10.6.3-4
    return _row(members[0], _SERIES, NumberOfSeriesRelatedInstances=len(members))


def _row(metadata: Json, keywords: Sequence[str], **more: object) -> Json:
    added = Dataset()
    added.InstanceAvailability = "ONLINE"
    for keyword, value in more.items():
        setattr(added, keyword, value)
    tags = [f"{tag_for_keyword(keyword):08X}" for keyword in keywords]
    row: Json = {tag: metadata[tag] for tag in tags if tag in metadata} | added.to_json_dict()
    return dict(sorted(row.items()))
