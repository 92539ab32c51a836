"""Pixel truth: every file with pixels of pydicom and pydicom-data is decoded here and made into alternates.

The oracle is pydicom, with the decoder that `ORACLES` names. These decoders are not the ones used here,
except for libjpeg and CharLS in other builds. pydicom has no decoder for 12-bit JPEG, so GDCM decodes it
directly. YBR_FULL_422 becomes RGB and is compared with pydicom's RGB; no pixel may differ there either.
"""

import importlib.util
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import gdcm
import imagecodecs
import numpy as np
import pytest
from openjpeg.utils import decode
from pydicom import Dataset, dcmread
from pydicom.data.data_manager import DATA_ROOT
from pydicom.encaps import generate_frames
from pydicom.errors import InvalidDicomError
from pydicom.pixels.utils import pixel_array

from proxy.codecs.decode import decode_stored
from proxy.codecs.jobs import Alternate, Codec, Job, Made
from proxy.codecs.transcode import make
from proxy.codestream.header import read_header
from proxy.errors import CodestreamError, NotMade
from proxy.wire.pixels import ImagePixel, read_image_pixel
from tests.codestreams import COLOUR, CORNER, GREY, HT, SIGNED, Pixels, made

pytestmark = [pytest.mark.demo, pytest.mark.slow]

JPEG_12 = "1.2.840.10008.1.2.4.51"
MEGAPIXEL = 1 << 20
OURS = "1.2.840.10008.1.2.4.202"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
ORACLES = {
    "1.2.840.10008.1.2": "",
    "1.2.840.10008.1.2.1": "",
    "1.2.840.10008.1.2.1.99": "",
    "1.2.840.10008.1.2.5": "pydicom",
    "1.2.840.10008.1.2.4.50": "pillow",
    JPEG_12: "gdcm",
    "1.2.840.10008.1.2.4.70": "gdcm",
    "1.2.840.10008.1.2.4.80": "gdcm",
    "1.2.840.10008.1.2.4.81": "gdcm",
    "1.2.840.10008.1.2.4.90": "pylibjpeg",
    "1.2.840.10008.1.2.4.91": "pylibjpeg",
}
"""For each transfer syntax: the plugin that pydicom decodes with."""
KNOWN = dict(zip(ORACLES, (3, 71, 1, 8, 15, 2, 4, 2, 4, 11, 7), strict=True))
"""For each transfer syntax: how many files were compared when this was written."""
FORMS = {
    ("MONOCHROME1", 16, False): 11,
    ("MONOCHROME2", 8, False): 4,
    ("MONOCHROME2", 16, False): 15,
    ("MONOCHROME2", 16, True): 45,
    ("PALETTE COLOR", 8, False): 5,
    ("PALETTE COLOR", 16, False): 1,
    ("RGB", 8, False): 27,
    ("RGB", 16, False): 4,
    ("YBR_FULL", 8, False): 7,
    ("YBR_FULL_422", 8, False): 5,
    ("YBR_ICT", 8, False): 1,
    ("YBR_RCT", 8, False): 3,
}
"""The same, by photometric interpretation, bits and sign."""
DEPTHS = {8, 10, 12, 13, 14, 15, 16}
BROKEN = {"MR_truncated.dcm", "JPEG2000-embedded-sequence-delimiter.dcm"}
"""Files that pydicom can't decode either."""


@dataclass(frozen=True)
class File:
    """One file with pixels."""

    name: str
    dataset: Dataset
    syntax: str
    pixel: ImagePixel
    """The attributes in its metadata in DICOM JSON."""
    frames: tuple[bytes, ...]
    """The first frame; also the last if there are several."""

    @property
    def is_offered(self) -> bool:
        """True if alternates of the file are possible."""
        return self.pixel.allocated in (8, 16) and self.syntax != BIG_ENDIAN

    def job(self, alternate: Alternate, scale: int = 1) -> Job:
        return Job(self.frames[0], self.syntax, self.pixel, alternate, scale)

    def stored(self) -> Pixels:
        return decode_stored(self.frames[0], self.syntax, self.pixel)


@cache
def files() -> tuple[File, ...]:
    spec = importlib.util.find_spec("data_store")
    if spec is None or spec.submodule_search_locations is None:
        pytest.skip("needs the demo's images: pip install progressive-proxy[demo]")
    places = Path(DATA_ROOT, "test_files"), Path(spec.submodule_search_locations[0], "data")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some files are odd on purpose
        return tuple(found for place in places for found in _below(place))


