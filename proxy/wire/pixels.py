"""Reads from an instance's metadata how its pixels are stored (PS3.3 C.7.6.3). Pure."""

from dataclasses import dataclass

from proxy.errors import CodestreamError
from proxy.wire.dicomjson import COLUMNS, ROWS, Instance, text_of, whole_of

HALF_CHROMA = ("YBR_FULL_422", "YBR_PARTIAL_422")
"""Photometric interpretations with 4:2:2 chroma if uncompressed: one Cb/Cr pair for two pixels."""
PADDING = 32
"""A frame may be followed by up to 1/32 of its size in unused bytes; some files are padded to a block."""

_SAMPLES, _PHOTOMETRIC, _PLANAR = "00280002", "00280004", "00280006"
_ALLOCATED, _STORED, _HIGH, _REPRESENTATION = "00280100", "00280101", "00280102", "00280103"
STORING = frozenset(
    {ROWS, COLUMNS, _SAMPLES, _PHOTOMETRIC, _PLANAR, _ALLOCATED, _STORED, _HIGH, _REPRESENTATION}
)
"""All attributes that are read here."""


@dataclass(frozen=True, slots=True)
class ImagePixel:
    """The attributes that are needed to decode a frame of raw pixels."""

    rows: int
    """Pixel rows."""
    columns: int
    """Pixel columns."""
    samples: int = 1
    """Samples per pixel: 1 is grey or a palette index, 3 is colour."""
    allocated: int = 16
    """Bits allocated per sample: 8 or 16 here."""
    stored: int = 16
    """Bits of each sample that hold the value."""
    is_signed: bool = False
    """True if samples are two's complement."""
    is_planar: bool = False
    """True if uncompressed colour is stored plane by plane."""
    photometric: str = "MONOCHROME2"
    """PhotometricInterpretation."""
    low: int = 0
    """Unused bits below the value, which ends at HighBit. They may hold an overlay (PS3.5 8.1.1)."""

    @property
    def size(self) -> int:
        """Returns the number of samples in one frame."""
        return self.rows * self.columns * self.samples

    @property
    def dtype(self) -> str:
        """Returns the numpy name of the sample type, little endian.

        >>> ImagePixel(512, 512, is_signed=True).dtype
        '<i2'
        """
        return f"<{'i' if self.is_signed else 'u'}{self.allocated // 8}"

    def bits_of(self, length: int, frames: int = 1) -> int:
        """Returns the bits of one frame if `length` bytes hold `frames` uncompressed frames.

        A YBR_FULL_422 frame may have full chroma despite its name. Raises `CodestreamError` if the length
        matches no layout.

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
        expected = " or ".join(f"{size:,}" for size in sizes)
        raise CodestreamError(f"the pixels have {length:,} bytes, but the metadata implies {expected}")


def read_image_pixel(instance: Instance) -> ImagePixel | None:
    """Reads the attributes of one instance in DICOM JSON; None if it describes no pixels."""
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
