"""Filters the rows of a list by a query (PS3.18 8.3.4, 10.6). Pure."""

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

Row = dict[str, Any]
"""One match in the DICOM JSON model (PS3.18 F.2)."""

_TAGS = {
    "StudyInstanceUID": ("0020000D",),
    "SeriesInstanceUID": ("0020000E",),
    "SOPInstanceUID": ("00080018",),
    "PatientID": ("00100020",),
    "AccessionNumber": ("00080050",),
    "Modality": ("00080060", "00080061"),  # the modalities in a study
    "ModalitiesInStudy": ("00080061",),
}
_KEYWORDS = {tags[0]: keyword for keyword, tags in _TAGS.items()}
_COUNT = re.compile(r"[0-9]{1,9}", re.ASCII)


def matching(rows: Sequence[Row], query: Iterable[tuple[str, str]]) -> list[Row]:
    """Returns the rows that match a query, in order.

    Attributes are compared for equality. In a list of UIDs, separated by `,` or `\\`, any may match. Unknown
    parameters, such as `includefield`, are ignored. Raises `ValueError` if a limit or an offset is not a
    number.

    >>> matching([{"00100020": {"vr": "LO", "Value": ["7"]}}], [("PatientID", "8")])
    []
    """
    first, count = 0, len(rows)
    for name, wanted in query:
        if name in ("limit", "offset"):
            if _COUNT.fullmatch(wanted) is None:
                raise ValueError(f"{name} must be a number")
            first, count = (int(wanted), count) if name == "offset" else (first, int(wanted))
        elif tags := _TAGS.get(keyword := _KEYWORDS.get(name, name)):
            accepted = set(re.split(r"[,\\]", wanted)) if keyword.endswith("UID") else {wanted}
            rows = [row for row in rows if _has_any(row, tags, accepted)]
    return list(islice(rows, first, first + count))


def _has_any(row: Row, tags: Iterable[str], accepted: set[str]) -> bool:
    return any(value in accepted for tag in tags for value in row.get(tag, {}).get("Value", ()))
