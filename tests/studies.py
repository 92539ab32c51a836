"""An origin with studies of several series, for stories about what is fetched of a whole study."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.scripted_origin import UID, ScriptedOrigin, codestream, frame_of

STUDY = f"{UID}.1"


def series_of(number: int, study: str = STUDY) -> str:
    """The path of a series, by its SeriesNumber."""
    return f"/studies/{study}/series/{study}.{number}"


def row_of(**tags: Any) -> dict[str, Any]:
    """A row of a search. `tags` are attributes by the names of this module."""
    named = {
        "study": "0020000D",
        "series": "0020000E",
        "modality": "00080060",
        "number": "00200011",
        "instances": "00201209",
        "patient": "00100020",
        "date": "00080020",
        "of_study": "00201208",
    }
    return {named[name]: {"vr": "??", "Value": [value]} for name, value in tags.items()}


def with_study(
    origin: ScriptedOrigin,
    series: Mapping[int, Sequence[bytes]],
    study: str = STUDY,
    modalities: Mapping[int, str] | None = None,
) -> ScriptedOrigin:
    """The origin with one more study: its series by SeriesNumber, and the search for them."""
    rows = []
    for number, images in series.items():
        path = series_of(number, study)
        origin.with_series(images, path)
        modality = (modalities or {}).get(number, "CT")
        uid = path.rpartition("/")[2]
        rows.append(row_of(series=uid, modality=modality, number=number, instances=len(images)))
    origin.metadata[f"/studies/{study}/series"] = json.dumps(rows[::-1]).encode()
    return origin


def bodies(count: int, size: int = 50_000, seed: int = 0) -> list[bytes]:
    """Codestreams, each different."""
    return [codestream(size, 1000 * seed + number) for number in range(count)]


def frames_of(numbers: Iterable[int], count: int, study: str = STUDY) -> list[str]:
    """The paths of the first images of these series."""
    return [frame_of(image, series_of(number, study)) for number in numbers for image in range(count)]
