"""Reads the markers of a JPEG or JPEG-LS: size, depth, and whether its colour is luma and chroma."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_SOI, _APP0, _APP14, _SOS = 0xFFD8, 0xFFE0, 0xFFEE, 0xFFDA
_SOF = frozenset(range(0xFFC0, 0xFFD0)) - {0xFFC4, 0xFFC8, 0xFFCC} | {0xFFF7}  # T.81 B.1.1.3, T.87 C.1.1
_LOSSLESS = frozenset({0xFFC3, 0xFFC7, 0xFFCB, 0xFFCF})
_JPEG_LS = 0xFFF7
_FRAME = struct.Struct(">BHHB")


@dataclass(frozen=True, slots=True)
class Coded:
    """The samples of a codestream."""

    precision: int
    """Bits per sample."""
    is_lossy: bool
    """True if samples may differ from the original, even beyond the range in the metadata."""


@dataclass(frozen=True, slots=True)
class Jpeg(Coded):
    """The markers up to the first scan."""

    at: int
    """Offset of the frame header."""
    marker: int
    """Marker of the frame header, which tells the coding process."""
    rows: int
    """Pixel rows."""
    columns: int
    """Pixel columns."""
    components: bytes
    """The identifiers of the components."""
    is_jfif: bool
    """True if there is a JFIF marker; its colour is luma and chroma (T.871 7)."""
    transform: int | None
    """Colour transform in Adobe's marker, 0 is none (T.872 6.5.3); None without that marker."""

    @property
    def is_ls(self) -> bool:
        """True if the data is JPEG-LS."""
        return self.marker == _JPEG_LS

    @property
    def is_lossless(self) -> bool:
        """True if the process is lossless JPEG."""
        return self.marker in _LOSSLESS

    def is_ybr(self, label: str) -> bool:
        """True if the colour is luma and chroma. If no marker tells, PhotometricInterpretation decides.

        The lossless process does not change colour, so the label decides unless a marker names a transform.
        """
        is_said = label.startswith("YBR")
        if self.is_lossless:
            return is_said or bool(self.transform)
        if self.components.upper() == b"RGB":
            return False
        if self.is_jfif:
            return True
        return is_said if self.transform is None else self.transform != 0


def read_jpeg(content: bytes) -> Jpeg | None:
    """Reads a JPEG or JPEG-LS; None if there is no frame header before the first scan."""
    frame: tuple[int, int, bytes] | None = None
    is_jfif, transform, near = False, None, 0
    for at, marker, body in _segments(content):
        if marker in _SOF and frame is None and len(body) >= _FRAME.size:
            frame = at, marker, body
        elif marker == _APP0 and body.startswith(b"JFIF\0"):
            is_jfif = True
        elif marker == _APP14 and body.startswith(b"Adobe") and len(body) >= 12:
            transform = body[11]
        elif marker == _SOS and body and len(body) > 2 * body[0] + 1:
            near = body[2 * body[0] + 1]  # T.87 C.2.3
    if frame is None:
        return None
    at, marker, body = frame
    precision, rows, columns, count = _FRAME.unpack_from(body)
    is_lossy = near > 0 if marker == _JPEG_LS else marker not in _LOSSLESS
    components = body[_FRAME.size :: 3][:count].ljust(count, b"\0")
    return Jpeg(precision, is_lossy, at, marker, rows, columns, components, is_jfif, transform)


def _segments(content: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yields offset, marker and body of each segment up to the first scan (T.81 B.1.1.4)."""
    at = 2 if int.from_bytes(content[:2], "big") == _SOI else len(content)
    while at + 4 <= len(content):
        marker, length = struct.unpack_from(">HH", content, at)
        if marker == 0xFFFF:  # fill bytes (T.81 B.1.1.2)
            at += 1
            continue
        if marker < 0xFFC0 or length < 2:
            return
        yield at, marker, content[at + 4 : at + 2 + length]
        if marker == _SOS:
            return
        at += 2 + length
