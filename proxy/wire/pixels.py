"""How the pixels of an instance are stored, as its metadata says (PS3.3 C.7.6.3); pure."""

from dataclasses import dataclass

from proxy.wire.dicomjson import COLUMNS, ROWS, Instance, text_of, whole_of

_SAMPLES, _PHOTOMETRIC, _PLANAR = "00280002", "00280004", "00280006"
_ALLOCATED, _STORED, _REPRESENTATION = "00280100", "00280101", "00280103"


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
    """Of these, bits that are used, from the lowest."""
    is_signed: bool = False
    """Whether samples are two's complement."""
    is_planar: bool = False
    """Whether colour comes plane by plane, where it is not compressed."""
    photometric: str = "MONOCHROME2"
    """PhotometricInterpretation."""

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


def read_image_pixel(instance: Instance) -> ImagePixel | None:
    """Of one instance in DICOM JSON; None where it says nothing of pixels."""
    rows, columns = whole_of(instance, ROWS), whole_of(instance, COLUMNS)
    allocated = whole_of(instance, _ALLOCATED)
    if not (rows and columns and allocated):
        return None
    return ImagePixel(
        rows,
        columns,
        whole_of(instance, _SAMPLES) or 1,
        allocated,
        whole_of(instance, _STORED) or allocated,
        whole_of(instance, _REPRESENTATION) == 1,
        whole_of(instance, _PLANAR) == 1,
        text_of(instance, _PHOTOMETRIC),
    )
