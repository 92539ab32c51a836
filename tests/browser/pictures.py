"""Series for a viewer: pixels of real images, their codestreams, and the metadata to display them."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from pydicom import dcmread

from proxy.codecs.htj2k import decode_htj2k, encode_htj2k
from proxy.demo.images import PackagedFile, find
from proxy.demo.synthetic import ct_slice
from tests.codestreams import Pixels
from tests.scripted_origin import UID, ScriptedOrigin, frame_of

HTJ2K_RPCL = "1.2.840.10008.1.2.4.202"
SLICES = 16


@dataclass(frozen=True)
class Series:
    """A series of instances with one frame each."""

    path: str
    """Path of the series, below the root."""
    pixels: tuple[Pixels, ...]
    """Pixels of each image as (rows, columns), in order of position."""
    window: tuple[int, int]
    """Center and width, in output values."""
    intercept: int = 0
    """Rescale intercept from stored values to output values."""

    @cached_property
    def codestreams(self) -> tuple[bytes, ...]:
        """The codestreams of the images, in the same order."""
        return tuple(map(encode_htj2k, self.pixels))

    @cached_property
    def metadata(self) -> bytes:
        """Metadata in DICOM JSON."""
        return json.dumps([self._instance(image) for image in range(len(self.pixels))]).encode()

    @property
    def frames(self) -> tuple[str, ...]:
        """Paths of the frames."""
        return tuple(frame_of(image, self.path) for image in range(len(self.pixels)))

    def origin(self) -> ScriptedOrigin:
        """An origin that has the series."""
        metadata = {f"{self.path}/metadata": self.metadata}
        return ScriptedOrigin(dict(zip(self.frames, self.codestreams, strict=True)), metadata=metadata)

    def digest(self, image: int = 0, reduce: int = 0) -> str:
        """SHA-256 of an image's output values at 1/2^`reduce` of its size."""
        pixels = decode_htj2k(self.codestreams[image], reduce)
        return hashlib.sha256((pixels + np.array(self.intercept, pixels.dtype)).tobytes()).hexdigest()

    def _instance(self, image: int) -> dict[str, Any]:
        pixels, uid = self.pixels[image], self.path.rpartition("/")[2]
        values: dict[str, tuple[str, Any]] = {
            "00080016": ("UI", "1.2.840.10008.5.1.4.1.1.2"),
            "00080018": ("UI", f"{uid}.{image + 1}"),
            "00080060": ("CS", "CT"),
            "00083002": ("UI", HTJ2K_RPCL),
            "0020000D": ("UI", self.path.split("/")[2]),
            "0020000E": ("UI", uid),
            "00200013": ("IS", image + 1),
            "00200032": ("DS", [0, 0, image]),
            "00200037": ("DS", [1, 0, 0, 0, 1, 0]),
            "00200052": ("UI", f"{UID}.9"),
            "00280002": ("US", 1),
            "00280004": ("CS", "MONOCHROME2"),
            "00280010": ("US", pixels.shape[0]),
            "00280011": ("US", pixels.shape[1]),
            "00280030": ("DS", [0.5, 0.5]),
            "00280100": ("US", 16),
            "00280101": ("US", 16),
            "00280102": ("US", 15),
            "00280103": ("US", int(pixels.dtype.kind == "i")),
            "00281050": ("DS", self.window[0]),
            "00281051": ("DS", self.window[1]),
            "00281052": ("DS", self.intercept),
            "00281053": ("DS", 1),
        }
        return {
            tag: {"vr": vr, "Value": value if isinstance(value, list) else [value]}
            for tag, (vr, value) in values.items()
        }


@cache
def radiograph() -> Series:
    """One image of 1024x1024, from the middle of a chest radiograph."""
    middle = np.ascontiguousarray(large_radiograph().pixels[0][400:1424, 400:1424])
    return Series(f"/studies/{UID}.11/series/{UID}.12", (middle,), window=(12000, 24000))


@cache
def large_radiograph() -> Series:
    """One image of the complete radiograph."""
    chest = dcmread(find(PackagedFile("data_store", "data/RG1_UNCR.dcm"))).pixel_array
    return Series(f"/studies/{UID}.11/series/{UID}.14", (chest,), window=(12000, 24000))


@cache
def volume() -> Series:
    """Sixteen slices of 256x256, made from one slice of a head."""
    head = dcmread(find(PackagedFile("data_store", "data/693_UNCR.dcm"))).pixel_array
    slices = tuple(np.ascontiguousarray(ct_slice(head, 8 * number)[::2, ::2]) for number in range(SLICES))
    return Series(f"/studies/{UID}.11/series/{UID}.13", slices, window=(40, 400), intercept=-1024)
