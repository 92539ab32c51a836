"""The series of a study: what a search tells of them, and the order in which they are fetched. Pure."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from proxy.wire.dicomjson import MODALITY, SERIES, STUDY, text_of, whole_of
from proxy.wire.resource import is_uid

Order = Literal["number", "smallest", "largest"]
"""The order of series: by SeriesNumber, or by their instances."""
Depth = Literal["metadata", "thumbnails", "first", "all"]
"""How much is fetched of each series: each word includes the ones before it."""

WITHOUT_FRAMES = frozenset(
    {"AU", "DOC", "ECG", "EPS", "HD", "KO", "PLAN", "PR", "REG", "RTPLAN", "RTRECORD", "RTSTRUCT", "SR"}
)
"""Modalities whose instances have no frames."""

_NUMBER, _INSTANCES = "00200011", "00201209"
_PATIENT, _DATE, _OF_STUDY = "00100020", "00080020", "00201208"


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """One series of a study, as a search tells of it (PS3.18 10.6.3.3)."""

    uid: str
    """SeriesInstanceUID."""
    modality: str = ""
    """Modality; empty if the row has none."""
    number: int = 0
    """SeriesNumber; 0 if the row has none."""
    instances: int = 0
    """NumberOfSeriesRelatedInstances; 0 if the row has none."""

    @property
    def has_frames(self) -> bool:
        """False if instances of this modality have no frames."""
        return self.modality not in WITHOUT_FRAMES


def series_row(row: Any) -> SeriesRow | None:  # noqa: ANN401  # any JSON
    """Reads a row; None if its UID can't be part of a path. Never raises.

    >>> series_row({"0020000E": {"vr": "UI", "Value": ["1.2"]}})
    SeriesRow(uid='1.2', modality='', number=0, instances=0)
    """
    if not isinstance(row, dict) or not is_uid(uid := text_of(row, SERIES)):
        return None
    return SeriesRow(uid, text_of(row, MODALITY), whole_of(row, _NUMBER), whole_of(row, _INSTANCES))


@dataclass(frozen=True, slots=True)
class StudyRow:
    """One study of an archive, as a search tells of it (PS3.18 10.6.3.3)."""

    uid: str
    """StudyInstanceUID."""
    patient: str = ""
    """PatientID; empty if the row has none."""
    date: str = ""
    """StudyDate as DICOM has it, so that texts compare as dates do; empty if the row has none."""
    instances: int = 0
    """NumberOfStudyRelatedInstances; 0 if the row has none."""


def study_row(row: Any) -> StudyRow | None:  # noqa: ANN401  # any JSON
    """Reads a row; None if its UID can't be part of a path. Never raises."""
    if not isinstance(row, dict) or not is_uid(uid := text_of(row, STUDY)):
        return None
    return StudyRow(uid, text_of(row, _PATIENT), text_of(row, _DATE), whole_of(row, _OF_STUDY))


def priors_of(rows: Iterable[StudyRow], known: Collection[str], most: int) -> list[StudyRow]:
    """The newest `most` of a patient's studies that are not `known`, by their UIDs.

    >>> rows = [StudyRow(uid, date=day) for uid, day in (("1", "2024"), ("2", "2026"), ("3", "2025"))]
    >>> [row.uid for row in priors_of(rows, {"2"}, 1)]
    ['3']
    """
    others = (row for row in rows if row.uid not in known)
    return sorted(others, key=lambda row: row.date, reverse=True)[:most]


def in_order(
    rows: Iterable[SeriesRow], order: Order = "number", modalities: Sequence[str] = ()
) -> list[SeriesRow]:
    """Sorts series: those of the first modality first, then by `order`. Each series occurs once.

    >>> rows = [SeriesRow("1", "CT", 2, 90), SeriesRow("2", "PT", 3, 40), SeriesRow("3", "CT", 1, 200)]
    >>> [row.uid for row in in_order(rows, "smallest", ["CT"])]
    ['1', '3', '2']
    """
    places = {modality: place for place, modality in reversed([*enumerate(modalities)])}
    sign = {"number": 0, "smallest": 1, "largest": -1}[order]

    def place(row: SeriesRow) -> tuple[int, int, int]:
        return places.get(row.modality, len(places)), sign * row.instances, row.number

    return sorted({row.uid: row for row in rows}.values(), key=place)


def listed(rows: Iterable[SeriesRow], uids: Iterable[str]) -> list[SeriesRow]:
    """The series with these UIDs, in this order. UIDs of no row are left out.

    >>> [row.uid for row in listed([SeriesRow("1"), SeriesRow("2")], ["2", "9", "1"])]
    ['2', '1']
    """
    by_uid = {row.uid: row for row in rows}
    return [by_uid[uid] for uid in dict.fromkeys(uids) if uid in by_uid]
