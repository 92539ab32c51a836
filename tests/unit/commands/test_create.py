"""`create`: what a tree contains for files of every kind. A bad file affects only itself."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG4HP41,
    UID,
    EncapsulatedPDFStorage,
    HTJ2KLosslessRPCL,
    SegmentationStorage,
)

from proxy.archive.tree import ENDINGS
from proxy.cli import main
from proxy.codecs.htj2k import encode_htj2k
from proxy.codecs.transcode import averaged
from proxy.wire.multipart import PartReader
from tests.codestreams import picture
from tests.dicom_files import ALL, KEPT, LOSSLESS, LOSSY, NO_IMAGES, STUDY, compressed, image, save, write

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom warns about its own odd files

JLS = ("--alternate", "jls=jpegls", "--alternate", "small=jpegls,scale=1/16 area")
"""The two documented alternates."""


def create(*arguments: object) -> int:
    return main(["create", *map(str, arguments)])


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("originals")
    for number, name in enumerate(ALL, start=1):
        write(folder, name, number)
    return folder


@pytest.fixture(scope="module", params=["htj2k", "jpegls", "as-is"])
def tree(request: pytest.FixtureRequest, originals: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp(request.param) / request.param
    assert create(originals, "-o", made, "--frames", request.param, "--thumbnails", "--gzip", *JLS) == 0
    return made


def only(tree: Path) -> Path:
    """The folder of the only instance."""
    (folder,) = tree.glob("studies/*/series/*/instances/*/manifest.json")
    return folder.parent


def folder_of(tree: Path, name: str) -> Path:
    number = ALL.index(name) + 1
    return tree / f"studies/{STUDY}/series/{STUDY}.{number}/instances/{STUDY}.{number}.1"


def metadata_of(folder: Path) -> dict[str, Any]:
    (metadata,) = json.loads((folder / "metadata.json").read_text())
    return dict(metadata)


def frame(folder: Path, number: int) -> Path:
    """The file of a frame as a single part."""
    (path,) = (path for path in (folder / "frames").glob(f"{number}.*") if path.suffix != ".mht")
    return path


def read_back(folder: Path) -> Dataset:
    """The instance in a folder, as pydicom reads it."""
    metadata = metadata_of(folder)
    frames = [frame(folder, number + 1).read_bytes() for number in range(metadata["00280008"]["Value"][0])]
    return as_read(metadata, frames, lambda uri: (folder / f"{uri}.bin").read_bytes())


def as_read(metadata: dict[str, Any], frames: list[bytes], bulk: Callable[[str], bytes]) -> Dataset:
    """A data set with pixels, as a viewer builds it from metadata and frames."""
    dataset = Dataset.from_json(metadata, lambda tag, vr, uri: bulk(uri))
    dataset.file_meta = FileMetaDataset()
    syntax = dataset.file_meta.TransferSyntaxUID = UID(dataset.AvailableTransferSyntaxUID)
    dataset.PixelData = encapsulate(frames) if syntax.is_encapsulated else b"".join(frames)
    dataset["PixelData"].VR = "OB" if syntax.is_encapsulated or dataset.BitsAllocated <= 8 else "OW"
    dataset["PixelData"].is_undefined_length = syntax.is_encapsulated
    dataset.set_original_encoding(is_implicit_vr=False, is_little_endian=True)
    return dataset


@pytest.mark.parametrize("name", LOSSLESS + LOSSY + KEPT)
def test_pydicom_reads_the_very_same_pixels_back(tree: Path, originals: Path, name: str) -> None:
    original = dcmread(originals / f"{name}.dcm")
    assert np.array_equal(read_back(folder_of(tree, name)).pixel_array, original.pixel_array)


@pytest.mark.parametrize("name", ALL)
def test_metadata_is_what_pydicom_says_but_for_pixels(tree: Path, originals: Path, name: str) -> None:
    folder, told = folder_of(tree, name), dcmread(originals / f"{name}.dcm").to_json_dict()
    metadata = metadata_of(folder)
    changed = {"00080005", "00083002", "00280004", "00280006", "00280008", "7FE00010", "FFFCFFFC"}
    told = {tag: element for tag, element in told.items() if not tag.endswith("0000")}
    assert set(told) - changed == set(metadata) - changed
    for tag in set(told) - changed:
        if "BulkDataURI" not in str(metadata[tag]):
            assert metadata[tag] == told[tag]
    assert "7FE00010" not in metadata


@pytest.mark.parametrize("name", NO_IMAGES)
def test_what_is_no_image_is_listed_without_frames(tree: Path, name: str) -> None:
    folder = folder_of(tree, name)
    assert not (folder / "frames").exists()
    assert not (folder / "thumbnail.jpeg").exists()
    assert not {"00083002", "00280008"} & set(metadata_of(folder))
    (row,) = json.loads((folder.parent / "index.json").read_text())
    assert row["00080018"]["Value"] == [folder.name]


def test_lists_hold_all_and_gzip_says_the_same(tree: Path) -> None:
    (study,) = json.loads((tree / "studies/index.json").read_text())
    assert study["00201208"]["Value"] == study["00201206"]["Value"] == [len(ALL)]
    series = json.loads((tree / f"studies/{STUDY}/series/index.json").read_text())
    assert [row["00200011"]["Value"] for row in series] == [[number + 1] for number in range(len(ALL))]
    names = [path for path in tree.rglob("*.json") if path.name != "manifest.json"]
    assert len(names) == 4 + 3 * len(ALL)
    for path in names:
        assert gzip.decompress(path.with_name(f"{path.name}.gz").read_bytes()) == path.read_bytes()


def test_every_part_is_the_file_beside_it_under_the_syntax_that_metadata_names(tree: Path) -> None:
    wrapped = list(tree.rglob("*.mht"))
    assert len(wrapped) > 3 * len(LOSSLESS + LOSSY)
    for path in wrapped:
        reader = PartReader()
        part = reader.feed(path.read_bytes()) + reader.finish()
        assert reader.media_type is not None
        assert path.with_suffix(ENDINGS[reader.media_type.name]).read_bytes() == part
        if path.parent.name == "frames":
            (syntax,) = metadata_of(path.parent.parent)["00083002"]["Value"]
            assert reader.media_type.parameters["transfer-syntax"] == syntax


@pytest.mark.parametrize("name", ["CT_small", "MR_small_RLE", "examples_palette", "examples_rgb_color"])
def test_alternates_are_the_same_picture_whole_and_a_sixteenth(
    tree: Path, originals: Path, name: str
) -> None:
    folder, pixels = folder_of(tree, name), dcmread(originals / f"{name}.dcm").pixel_array
    whole = imagecodecs.jpegls_decode((folder / "jls/1.jls").read_bytes())
    small = imagecodecs.jpegls_decode((folder / "small/1.jls").read_bytes())
    assert np.array_equal(whole.view(pixels.dtype), pixels)
    reduced = pixels[::4, ::4] if name == "examples_palette" else averaged(pixels, 4)
    assert np.array_equal(small.view(pixels.dtype), reduced)


def test_thumbnails_are_small_and_the_series_has_one_too(tree: Path) -> None:
    there = list(tree.rglob("instances/*/thumbnail.jpeg"))
    assert len(there) == len(LOSSLESS + LOSSY) + 1  # and one that pydicom can't decode here
    for path in there:
        assert max(imagecodecs.jpeg8_decode(path.read_bytes()).shape[:2]) <= 256
        assert (path.parents[2] / "thumbnail.jpeg").read_bytes() == path.read_bytes()
    rgb = imagecodecs.jpeg8_decode((folder_of(tree, "examples_rgb_color") / "thumbnail.jpeg").read_bytes())
    assert rgb.shape == (192, 256, 3)


def test_bulk_data_is_found_from_the_metadata_of_every_height(tree: Path, originals: Path) -> None:
    folder = folder_of(tree, "waveform_ecg")
    wanted = dcmread(originals / "waveform_ecg.dcm").WaveformSequence[0].WaveformData
    for path in (folder, folder.parents[1], folder.parents[3]):
        rows = json.loads((path / "metadata.json").read_text())
        (row,) = (row for row in rows if row["00080018"]["Value"] == [folder.name])
        uri = row["54000100"]["Value"][0]["54001010"]["BulkDataURI"]
        assert (path / f"{uri}.bin").read_bytes() == wanted


def test_frames_of_single_bits_begin_within_bytes(tmp_path: Path) -> None:
    bits = np.random.default_rng(5).integers(0, 2, (3, 5, 7), dtype=np.uint8)
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    mask = image(SOPClassUID=SegmentationStorage, Rows=5, Columns=7, NumberOfFrames=3, BitsAllocated=1)
    mask.BitsStored, mask.HighBit, mask.PixelData = 1, 0, packed
    mask["PixelData"].VR = "OB"
    assert create(save(tmp_path / "mask.dcm", mask), "-o", tmp_path / "tree") == 0
    for number, wanted in enumerate(bits, start=1):
        held = np.frombuffer(frame(only(tmp_path / "tree"), number).read_bytes(), np.uint8)
        assert np.array_equal(np.unpackbits(held, bitorder="little")[:35].reshape(5, 7), wanted)


def test_htj2k_that_is_in_order_already_is_not_touched(tmp_path: Path) -> None:
    codestream = encode_htj2k(picture(20, 30))
    path = save(tmp_path / "a.dcm", compressed(image(), HTJ2KLosslessRPCL, codestream))
    assert create(path, "-o", tmp_path / "tree") == 0
    assert (only(tmp_path / "tree") / "frames/1.jphc").read_bytes().rstrip(b"\0") == codestream


def test_private_infinite_and_large_values_are_said_as_json_can(tmp_path: Path) -> None:
    dataset = image(RealWorldValueMappingSequence=[Dataset()])
    dataset.RealWorldValueMappingSequence[0].RealWorldValueSlope = float("nan")
    private = dataset.private_block(0x0029, "somebody", create=True)
    private.add_new(1, "UN", b"\1" * 1024)
    private.add_new(2, "UN", b"\2" * 1026)
    private.add_new(3, "FD", [1.5, float("-inf")])
    assert create(save(tmp_path / "a.dcm", dataset), "-o", tmp_path / "tree") == 0
    folder = only(tmp_path / "tree")
    metadata = metadata_of(folder)
    assert "InlineBinary" in metadata["00291001"]
    assert (folder / f"{metadata['00291002']['BulkDataURI']}.bin").read_bytes() == b"\2" * 1026
    assert metadata["00291003"]["Value"] == [1.5, "-Infinity"]
    assert metadata["00409096"]["Value"][0]["00409225"]["Value"] == ["NaN"]


def test_documents_and_videos_are_bulk_data(tmp_path: Path) -> None:
    pdf = image(1, SOPClassUID=EncapsulatedPDFStorage, EncapsulatedDocument=b"%PDF" * 500)
    del pdf.PixelData
    video = compressed(image(2, NumberOfFrames=90), MPEG4HP41, b"not really a video")
    for dataset in (pdf, video):
        save(tmp_path / f"in/{dataset.InstanceNumber}.dcm", dataset)
    assert create(tmp_path / "in", "-o", tmp_path / "tree") == 0
    instances = tmp_path / "tree/studies/1.2/series/1.2.3/instances"
    uri = metadata_of(instances / "1.2.3.1")["00420011"]["BulkDataURI"]
    assert (instances / f"1.2.3.1/{uri}.bin").read_bytes() == b"%PDF" * 500
    uri = metadata_of(instances / "1.2.3.2")["7FE00010"]["BulkDataURI"]
    assert (instances / f"1.2.3.2/{uri}.mp4").read_bytes() == b"not really a video"


def test_alternates_may_lose_something_and_say_so(tmp_path: Path) -> None:
    path = save(tmp_path / "a.dcm", image())
    specs = ("a=jpegls,near=2", "b=htj2k,step=0.01,scale=≤16", "c=jpeg,quality=80,scale=1/2")
    asked = [word for spec in specs for word in ("--alternate", spec)]
    assert create(path, "-o", tmp_path / "tree", *asked) == 0
    folder = only(tmp_path / "tree")
    assert b"image/jls;transfer-syntax=1.2.840.10008.1.2.4.81" in (folder / "a/1.mht").read_bytes()[:150]
    assert b"image/jphc;transfer-syntax=1.2.840.10008.1.2.4.203" in (folder / "b/1.mht").read_bytes()[:150]
    near = imagecodecs.jpegls_decode((folder / "a/1.jls").read_bytes()).astype(int)
    assert 0 < np.abs(near - picture(20, 30)).max() <= 2
    assert not (folder / "c").exists()  # JPEG has 8 bits
