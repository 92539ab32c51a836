"""Rendered pictures: windows, palettes, colours and sizes against plain references and pydicom's own."""

import json
import math
from base64 import b64encode
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import get_frame
from pydicom.pixels.processing import (
    apply_color_lut,
    apply_modality_lut,
    apply_windowing,
    convert_color_space,
)
from pydicom.pixels.utils import pixel_array

from proxy.codecs.jobs import Rendering, job_message, read_job
from proxy.codecs.render import render, scale, show, windowed
from proxy.codecs.tables import coloured
from proxy.errors import CodestreamError, NotMade
from proxy.wire.display import Display, DisplayWindow, Function, Palette, read_displays
from proxy.wire.pixels import ImagePixel, read_image_pixel
from tests.codestreams import Pixels, picture

PLAIN = "1.2.840.10008.1.2.1"
SIGNED = picture(60, 90, dtype="i2")
PICTURES = (SIGNED, picture(60, 90), picture(61, 33, dtype="u1"), picture(40, 41, dtype="i1"))
FUNCTIONS: tuple[Function, ...] = ("linear", "linear-exact", "sigmoid")
GREY = ImagePixel(60, 90, is_signed=True)


def grey_of(stored: float, display: Display, *, is_inverted: bool = False) -> int:
    """Windows one value by the pseudo-code of PS3.3 C.11.2.1.2 and C.11.2.1.3."""
    x, window = stored * display.slope + display.intercept, display.window
    assert window is not None
    c, w = window.center, window.width
    if window.function == "sigmoid":
        share = 1 / (1 + math.exp(min(700, -4 * (x - c) / w)))
    elif window.function == "linear-exact":
        share = 0 if x <= c - w / 2 else 1 if x > c + w / 2 else (x - c) / w + 0.5
    elif x <= c - 0.5 - (w - 1) / 2:
        share = 0
    else:
        share = 1 if x > c - 0.5 + (w - 1) / 2 else (x - (c - 0.5)) / (w - 1) + 0.5
    return math.floor((1 - share if is_inverted else share) * 255 + 0.5)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("stored", PICTURES, ids=lambda stored: str(stored.dtype))
@pytest.mark.parametrize(
    ("slope", "intercept", "center", "width"), [(1, 0, 40, 400), (0.5, -1024, -900.5, 91.25), (-2, 7, 3, 1)]
)
@pytest.mark.parametrize("is_inverted", [False, True])
def test_every_value_is_windowed_as_the_standard_says(
    stored: Pixels,
    function: Function,
    slope: float,
    intercept: float,
    center: float,
    width: float,
    is_inverted: bool,
) -> None:
    display = Display(slope, intercept, DisplayWindow(center, width, function))
    shown = windowed(stored, display, is_inverted=is_inverted)
    values = np.unique(stored)
    expected = {value: grey_of(int(value), display, is_inverted=is_inverted) for value in values}
    assert shown.dtype == np.uint8
    assert all(set(np.unique(shown[stored == value])) == {expected[value]} for value in values)


def dataset_of(stored: Pixels, display: Display, photometric: str = "MONOCHROME2") -> Dataset:
    found = Dataset()
    found.PhotometricInterpretation = photometric
    found.PixelRepresentation = int(stored.dtype.kind == "i")
    found.BitsStored = 8 * stored.itemsize
    found.RescaleSlope, found.RescaleIntercept = display.slope, display.intercept
    if display.window is not None:
        found.WindowCenter, found.WindowWidth = display.window.center, display.window.width
        found.VOILUTFunction = display.window.function.replace("-", "_").upper()
    return found


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("stored", PICTURES, ids=lambda stored: str(stored.dtype))
def test_windows_are_those_of_pydicom(stored: Pixels, function: Function) -> None:
    display = Display(
        2, -1000, DisplayWindow(float(stored.mean()) * 2 - 1000, float(stored.std()) * 4, function)
    )
    dataset = dataset_of(stored, display)
    theirs = apply_windowing(apply_modality_lut(stored, dataset), dataset)
    limits = np.iinfo(stored.dtype)
    least, most = (end * display.slope + display.intercept for end in (limits.min, limits.max))
    greys = (theirs - least) / (most - least) * 255
    assert np.abs(windowed(stored, display) - greys).max() <= 0.5 + 1e-6
    assert len(np.unique(windowed(stored, display))) > 9


def test_without_a_window_the_least_value_is_black_and_the_most_white() -> None:
    for slope in (1, -1):
        shown = windowed(SIGNED, Display(slope, 5))
        ends = [shown.flat[at] for at in (SIGNED.argmin(), SIGNED.argmax())]
        assert ends[::slope] == [0, 255]
    flat = windowed(np.full((4, 5), 7, "u2"), Display())
    assert len(np.unique(flat)) == 1


