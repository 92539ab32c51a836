"""Alternates, and jobs for workers, as values. Using them needs no codec."""

import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from proxy.wire.display import Display, DisplayWindow, Palette, Table
from proxy.wire.pixels import ImagePixel

Codec = Literal["htj2k", "jpegls", "jpeg"]
MadeHere = Literal["always", "if-missing", "never"]
RenderedBy = Literal["origin", "proxy", "if-missing"]
FramesAs = Literal["origin", "htj2k-if-not"]
LABELS = {
    ("htj2k", False): "image/jphc;transfer-syntax=1.2.840.10008.1.2.4.202",
    ("htj2k", True): "image/jphc;transfer-syntax=1.2.840.10008.1.2.4.203",
    ("jpegls", False): "image/jls;transfer-syntax=1.2.840.10008.1.2.4.80",
    ("jpegls", True): "image/jls;transfer-syntax=1.2.840.10008.1.2.4.81",
    ("jpeg", True): "image/jpeg;transfer-syntax=1.2.840.10008.1.2.4.50",
}
"""Media type and transfer syntax, by codec and lossiness (PS3.18 table 8.7.3-5)."""


@dataclass(frozen=True, slots=True)
class Alternate:
    """How a frame is converted into another representation."""

    codec: Codec
    """The codec."""
    near: int = 0
    """JPEG-LS: maximum difference of a value; 0 is lossless."""
    step: float = 0.0
    """HTJ2K: quantization step; 0 is lossless."""
    quality: int = 90
    """JPEG: 1 to 100."""
    scale: int = 1
    """Width and height are divided by this power of 2."""
    at_most: int = 0
    """Replaces `scale`: use the least scale with no side above this many pixels; 0 is off."""

    @property
    def is_lossy(self) -> bool:
        """True if encoding is lossy."""
        return self.codec == "jpeg" or self.near > 0 or self.step > 0

    @property
    def is_reduced(self) -> bool:
        """True if the result may be smaller than the frame."""
        return self.scale > 1 or self.at_most > 0

    def scale_of(self, columns: int, rows: int) -> int:
        """Returns the divisor for a picture of that size.

        >>> Alternate("jpegls", at_most=512).scale_of(3036, 3036)
        8
        """
        scale = self.scale
        while self.at_most and max(-(-columns // scale), -(-rows // scale)) > self.at_most:
            scale *= 2
        return scale


@dataclass(frozen=True, slots=True)
class Offered:
    """One alternate that viewers can request."""

    path: str
    """Path segment in URLs, in place of `/frames/`."""
    made: MadeHere
    """When the proxy makes the alternate: always, if the origin has none, or never."""
    alternate: Alternate
    """The conversion."""

    @property
    def media(self) -> str:
        """The media type; `image/*` if it is not known in advance."""
        if self.made != "always":
            return "image/*"
        return LABELS[self.alternate.codec, self.alternate.is_lossy].partition(";")[0]


@dataclass(frozen=True, slots=True)
class Job:
    """A frame to convert into an alternate."""

    content: bytes
    """All bytes of the frame."""
    syntax: str
    """Transfer syntax of `content`."""
    pixel: ImagePixel
    """The pixel attributes in the metadata."""
    alternate: Alternate
    """The conversion."""
    scale: int
    """Width and height are still to be divided by this."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """A frame to render as a picture for people."""

    content: bytes
    """All bytes of the frame."""
    syntax: str
    """Transfer syntax of `content`."""
    pixel: ImagePixel
    """The pixel attributes in the metadata."""
    display: Display
    """How stored pixels are displayed."""
    region: tuple[float, float, float, float]
    """The region, in pixels: left, top, width, height. A negative width or height mirrors."""
    size: tuple[int, int]
    """Width and height of the picture in pixels; at most those of the region."""
    media: str
    """image/jpeg or image/png."""
    quality: int
    """JPEG quality, 1 to 100."""


@dataclass(frozen=True, slots=True)
class Made:
    """The result for one frame."""

    content: bytes
    """The encoded bytes."""
    label: str
    """Media type; with the transfer syntax if the result is for DICOM viewers."""
    size: tuple[int, int]
    """Width and height in pixels."""


def message(head: dict[str, Any], content: bytes = b"") -> tuple[bytes, bytes]:
    """Builds a worker's message: the head's length (4 bytes, big endian) and the head in JSON; the content.

    The two parts are not joined, because that would copy megabytes.
    """
    text = json.dumps(head | {"content": len(content)}).encode()
    return len(text).to_bytes(4, "big") + text, content


def job_message(job: Job | Rendering) -> tuple[bytes, bytes]:
    """Builds the message of a job."""
    return message(asdict(replace(job, content=b"")), job.content)


def read_job(told: dict[str, Any], content: bytes) -> Job | Rendering:
    """Reads a job in the worker."""
    told |= {"content": content, "pixel": ImagePixel(**told["pixel"])}
    if "alternate" in told:
        return Job(**told | {"alternate": Alternate(**told["alternate"])})
    display = told["display"]
    kinds = {"window": DisplayWindow, "palette": Palette, "modality": Table, "voi": Table}
    display |= {name: kind(**display[name]) for name, kind in kinds.items() if display[name]}
    return Rendering(**told | {"display": Display(**display)})