def _below(place: Path) -> Iterator[File]:
    for path in sorted(path for path in place.rglob("*") if path.is_file()):
        try:
            dataset = dcmread(path)
            told = dataset.group_dataset(0x28)
            pixel = read_image_pixel(told.to_json_dict())
        except (InvalidDicomError, ValueError, AttributeError, NotImplementedError):
            continue  # not DICOM, or a file whose header is all that matters
        if "PixelData" in dataset and pixel is not None:
            yield File(path.name, dataset, dataset.file_meta.TransferSyntaxUID, pixel, _frames(dataset))


def _frames(dataset: Dataset) -> tuple[bytes, ...]:
    count, content = int(dataset.get("NumberOfFrames") or 1), dataset.PixelData
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        every = list(generate_frames(content, number_of_frames=count))
    else:
        size = len(content) // count if count > 1 else len(content)
        every = [content[at : at + size] for at in range(0, size * count, size)]
    return (every[0],) if count == 1 else (every[0], every[-1])


def good(syntax: str = "") -> list[File]:
    """Files that can be decoded, of one transfer syntax or of all."""
    offered = [each for each in files() if each.is_offered and each.name not in BROKEN]
    return [each for each in offered if each.syntax == syntax or not syntax]


def small() -> list[File]:
    """The fast ones of these files, and one large one."""
    return [each for each in good() if each.pixel.size < MEGAPIXEL or each.name == "RG1_UNCR.dcm"]


def by_pydicom(file: File, place: int) -> Pixels:
    """A frame as decoded by another decoder."""
    if file.syntax == JPEG_12:
        return by_gdcm(file)
    number = None if file.dataset.get("NumberOfFrames") is None else (0, -1)[place]
    if number == -1:
        number = int(file.dataset.NumberOfFrames) - 1
    is_raw = file.pixel.photometric != "YBR_FULL_422"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: Pixels = pixel_array(
            file.dataset, index=number, raw=is_raw, decoding_plugin=ORACLES[file.syntax]
        )
    return found


def by_gdcm(file: File) -> Pixels:
    reader = gdcm.ImageReader()
    reader.SetFileName(str(file.dataset.filename))
    assert reader.Read()
    content = reader.GetImage().GetBuffer().encode("utf-8", "surrogateescape")
    return np.frombuffer(content, "<u2").reshape(file.pixel.rows, file.pixel.columns)


def test_no_kind_of_file_is_missing() -> None:
    syntaxes = Counter(each.syntax for each in good())
    forms = Counter((each.pixel.photometric, each.pixel.allocated, each.pixel.is_signed) for each in good())
    assert syntaxes >= Counter(KNOWN)
    assert forms >= Counter(FORMS)
    assert {each.pixel.stored for each in good()} >= DEPTHS
    assert sum(each.pixel.is_planar for each in good()) >= 1
    assert sum(len(each.frames) > 1 for each in good()) >= 13
    assert sum(each.pixel.rows % 2 or each.pixel.columns % 2 for each in good()) >= 7


@pytest.mark.parametrize("syntax", ORACLES)
def test_pixels_are_those_that_others_decode(syntax: str) -> None:
    for file in good(syntax):
        for place, frame in enumerate(file.frames):
            ours, theirs = decode_stored(frame, syntax, file.pixel), by_pydicom(file, place)
            assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape), file.name
            assert np.array_equal(ours, theirs), file.name


def test_what_there_is_no_alternate_of_is_said() -> None:
    refused = [each for each in files() if not each.is_offered]
    assert len(refused) >= 28
    for file in refused:
        with pytest.raises(NotMade):
            make(file.job(Alternate("htj2k")))


def test_what_is_broken_is_said() -> None:
    broken = [each for each in files() if each.name in BROKEN]
    assert {each.name for each in broken} == BROKEN
    for file in broken:
        with pytest.raises(CodestreamError):
            make(file.job(Alternate("htj2k")))


ENCODED = {"grey": GREY, "colour": COLOUR, "signed": SIGNED, "corner": CORNER}


@pytest.mark.parametrize(
    "name", [each for each in HT if "lossy" not in each and each.split("-")[1] in ENCODED]
)
def test_htj2k_of_any_encoder_is_decoded_to_what_was_encoded(name: str) -> None:
    pixels, codestream = ENCODED[name.split("-")[1]], made(name)
    colours, bits = (*pixels.shape, 1)[2], 8 * pixels.itemsize
    rows, columns = pixels.shape[:2]
    pixel = ImagePixel(rows, columns, colours, bits, bits, pixels.dtype.kind == "i")
    if "offset" in name:  # legal, made by nobody, and able to crash decoders
        with pytest.raises(CodestreamError, match="offset"):
            decode_stored(codestream, OURS, pixel)
        return
    assert np.array_equal(decode_stored(codestream, OURS, pixel), pixels)