def test_a_window_of_one_value_parts_black_from_white() -> None:
    shown = windowed(np.arange(256, dtype="u1").reshape(16, 16), Display(window=DisplayWindow(100, 1)))
    assert shown.ravel().tolist() == [0] * 100 + [255] * 156


def palette_of(entries: int, first: int, bits: int, allocated: int = 0) -> tuple[Palette, Dataset]:
    """A palette of random colours, for the code and for pydicom."""
    random = np.random.default_rng(entries)
    tables = [
        random.integers(0, 1 << bits, entries).astype(f"<u{(allocated or bits) // 8}") for _ in range(3)
    ]
    dataset = Dataset()
    for name, table in zip(("Red", "Green", "Blue"), tables, strict=True):
        descriptor = [entries % 65536, first, bits]
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", descriptor)
        setattr(dataset, f"{name}PaletteColorLookupTableData", table.tobytes())
    red, green, blue = (b64encode(table.tobytes()).decode() for table in tables)
    return Palette(entries, first, bits, (red, green, blue)), dataset


@pytest.mark.parametrize(
    ("entries", "first", "bits", "dtype"),
    [(256, 0, 8, "u1"), (256, 0, 16, "u1"), (65536, 0, 16, "u2"), (200, 20, 16, "u1"), (100, -50, 16, "i1")],
)
def test_palettes_are_those_of_pydicom(entries: int, first: int, bits: int, dtype: str) -> None:
    palette, dataset = palette_of(entries, first, bits)
    limits = np.iinfo(dtype)
    indices = np.random.default_rng(2).integers(limits.min, limits.max, (50, 40), dtype, endpoint=True)
    theirs = apply_color_lut(indices.astype("i4"), dataset)
    assert np.array_equal(coloured(indices, palette), theirs >> (8 * theirs.itemsize - 8))


def test_a_palette_of_8_bits_may_be_written_in_16() -> None:
    palette, dataset = palette_of(256, 0, 8, allocated=16)
    indices = np.arange(256, dtype="u1").reshape(16, 16)
    assert np.array_equal(coloured(indices, palette), apply_color_lut(indices, dataset))


@pytest.mark.parametrize("table", ["no Base64!", b64encode(bytes(100)).decode()])
def test_a_palette_that_is_none_is_an_error(table: str) -> None:
    with pytest.raises(CodestreamError, match="palette"):
        coloured(np.zeros((2, 2), "u1"), Palette(256, 0, 16, (table, table, table)))


def test_colour_becomes_red_green_and_blue_of_8_bits() -> None:
    colour = np.random.default_rng(3).integers(0, 256, (30, 40, 3), "u1")
    pixel = ImagePixel(30, 40, 3, 8, 8, photometric="YBR_FULL")
    theirs = convert_color_space(colour, "YBR_FULL", "RGB")
    assert np.abs(show(colour, pixel, Display()).astype(int) - theirs).max() <= 1
    deep = ImagePixel(30, 40, 3, 16, 12, photometric="RGB")
    assert np.array_equal(show(colour.astype("u2") << 4, deep, Display()), colour)


def test_a_palette_that_can_not_be_read_is_said() -> None:
    with pytest.raises(NotMade, match="segmented"):
        show(
            np.zeros((2, 2), "u1"),
            ImagePixel(2, 2, 1, 8, 8, photometric="PALETTE COLOR"),
            Display(no_palette="the palette is segmented"),
        )


def mean_of(shown: Pixels, left: float, top: float, right: float, bottom: float) -> float:
    """The mean of an area, pixel by pixel."""
    total = 0.0
    for row in range(math.floor(top), min(len(shown), math.ceil(bottom))):
        for column in range(math.floor(left), min(len(shown[0]), math.ceil(right))):
            high = min(bottom, row + 1) - max(top, row)
            wide = min(right, column + 1) - max(left, column)
            total += high * wide * float(shown[row, column])
    return total / ((right - left) * (bottom - top))


@pytest.mark.parametrize(
    ("region", "size"),
    [
        ((0, 0, 31, 23), (31, 23)),
        ((0, 0, 31, 23), (10, 7)),
        ((0, 0, 31, 23), (1, 1)),
        ((0, 0, 31, 23), (30, 22)),
        ((3, 5, 12, 9), (12, 9)),
        ((3.25, 5.5, 12.5, 9.75), (5, 4)),
        ((30.5, 22.75, 0.5, 0.25), (1, 1)),
        ((3.25, 5.5, 0.5, 0.25), (1, 1)),
        ((30, 0, 1, 23), (1, 23)),
    ],
)
def test_each_pixel_is_the_mean_of_its_area(region: Any, size: tuple[int, int]) -> None:
    shown = np.random.default_rng(4).integers(0, 256, (23, 31), "u1")
    left, top, width, height = region
    across, down = width / size[0], height / size[1]
    means = [
        [
            mean_of(shown, left + x * across, top + y * down, left + (x + 1) * across, top + (y + 1) * down)
            for x in range(size[0])
        ]
        for y in range(size[1])
    ]
    scaled = scale(shown, region, size)
    assert np.abs(scaled - np.array(means)).max() <= 0.5 + 1e-6
    colour = scale(np.stack([shown, 255 - shown, shown], axis=-1), region, size)
    assert np.array_equal(colour[:, :, 0], scaled)
    assert np.abs(colour[:, :, 1] - (255 - np.array(means))).max() <= 0.5 + 1e-6
    mirrored = scale(shown, (left, top, -width, height), size)
    assert np.array_equal(mirrored, scaled[:, ::-1])
    assert np.array_equal(scale(shown, (left, top, width, -height), size), scaled[::-1])


