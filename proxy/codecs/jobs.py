"""What alternates are, and the making of one, as values; no codec is needed to speak of them."""

import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from proxy.wire.display import Display, DisplayWindow, Palette, Table
from proxy.wire.pixels import ImagePixel

Codec = Literal["htj2k", "jpegls", "jpeg"]
MadeHere = Literal["always", "if-missing", "never"]
RenderedBy = Literal["origin", "proxy", "if-missing"]
LABELS = {
    ("htj2k", False): "image/jphc;transfer-syntax=1.2.840.10008.1.2.4.202",
    ("htj2k", True): "image/jphc;transfer-syntax=1.2.840.10008.1.2.4.203",
    ("jpegls", False): "image/jls;transfer-syntax=1.2.840.10008.1.2.4.80",
    ("jpegls", True): "image/jls;transfer-syntax=1.2.840.10008.1.2.4.81",
    ("jpeg", True): "image/jpeg;transfer-syntax=1.2.840.10008.1.2.4.50",
}
"""Media type and transfer syntax by codec and whether something is lost (PS3.18 table 8.7.3-5)."""


@dataclass(frozen=True, slots=True)
class Alternate:
    """What a frame is made into."""

    codec: Codec
    """How it is encoded."""
    near: int = 0
    """JPEG-LS: by how much a value may differ; 0 is lossless."""
    step: float = 0.0
    """HTJ2K: quantization step; 0 is lossless."""
    quality: int = 90
    """JPEG: 1 to 100."""
    scale: int = 1
    """By so much width and height are divided, a power of 2."""
    at_most: int = 0
    """Instead of a scale: the least that leaves no side longer than so many pixels; 0 is none."""

    @property
    def is_lossy(self) -> bool:
        """Whether encoding loses something."""
        return self.codec == "jpeg" or self.near > 0 or self.step > 0

    @property
    def is_reduced(self) -> bool:
        """Whether it may be smaller than the frame."""
        return self.scale > 1 or self.at_most > 0

    def scale_of(self, columns: int, rows: int) -> int:
        """By how much a picture of that size is divided.

        >>> Alternate("jpegls", at_most=512).scale_of(3036, 3036)
        8
        """
        scale = self.scale
        while self.at_most and max(-(-columns // scale), -(-rows // scale)) > self.at_most:
            scale *= 2
        return scale


@dataclass(frozen=True, slots=True)
class Offered:
    """One alternate that viewers may ask for."""

    path: str
    """What stands in the URL instead of `/frames/`."""
    made: MadeHere
    """Whether it is made here: always, where the origin has none, or never."""
    alternate: Alternate
    """What is made."""

    @property
    def media(self) -> str:
        """Its media type, where that is known before."""
        if self.made != "always":
            return "image/*"
        return LABELS[self.alternate.codec, self.alternate.is_lossy].partition(";")[0]


@dataclass(frozen=True, slots=True)
class Job:
    """A frame to be made into an alternate."""

    content: bytes
    """Its bytes, whole."""
    syntax: str
    """Their transfer syntax."""
    pixel: ImagePixel
    """What the metadata says of them."""
    alternate: Alternate
    """Into what."""
    scale: int
    """By so much they are still to be divided."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """A frame to be made into a picture for people."""

    content: bytes
    """Its bytes, whole."""
    syntax: str
    """Their transfer syntax."""
    pixel: ImagePixel
    """What the metadata says of them."""
    display: Display
    """How they are shown."""
    region: tuple[float, float, float, float]
    """Which of them, in pixels: left, top, width, height; where one of the last two is negative, mirrored."""
    size: tuple[int, int]
    """Into how many pixels across and down; no more than the region has."""
    media: str
    """image/jpeg or image/png."""
    quality: int
    """Of a JPEG, 1 to 100."""


@dataclass(frozen=True, slots=True)
class Made:
    """An alternate of one frame."""

    content: bytes
    """Its codestream."""
    label: str
    """Media type, with transfer syntax where it is for viewers of DICOM."""
    size: tuple[int, int]
    """Its width and height in pixels."""


def message(head: dict[str, Any], content: bytes = b"") -> tuple[bytes, bytes]:
    """To a worker or from it: the length of the head (4 bytes, big endian) and the head in JSON; the content.

    In two, since joining them would copy megabytes.
    """
    text = json.dumps(head | {"content": len(content)}).encode()
    return len(text).to_bytes(4, "big") + text, content


def job_message(job: Job | Rendering) -> tuple[bytes, bytes]:
    """A job for a worker."""
    return message(asdict(replace(job, content=b"")), job.content)


def read_job(told: dict[str, Any], content: bytes) -> Job | Rendering:
    """A job as its worker gets it."""
    told |= {"content": content, "pixel": ImagePixel(**told["pixel"])}
    if "alternate" in told:
        return Job(**told | {"alternate": Alternate(**told["alternate"])})
    display = told["display"]
    kinds = {"window": DisplayWindow, "palette": Palette, "modality": Table, "voi": Table}
    display |= {name: kind(**display[name]) for name, kind in kinds.items() if display[name]}
    return Rendering(**told | {"display": Display(**display)})
