"""The field's own troubles: small files of kinds that people reported, and the right pixels of each."""

import json
from pathlib import Path

import numpy as np
import pytest

from proxy.archive.source import read_source
from proxy.cli import main
from proxy.codecs.decode import decode_stored
from proxy.codecs.htj2k import decode_htj2k
from proxy.codecs.render import show
from proxy.wire.display import read_displays
from tests.codestreams import Pixels
from tests.unit.commands.test_create import create, metadata_of, only

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

FIELD = Path(__file__).parents[1] / "field"
NAMES = sorted(path.stem for path in FIELD.glob("*.dcm"))
DEFLATED = "1.2.840.10008.1.2.8.1"


def right(name: str) -> list[Pixels]:
    """The right pixels of each frame."""
    held = np.load(FIELD / "right.npz")
    return [held[f"{name}/{number}"] for number in range(1, 4) if f"{name}/{number}" in held]


def named(prefix: str) -> list[str]:
    return [name for name in NAMES if name.startswith(prefix) and right(name)]


@pytest.mark.parametrize("name", named("c"))
def test_create_keeps_the_right_pixels(tmp_path: Path, name: str) -> None:
    assert create(FIELD / f"{name}.dcm", "-o", tmp_path / "tree", "--thumbnails", "--frames", "htj2k") == 0
    folder = only(tmp_path / "tree")
    assert metadata_of(folder)["00280008"]["Value"] == [len(right(name))]
    for number, pixels in enumerate(right(name), start=1):
        assert np.array_equal(decode_htj2k((folder / f"frames/{number}.jphc").read_bytes()), pixels)
    assert (folder / "thumbnail.jpeg").exists()


@pytest.mark.parametrize("name", named("r"))
def test_a_picture_shows_the_right_pixels(name: str) -> None:
    source = read_source(FIELD / f"{name}.dcm")
    assert source.pixel is not None
    stored = decode_stored(source.frames[0], source.syntax, source.pixel)
    shown = show(stored, source.pixel, read_displays(source.metadata)[0])
    assert np.abs(shown - right(name)[0]).max() <= 0.5


def test_overlay_bits_are_no_part_of_values_and_their_overlay_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = FIELD / "r3-overlay-above-the-stored-bits.dcm"
    jls = ("--alternate", "jls=jpegls")
    assert create(path, "-o", tmp_path / "tree", *jls) == 0
    said, folder = capsys.readouterr().err, only(tmp_path / "tree")
    source = read_source(path)
    values = np.frombuffer(source.frames[0], "<u2").reshape(32, 32)
    assert values.max() > 4095
    assert np.array_equal(decode_htj2k((folder / "frames/1.jphc").read_bytes()), values & 4095)
    assert f"{path}: 60000100: an overlay" in said
    assert not any(tag.startswith("6000") for tag in metadata_of(folder))


@pytest.mark.parametrize("frames", ["htj2k", "as-is"])
def test_frames_of_an_unknown_transfer_syntax_are_kept_under_it(tmp_path: Path, frames: str) -> None:
    path = FIELD / "c7-deflated-image-frame.dcm"
    assert create(path, "-o", tmp_path / "tree", "--frames", frames, "--thumbnails") == 0
    folder = only(tmp_path / "tree")
    assert metadata_of(folder)["00083002"]["Value"] == [DEFLATED]
    assert (folder / "frames/1.bin").read_bytes() == read_source(path).frames[0]
    assert f"transfer-syntax={DEFLATED}".encode() in (folder / "frames/1.mht").read_bytes()[:200]


def test_numbers_that_are_none_are_kept_as_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert create(FIELD / "c9-decimals-with-comma.dcm", "-o", tmp_path / "tree") == 0
    metadata = metadata_of(only(tmp_path / "tree"))
    assert metadata["00280030"] == {"vr": "DS", "Value": ["0,5125", "0,5125"]}
    assert metadata["00180050"] == {"vr": "DS", "Value": ["7@77"]}
    assert "left out" not in capsys.readouterr().err


@pytest.mark.parametrize("name", NAMES)
def test_inspect_has_a_line_for_each_frame_or_a_reason(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = FIELD / f"{name}.dcm"
    main(["inspect", str(path), "--json"])
    out, err = capsys.readouterr()
    if out:
        found = [json.loads(line) for line in out.splitlines()]
        assert len(found) == max(1, len(right(name)))
        assert not any("error" in each for each in found) or name[:2] not in ("c4", "c5")
        assert err == ""
    else:
        assert (
            err == f"progressive-proxy: {path}: the pixels are not encapsulated: Explicit VR Little Endian\n"
        )
