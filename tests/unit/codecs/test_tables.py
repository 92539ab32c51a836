"""Tables in metadata: palettes, plain and segmented, Modality and VOI LUTs; pydicom checks what it gets
right."""

import struct
from base64 import b64encode
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
from pydicom.pixels.utils import pixel_array

from proxy.codecs.render import show, windowed
from proxy.codecs.tables import coloured, mapped
from proxy.errors import CodestreamError, NotMade
from proxy.wire.display import Display, DisplayWindow, Palette, Table, read_displays
from proxy.wire.pixels import ImagePixel, read_image_pixel

RAMP = np.arange(65536, dtype="u2").reshape(256, 256)
COLOURS = ("Red", "Green", "Blue")


def base64(content: bytes) -> str:
    return b64encode(content).decode()


def palette(entries: int, first: int, bits: int, table: bytes, *, is_segmented: bool = False) -> Palette:
    return Palette(entries, first, bits, (base64(table),) * 3, is_segmented)


def greys(indices: Any, found: Palette) -> list[int]:
    return [int(value) for value in coloured(np.array([indices]), found)[0, :, 0]]


@pytest.mark.parametrize(("said", "held"), [(8, 16), (16, 16), (12, 16), (16, 8), (8, 8)])
def test_the_number_of_bytes_says_how_many_bits_a_palette_has(said: int, held: int) -> None:
    values = np.arange(256, dtype=f"<u{held // 8}") * (257 if held == 16 else 1)
    assert greys([0, 7, 255], palette(256, 0, said, values.tobytes())) == [0, 7, 255]


def test_8_bits_may_stand_in_words_and_be_said_to_be_16() -> None:
    words = np.arange(256, dtype="<u2").tobytes()
    for bits in (8, 16):
        assert greys([0, 7, 255], palette(256, 0, bits, words)) == [0, 7, 255]


def test_an_odd_number_of_bytes_is_padded() -> None:
    assert greys([0, 254, 255], palette(255, 0, 8, bytes(range(255)) + b"\0")) == [0, 254, 254]


def test_indices_beyond_a_palette_have_the_colour_of_its_ends() -> None:
    found = palette(256, 10, 8, bytes(range(256)))
    assert greys([0, 10, 11, 265, 266, 300, 60000], found) == [0, 0, 1, 255, 255, 255, 255]


def described(descriptor: list[int], table: bytes, **more: Any) -> dict[str, Any]:
    tags: dict[str, Any] = {"00280010": 1, "00280011": 1, "00280100": 16, "00280103": 0} | more
    found: dict[str, Any] = {tag: {"vr": "US", "Value": [value]} for tag, value in tags.items()}
    for last in (1, 2, 3):
        found[f"0028110{last}"] = {"vr": "US", "Value": descriptor}
        found[f"0028120{last}"] = {"vr": "OW", "InlineBinary": base64(table)}
    return found


@pytest.mark.parametrize("entries", [0, 65536])
def test_no_entries_are_65536(entries: int) -> None:
    (display,) = read_displays(described([entries, 0, 16], RAMP.tobytes()))
    assert display.palette is not None
    assert greys([0, 0x1234, 65535], display.palette) == [0, 0x12, 255]


@pytest.mark.parametrize(
    ("is_signed", "said", "first"), [(1, 65436, -100), (1, -100, -100), (0, 40000, 40000)]
)
def test_the_first_index_has_a_sign_if_pixels_have_one(is_signed: int, said: int, first: int) -> None:
    (display,) = read_displays(described([256, said, 8], bytes(range(256)), **{"00280103": is_signed}))
    assert display.palette is not None
    assert display.palette.first == first
    assert greys([first - 1, first, first + 9], display.palette) == [0, 0, 9]


def segments(width: int, *numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}{'BH'[width - 1]}", *numbers)


def indirect(width: int, count: int, place: int) -> list[int]:
    return [2, count, *([place & 255, place >> 8, 0, 0] if width == 1 else [place, 0])]


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("said", [8, 16])
def test_segments_are_expanded(width: int, said: int) -> None:
    """Discrete and linear segments, and copies of these at an offset in bytes (PS3.3 C.7.9.2)."""
    table = segments(width, 0, 2, 5, 6, 1, 3, 9, 0, 1, 0, *indirect(width, 2, 4 * width))
    wanted = [5, 6, 7, 8, 9, 0, 3, 6, 9, 0]
    found = palette(len(wanted), 0, said, table + b"\0" * (len(table) % 2), is_segmented=True)
    assert greys(range(len(wanted)), found) == wanted


