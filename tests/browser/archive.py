"""An archive that a whole viewer can open: the demo's origin with two series, which counts its requests."""

import io
import json
import mimetypes
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.archive.prepare import prepare
from proxy.codecs.htj2k import encode_htj2k
from proxy.demo.origin import EXPOSED, create_origin
from tests.browser.pictures import Series

RADIOGRAPH_CLASS = "1.2.840.10008.5.1.4.1.1.12.1"
PATIENT = "Adams^Ada"
SPACING = 8
"""Millimetres from slice to slice. The volume is then as high as it is wide."""


@dataclass(frozen=True)
class Instance:
    """One instance of the study, as `prepare` takes it."""

    dataset: Dataset
    pixels: NDArray[Any]

    def frames(self) -> tuple[NDArray[Any], ...]:
        return (self.pixels,)


def instances(volume: Series, radiograph: Series) -> Iterator[Instance]:
    """A study with a volume as its first series, and a radiograph and its mirror image as its second.

    OHIF draws the thumbnail of a series from the middle image, so only the first of the two is loaded by the
    viewport.
    """
    for told, pixels in zip(json.loads(volume.metadata), volume.pixels, strict=True):
        dataset = _described(told, 1, "CT")
        dataset.ImagePositionPatient[2] = SPACING * (dataset.InstanceNumber - 1)
        dataset.SliceThickness = SPACING
        yield Instance(dataset, np.ascontiguousarray(pixels))
    (told,), (pixels,) = json.loads(radiograph.metadata), radiograph.pixels
    for number, seen in enumerate((pixels, pixels[:, ::-1]), start=1):
        dataset = _described(told, 2, "XA")
        dataset.SOPClassUID, dataset.InstanceNumber = RADIOGRAPH_CLASS, number
        dataset.SOPInstanceUID = f"{dataset.SeriesInstanceUID}.{number}"
        del dataset.ImagePositionPatient, dataset.ImageOrientationPatient, dataset.FrameOfReferenceUID
        yield Instance(dataset, np.ascontiguousarray(seen))


def _described(told: dict[str, Any], series: int, modality: str) -> Dataset:
    dataset = Dataset.from_json(told)
    dataset.PatientName, dataset.PatientID, dataset.AccessionNumber = PATIENT, "viewers", "1"
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20260102", "030405", "1"
    dataset.PatientBirthDate = dataset.PatientSex = dataset.ReferringPhysicianName = ""
    dataset.StudyDescription, dataset.SeriesDescription = "For viewers", modality
    dataset.SeriesNumber, dataset.Modality = series, modality
    dataset.SeriesDate, dataset.SeriesTime = dataset.StudyDate, dataset.StudyTime
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.PixelData = b"\0\0"
    return dataset


def write_study(tree: Path, volume: Series, radiograph: Series) -> None:
    """Writes the study as a tree for the demo's origin."""
    prepare(tree, "viewers", lambda: list(instances(volume, radiograph)), encode_htj2k, io.StringIO())


@dataclass(frozen=True, slots=True)
class Call:
    """One request that reached the archive."""

    target: str
    """Path and query."""
    range: str | None

    @property
    def kind(self) -> str:
        """`frames`, `metadata` or `searches`."""
        if "/frames/" in self.target:
            return "frames"
        return "metadata" if self.target.endswith("/metadata") else "searches"


@dataclass
class Archive:
    """The archive as an application. Pages of any origin may read it, so a viewer can open it directly."""

    app: ASGIApp
    calls: list[Call] = field(default_factory=list)
    """Requests so far, without preflights."""
    url: str = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "GET":
            query = scope["query_string"].decode()
            asked = next((value.decode() for name, value in scope["headers"] if name == b"range"), None)
            self.calls.append(Call(scope["path"] + f"?{query}" * bool(query), asked))
        await self.app(scope, receive, send)

    def taken(self) -> list[Call]:
        """The requests since the last call."""
        taken, self.calls = self.calls, []
        return taken


def archive_of(tree: Path) -> Archive:
    """The archive over a tree. Reads the tree's lists, and the table of media types, once, here."""
    mimetypes.init()
    app = CORSMiddleware(
        create_origin(tree), allow_origins=["*"], allow_headers=["Range"], expose_headers=EXPOSED
    )
    return Archive(app)
