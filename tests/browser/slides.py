"""A slide for a microscopy viewer: two levels of coloured tiles, in JPEG or HTJ2K, and an archive with it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proxy.codecs.htj2k import encode_htj2k
from proxy.wire.multipart import wrap
from tests.browser.archive import Archive
from tests.scripted_origin import UID

TILE, ACROSS = 256, 2
"""Pixels of a tile, and tiles across the larger level."""
STUDY, SERIES = f"{UID}.21", f"{UID}.22"
SLIDE_CLASS = "1.2.840.10008.5.1.4.1.1.77.1.6"
BOUNDARY = "tile"
DRAWN = """async (viewer) => {
    const held = Object.getOwnPropertySymbols(viewer).map((name) => viewer[name]);
    const map = held.find((each) => each?.getTargetElement);
    await new Promise((resolve) => {
        map.once('rendercomplete', resolve);
        map.render();
    });
}"""
"""JavaScript: waits until OpenLayers, by which dicom-microscopy-viewer draws, has drawn each tile."""


@dataclass(frozen=True)
class Form:
    """A form in which an archive stores tiles."""

    encode: Callable[[NDArray[Any]], bytes]
    media: str
    syntax: str
    photometric: str


FORMS = {
    "JPEG": Form(
        lambda tile: bytes(imagecodecs.jpeg8_encode(tile, level=90)),
        "image/jpeg",
        "1.2.840.10008.1.2.4.50",
        "YBR_FULL_422",
    ),
    "HTJ2K": Form(encode_htj2k, "image/jphc", "1.2.840.10008.1.2.4.202", "YBR_RCT"),
}


@dataclass(frozen=True)
class Slide:
    """A slide as an archive holds it."""

    metadata: bytes
    frames: dict[str, bytes] = field(default_factory=dict)
    """Encoded tiles by path."""


def slide(form: Form) -> Slide:
    """A slide of 512 × 512 pixels in four tiles, and the same at half its width in one."""
    whole = _pixels(TILE * ACROSS)
    levels = [whole, np.ascontiguousarray(whole[::ACROSS, ::ACROSS])]
    told, frames = [], {}
    for level, pixels in enumerate(levels):
        dataset = _dataset(level, pixels.shape[0], form)
        told.append(dataset.to_json_dict())
        path = f"/studies/{STUDY}/series/{SERIES}/instances/{dataset.SOPInstanceUID}/frames"
        corners = range(0, pixels.shape[0], TILE)
        tiles = [pixels[top : top + TILE, left : left + TILE] for top in corners for left in corners]
        for number, tile in enumerate(tiles, start=1):
            frames[f"{path}/{number}"] = form.encode(np.ascontiguousarray(tile))
    return Slide(json.dumps(told).encode(), frames)


def _pixels(side: int) -> NDArray[Any]:
    """Something like stained tissue: soft spots of two colours, and a little noise."""
    rows, columns = np.mgrid[0:side, 0:side] / side
    spots = np.sin(23 * rows + 5 * columns) * np.cos(31 * columns - 7 * rows)
    colours = np.stack([200 + 40 * spots, 150 + 60 * spots * rows, 190 + 50 * columns * spots], axis=-1)
    noise = np.random.default_rng(1).normal(0, 4, colours.shape)
    return np.ascontiguousarray(np.clip(colours + noise, 0, 255).astype(np.uint8))


def _dataset(level: int, side: int, form: Form) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = SLIDE_CLASS, f"{SERIES}.{level + 1}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY, SERIES
    dataset.PatientID, dataset.PatientName, dataset.Modality = "slide", "Nobody", "SM"
    dataset.ImageType = ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED" if level else "NONE"]
    dataset.InstanceNumber, dataset.SeriesNumber = level + 1, 1
    dataset.FrameOfReferenceUID, dataset.ContainerIdentifier = f"{UID}.23", "slide"
    dataset.AvailableTransferSyntaxUID = form.syntax
    dataset.DimensionOrganizationType, dataset.NumberOfFrames = "TILED_FULL", (side // TILE) ** 2
    dataset.TotalPixelMatrixRows = dataset.TotalPixelMatrixColumns = side
    dataset.Rows = dataset.Columns = TILE
    dataset.ImagedVolumeWidth = dataset.ImagedVolumeHeight = 0.512
    dataset.ImagedVolumeDepth = 0.001
    dataset.NumberOfOpticalPaths = dataset.TotalPixelMatrixFocalPlanes = 1
    dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
    dataset.PhotometricInterpretation = form.photometric
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.ImageOrientationSlide = [0, -1, 0, -1, 0, 0]
    origin, measures, groups, path = Dataset(), Dataset(), Dataset(), Dataset()
    origin.XOffsetInSlideCoordinateSystem = origin.YOffsetInSlideCoordinateSystem = 10
    dataset.TotalPixelMatrixOriginSequence = [origin]
    measures.PixelSpacing, measures.SliceThickness = [0.512 / side] * 2, 0.001
    groups.PixelMeasuresSequence = [measures]
    dataset.SharedFunctionalGroupsSequence = [groups]
    path.OpticalPathIdentifier, path.OpticalPathDescription = "1", "brightfield"
    light = Dataset()
    light.CodeValue, light.CodingSchemeDesignator = "111741", "DCM"
    light.CodeMeaning = "Transmission illumination"
    path.IlluminationTypeCodeSequence = [light]
    dataset.OpticalPathSequence = [path]
    return dataset


def _row(held: Slide, *, has_series: bool) -> bytes:
    """The result of a search for the study, or for its series."""
    told = json.loads(held.metadata)[0]
    names = ("0020000D", "00100010", "00100020", "0020000E", "00080060", "00200011")
    counts = {"00201209": 2} if has_series else {"00201206": 1, "00201208": 2, "00080061": "SM"}
    counted = {tag: {"vr": "IS", "Value": [value]} for tag, value in counts.items()}
    return json.dumps([{tag: told[tag] for tag in names if tag in told} | counted]).encode()


def archive_of(held: Slide, form: Form) -> Archive:
    """An archive that has the slide, gives frames as multipart and has no ranges. Any page may read it."""
    label = f"{form.media}; transfer-syntax={form.syntax}"
    around = wrap(BOUNDARY, label)
    kind = f'multipart/related; type="{form.media}"; boundary={BOUNDARY}'

    async def answer(request: Request) -> Response:
        path = request.url.path
        if path == f"/studies/{STUDY}/series/{SERIES}/metadata":
            return Response(held.metadata, media_type="application/dicom+json")
        if (frame := held.frames.get(path)) is not None:
            return Response(around.before + frame + around.after, headers={"content-type": kind})
        if path in ("/studies", f"/studies/{STUDY}/series"):
            return Response(_row(held, has_series=path != "/studies"), media_type="application/dicom+json")
        return Response(status_code=404)

    return Archive(CORSMiddleware(Starlette(routes=[Route("/{path:path}", answer)]), allow_origins=["*"]))
