"""How the pixels of an instance are stored, as its metadata says (PS3.3 C.7.6.3); pure."""

from dataclasses import dataclass

from proxy.errors import CodestreamError
from proxy.wire.dicomjson import COLUMNS, ROWS, Instance, text_of, whole_of

HALF_CHROMA = ("YBR_FULL_422", "YBR_PARTIAL_422")
"""Colour that has one pair of chroma for each two pixels, if it is not compressed."""
PADDING = 32
"""The part of a frame that may follow it unused is 1 by this; some files are padded to a block."""

_SAMPLES, _PHOTOMETRIC, _PLANAR = "00280002", "00280004", "00280006"
_ALLOCATED, _STORED, _HIGH, _REPRESENTATION = "00280100", "00280101", "00280102", "00280103"


@dataclass(frozen=True, slots=True)
class ImagePixel:
    """What it takes to read a frame whose bytes alone do not tell."""

    rows: int
    """Pixels down."""
    columns: int
    """Pixels across."""
    samples: int = 1
    """1 is grey or an index into a palette, 3 is colour."""
    allocated: int = 16
    """Bits of each sample in the file: 8 or 16 here."""
    stored: int = 16
    """Of these, bits that are the value."""
    is_signed: bool = False
    """Whether samples are two's complement."""
    is_planar: bool = False
    """Whether colour comes plane by plane, where it is not compressed."""
    photometric: str = "MONOCHROME2"
    """PhotometricInterpretation."""
    low: int = 0
    """Bits below the value; the value ends with HighBit, and other bits may be an overlay (PS3.5 8.1.1)."""

    @property
    def size(self) -> int:
        """Samples of one frame."""
        return self.rows * self.columns * self.samples

    @property
    def dtype(self) -> str:
        """Of its samples, little endian, as numpy writes it.

        >>> ImagePixel(512, 512, is_signed=True).dtype
        '<i2'
        """
        return f"<{'i' if self.is_signed else 'u'}{self.allocated // 8}"

    def bits_of(self, length: int, frames: int = 1) -> int:
        """Bits of one frame, if so many bytes are so many frames that are not compressed.

        YBR_FULL_422 may have all of its chroma in spite of its name. Raises `CodestreamError` if the length
        fits no layout.

        >>> colour = ImagePixel(40, 34, 3, 8, 8, photometric="YBR_FULL_422")
        >>> colour.bits_of(2720) // 8, colour.bits_of(4080) // 8
        (2720, 4080)
        """
        full = self.size * self.allocated
        is_half = self.photometric in HALF_CHROMA and self.samples == 3
        layouts = (full * 2 // 3, full) if is_half else (full,)
        sizes = [-(-bits * frames // 8) for bits in layouts]
        for bits, size in zip(layouts, sizes, strict=True):
            if size <= length <= size + max(1, 0 if is_half else bits // 8 // PADDING):
                return bits
        said = " or ".join(f"{size:,}" for size in sizes)
        raise CodestreamError(f"{length:,} bytes of pixels where {said} are said to be")


def read_image_pixel(instance: Instance) -> ImagePixel | None:
    """Of one instance in DICOM JSON; None where it says nothing of pixels."""
    rows, columns = whole_of(instance, ROWS), whole_of(instance, COLUMNS)
    allocated = whole_of(instance, _ALLOCATED)
    if not (rows and columns and allocated):
        return None
    stored, high = min(whole_of(instance, _STORED) or allocated, allocated), whole_of(instance, _HIGH)
    return ImagePixel(
        rows,
        columns,
        whole_of(instance, _SAMPLES) or 1,
        allocated,
        stored,
        whole_of(instance, _REPRESENTATION) == 1,
        whole_of(instance, _PLANAR) == 1,
        text_of(instance, _PHOTOMETRIC),
        max(0, high + 1 - stored) if high < allocated else 0,
    )