@pytest.mark.parametrize(
    "table",
    [
        segments(2, 1, 9, 7),
        segments(2, 0, 900, 1, 2),
        segments(2, 0, 1, 7, 2, 65535, 0, 0),
        segments(2, 0, 1, 7, 1, 65535, 9),
        segments(2, 0, 1, 7, *indirect(2, 1, 6)),
        segments(2, 0, 1, 7, *indirect(2, 65535, 60000)),
        segments(2, 0, 1, 7, 1, 0, 9),
        segments(2, 9, 1, 7),
        b"\0\1",
    ],
    ids=range(9),
)
def test_segments_that_make_no_table_are_an_error(table: bytes) -> None:
    with pytest.raises(CodestreamError, match="segments of the palette do not make its 256 entries"):
        coloured(np.zeros((2, 2), "u1"), palette(256, 0, 16, table, is_segmented=True))


def read(path: Any) -> tuple[Dataset, dict[str, Any], ImagePixel]:
    dataset = dcmread(path)
    metadata = dataset.to_json_dict(1 << 30, suppress_invalid_tags=True)
    pixel = read_image_pixel(metadata)
    assert pixel is not None
    return dataset, metadata, pixel


def test_a_real_segmented_palette_is_that_of_pydicom() -> None:
    dataset, metadata, pixel = read(str(get_testdata_file("gdcm-US-ALOKA-16.dcm", download=False)))
    stored = pixel_array(dataset, raw=True)
    theirs = apply_color_lut(stored, dataset)
    assert np.array_equal(show(stored, pixel, read_displays(metadata)[0]), theirs >> 8)


@pytest.mark.parametrize("name", ["mlut_18.dcm", "vlut_04.dcm"])
def test_real_luts_are_those_of_pydicom(name: str) -> None:
    dataset, metadata, pixel = read(str(get_testdata_file(name, download=False)))
    stored = pixel_array(dataset, raw=True)
    values = apply_voi_lut(apply_modality_lut(stored, dataset), dataset).astype(float)
    (display,) = read_displays(metadata)
    assert (display.modality is None, display.voi is None) == (name[0] != "m", name[0] != "v")
    least, most = (values.min(), values.max()) if display.voi is None else (0, (1 << display.voi.bits) - 1)
    wanted = (values - least) / (most - least) * 255
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        wanted = 255 - wanted
    assert np.abs(show(stored, pixel, display) - wanted).max() <= 0.5 + 1e-6


def lut(entries: int, first: int, bits: int, values: Any) -> Table:
    return Table(entries % 65536 or 65536, first, bits, base64(np.array(values, "<u2").tobytes()))


@pytest.mark.parametrize("bits", [8, 9, 10, 12, 16])
def test_a_voi_lut_has_as_many_greys_as_its_bits_say(bits: int) -> None:
    top = (1 << bits) - 1
    voi = lut(4096, -100, bits, np.linspace(0, top, 4096).round())
    stored = np.arange(-200, 4100, dtype="i2").reshape(43, 100)
    wanted = np.linspace(0, 255, 4096)[np.clip(stored + 100, 0, 4095)]
    assert np.abs(windowed(stored, Display(voi=voi)) - wanted).max() <= 0.5 + 255 / top / 2
    assert np.array_equal(
        windowed(stored, Display(voi=voi), is_inverted=True)[0], 255 - windowed(stored, Display(voi=voi))[0]
    )


def test_stored_values_go_through_the_modality_lut_and_then_the_window() -> None:
    modality = lut(256, 0, 12, np.arange(256)[::-1] * 16)
    stored = np.arange(256, dtype="u1").reshape(16, 16)
    values = np.arange(256)[::-1].reshape(16, 16) * 16
    shown = windowed(stored, Display(9, 9, DisplayWindow(2040, 4080, "linear-exact"), modality=modality))
    assert np.abs(shown - np.clip(values / 4080, 0, 1) * 255).max() <= 0.5
    assert windowed(stored, Display(modality=modality))[0, 0] == 255