def decoded(made: Made) -> Pixels:
    """A frame as decoded by imagecodecs. Signed JPEG-LS has the same bits, without a sign."""
    if "jls" in made.label:
        return imagecodecs.jpegls_decode(made.content)
    return imagecodecs.htj2k_decode(made.content, planar=False)


@pytest.mark.parametrize("syntax", ORACLES)
def test_what_is_made_without_loss_decodes_to_the_very_pixels(syntax: str) -> None:
    for file in good(syntax):
        stored = file.stored()
        jls, htj2k = make(file.job(Alternate("jpegls"))), make(file.job(Alternate("htj2k")))
        assert np.array_equal(decoded(jls).view(stored.dtype), stored), file.name
        for back in (decoded(htj2k), decode(htj2k.content, j2k_format=0)):
            assert back.dtype == stored.dtype, file.name
            assert np.array_equal(back, stored), file.name
        header = read_header(htj2k.content)
        assert header is not None
        assert header.reasons == (), file.name
        assert header.total == len(htj2k.content)
        assert len(header.resolution_ends) == header.decompositions + 1
        assert jls.size == htj2k.size == (file.pixel.columns, file.pixel.rows)


@pytest.mark.parametrize("near", [1, 5])
def test_nearly_lossless_is_near(near: int) -> None:
    for file in small():
        stored = file.stored()
        found = make(file.job(Alternate("jpegls", near=near)))
        assert found.label.endswith(".81")
        assert farthest(decoded(found).view(stored.dtype), stored) <= near, file.name


def farthest(one: Pixels, other: Pixels) -> float:
    assert one.shape == other.shape
    return float(np.abs(one.astype(np.float64) - other).max())


def mean(pixels: Pixels, scale: int) -> Pixels:
    """The mean of each block, computed differently from the code."""
    sums, counts = pixels.astype(np.float64), np.ones(pixels.shape)
    for axis in (0, 1):
        starts = np.arange(0, pixels.shape[axis], scale)
        sums, counts = (np.add.reduceat(each, starts, axis=axis) for each in (sums, counts))
    found: Pixels = sums / counts
    return found


@pytest.mark.parametrize("codec", ["htj2k", "jpegls"])
@pytest.mark.parametrize("scale", [2, 4, 16])
def test_a_reduced_picture_is_the_mean_of_blocks_and_of_indices_the_first(codec: Codec, scale: int) -> None:
    for file in small():
        stored = file.stored()
        found = make(file.job(Alternate(codec, scale=scale), scale))
        pixels = decoded(found).view(stored.dtype)
        if file.pixel.photometric == "PALETTE COLOR":
            assert np.array_equal(pixels, stored[::scale, ::scale]), file.name
        else:
            assert farthest(pixels, mean(stored, scale)) <= 0.5, file.name
        assert found.size == (-(-file.pixel.columns // scale), -(-file.pixel.rows // scale))


@pytest.mark.parametrize("is_planar", [False, True])
@pytest.mark.parametrize("dtype", ["<u1", "<i1", "<u2", "<i2"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (37, 91), (3, 3, 3), (50, 31, 3)])
def test_every_type_in_every_shape_comes_back(shape: tuple[int, ...], dtype: str, is_planar: bool) -> None:
    limits, rng = np.iinfo(dtype), np.random.default_rng(1)
    pixels = rng.integers(limits.min, limits.max, shape, dtype=np.dtype(dtype), endpoint=True)
    colours, bits = (*shape, 1)[2], 8 * np.dtype(dtype).itemsize
    told = "MONOCHROME2" if colours == 1 else "RGB"
    pixel = ImagePixel(shape[0], shape[1], colours, bits, bits, dtype[1] == "i", is_planar, told)
    content = (pixels.transpose(2, 0, 1) if is_planar and colours == 3 else pixels).tobytes()
    for near in (0, 1, 3):
        jls = make(Job(content, "1.2.840.10008.1.2.1", pixel, Alternate("jpegls", near=near), 1))
        assert farthest(decoded(jls).view(pixels.dtype), pixels) <= near
    htj2k = make(Job(content, "1.2.840.10008.1.2.1", pixel, Alternate("htj2k"), 1))
    assert np.array_equal(decoded(htj2k), pixels)