def test_white_stays_white_however_large_it_is() -> None:
    white = np.full((5000, 300), 255, "u1")
    assert set(np.unique(scale(white, (0, 0, 300, 5000), (77, 1283)))) == {255}


def job_of(media: str, quality: int = 90) -> Rendering:
    display = Display(window=DisplayWindow(0, 3000), palette=palette_of(4, 0, 8)[0])
    content = SIGNED.astype("<i2").tobytes()
    return Rendering(content, PLAIN, GREY, display, (0, 0, 90, 60), (45, 30), media, quality)


def test_what_is_encoded_is_what_is_shown() -> None:
    wanted = scale(windowed(SIGNED, Display(window=DisplayWindow(0, 3000))), (0, 0, 90, 60), (45, 30))
    lossless, good, bad = (
        render(job_of(*how)) for how in (("image/png",), ("image/jpeg", 95), ("image/jpeg", 5))
    )
    assert np.array_equal(imagecodecs.png_decode(lossless.content), wanted)
    assert (lossless.label, lossless.size, good.label) == ("image/png", (45, 30), "image/jpeg")
    assert np.abs(imagecodecs.jpeg8_decode(good.content).astype(int) - wanted).mean() < 2
    assert len(bad.content) < len(good.content)


def test_a_job_comes_to_its_worker_as_it_was() -> None:
    for job in (job_of("image/png"), job_of("image/jpeg")):
        sent = b"".join(job_message(job))
        length = int.from_bytes(sent[:4], "big")
        head: dict[str, Any] = json.loads(sent[4 : 4 + length])
        assert head["content"] == len(job.content)
        got = read_job(head, sent[4 + length :])
        assert isinstance(got, Rendering)
        assert render(got) == render(job)
        assert got.display.window == job.display.window


def of_file(dataset: Dataset) -> Pixels:
    """The first frame as pydicom shows it, without rounding."""
    stored, photometric = pixel_array(dataset, index=0, raw=True), dataset.PhotometricInterpretation
    if photometric == "PALETTE COLOR":
        colours = apply_color_lut(stored, dataset)
        return colours >> (8 * colours.itemsize - 8)
    if photometric.startswith("YBR_FULL"):
        return convert_color_space(stored, photometric, "RGB")
    values = apply_modality_lut(stored, dataset).astype(float)
    black, white = values.min(), values.max()
    if "WindowWidth" in dataset:
        values = apply_windowing(values, dataset)
        least = -(1 << dataset.BitsStored - 1) if dataset.PixelRepresentation else 0
        ends = np.array([least, least + (1 << dataset.BitsStored) - 1])
        black, white = apply_modality_lut(ends, dataset)
    found: Pixels = (values - black) / (white - black) * 255
    return found


@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm",
        "MR_small.dcm",
        "693_J2KI.dcm",
        "examples_overlay.dcm",
        "examples_palette.dcm",
        "examples_rgb_color.dcm",
        "examples_ybr_color.dcm",
        "SC_rgb_dcmtk_+eb+cy+n1.dcm",
        "SC_ybr_full_422_uncompressed.dcm",
    ],
)
def test_real_files_are_shown_as_pydicom_shows_them(name: str) -> None:
    """Reads the display from metadata as a DICOMweb server writes it."""
    dataset = dcmread(str(get_testdata_file(name, download=False)))
    metadata = dataset.to_json_dict(1 << 30, suppress_invalid_tags=True)
    pixel = read_image_pixel(metadata)
    assert pixel is not None
    content, syntax = (
        dataset.PixelData[: pixel.size * pixel.allocated // 8],
        dataset.file_meta.TransferSyntaxUID,
    )
    if syntax.is_encapsulated:
        content = get_frame(dataset.PixelData, 0, number_of_frames=int(dataset.get("NumberOfFrames", 1)))
    whole = (0, 0, pixel.columns, pixel.rows), (pixel.columns, pixel.rows)
    made = render(Rendering(content, syntax, pixel, read_displays(metadata)[0], *whole, "image/png", 0))
    assert np.abs(imagecodecs.png_decode(made.content) - of_file(dataset)).max() <= 0.5 + 1e-6