def item(tag: str, descriptor: list[int], data: dict[str, Any]) -> dict[str, Any]:
    return {
        tag: {
            "vr": "SQ",
            "Value": [{"00283002": {"vr": "US", "Value": descriptor}, "00283006": {"vr": "US"} | data}],
        }
    }


WINDOW: dict[str, Any] = {"00281050": {"vr": "DS", "Value": [40]}, "00281051": {"vr": "DS", "Value": [400]}}


def test_a_lut_is_read_as_numbers_or_as_bytes_and_goes_before_a_window_unless_one_is_asked_for() -> None:
    for data in ({"Value": [1, 2, 65535]}, {"InlineBinary": base64(b"\1\0\2\0\xff\xff")}):
        (display,) = read_displays(WINDOW | item("00283010", [3, 65530, 16], data))
        assert (display.window, display.voi) == (None, Table(3, 65530, 16, base64(b"\1\0\2\0\xff\xff")))
        asked = display.through(DisplayWindow(1, 2))
        assert (asked.window, asked.voi) == (DisplayWindow(1, 2), None)
        assert display.through(None) is display


def test_a_voi_lut_that_is_elsewhere_leaves_the_window_and_a_modality_lut_is_missed() -> None:
    elsewhere = {"BulkDataURI": "https://example.org/1"}
    (display,) = read_displays(WINDOW | item("00283010", [3, 0, 16], elsewhere))
    assert (display.window, display.voi) == (DisplayWindow(40, 400), None)
    (display,) = read_displays(WINDOW | item("00283000", [3, 0, 16], elsewhere))
    with pytest.raises(NotMade, match="Modality LUT"):
        show(np.zeros((2, 2), "u2"), ImagePixel(2, 2), display)


@pytest.mark.parametrize(
    "descriptor", [[], [3, 0], [3, 0, "x"], [3, None, 16], [1e9, 0, 16], [1 << 30, 0, 16]]
)
def test_a_descriptor_that_is_none_is_as_if_it_were_not_there(descriptor: list[Any]) -> None:
    assert read_displays(item("00283010", descriptor, {"Value": [1, 2, 3]}))[0].voi is None


def test_a_table_of_another_length_is_an_error() -> None:
    with pytest.raises(CodestreamError, match="6 bytes, but the metadata says 256 entries"):
        mapped(np.zeros(3), lut(256, 0, 16, [1, 2, 3]))


def test_what_pydicom_does_otherwise() -> None:
    """If this fails, pydicom is fixed and its functions can be used."""
    dataset, one = Dataset(), Dataset()
    one.LUTDescriptor, one.LUTData = [4096, 0, 8], [value >> 4 for value in range(4096)]
    one["LUTData"].VR = "US"
    dataset.VOILUTSequence = [one]
    assert apply_voi_lut(np.array([3000], "u2"), dataset) != 3000 >> 4
    one.LUTDescriptor = [4096, -100, 16]
    with pytest.raises(OverflowError):
        apply_voi_lut(np.array([3000], "u2"), dataset)
    dataset, one.LUTDescriptor = Dataset(), [4096, 0, 12]
    dataset.ModalityLUTSequence = [one]
    with pytest.raises(TypeError, match="uint12"):
        apply_modality_lut(np.array([3000], "u2"), dataset)
    dataset = Dataset()
    for name in COLOURS:
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 8])
        setattr(dataset, f"{name}PaletteColorLookupTableData", bytes(range(256)))
    assert apply_color_lut(np.array([[300]], "u2"), dataset)[0, 0, 0] == 300 - 256
    dataset = Dataset()
    dataset.set_original_encoding(is_implicit_vr=False, is_little_endian=True)
    table = segments(2, 0, 2, 5, 6, 1, 3, 9, *indirect(2, 1, 0))
    for name in COLOURS:
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [7, 0, 16])
        setattr(dataset, f"Segmented{name}PaletteColorLookupTableData", table)
    assert apply_color_lut(np.array([[6]], "u2"), dataset)[0, 0, 0] == 6
    at = segments(2, 0, 1, 5, 0, 1, 6, *indirect(2, 1, 6))
    for name in COLOURS:
        setattr(dataset, f"Segmented{name}PaletteColorLookupTableData", at)
    with pytest.raises((ValueError, IndexError)):
        apply_color_lut(np.array([[2]], "u2"), dataset)
