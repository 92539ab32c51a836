"""`create` runs: in any order, several times, interrupted, and with bad files."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from pydicom.uid import HTJ2KLosslessRPCL, JPEG2000Lossless

from proxy.archive.manifest import is_whole, parse_manifest
from tests.codestreams import picture
from tests.dicom_files import ALL, compressed, image, save, write
from tests.unit.commands.test_cli import COMMAND
from tests.unit.commands.test_create import JLS, create, only

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),  # pydicom warns about its own odd files
    pytest.mark.slow,
]


def test_the_order_of_files_and_how_often_it_runs_change_nothing(tmp_path: Path) -> None:
    files = [write(tmp_path / "in", name, number) for number, name in enumerate(ALL[::3], start=1)]
    once, twice = tmp_path / "once", tmp_path / "twice"
    assert create(*files, "-o", once, "--thumbnails") == 0
    assert create(*files[5:][::-1], "-o", twice, "--thumbnails") == 0
    assert create(*files[:6][::-1], "-o", twice, "--thumbnails") == 0
    assert (once / "manifest.json").read_bytes() == (twice / "manifest.json").read_bytes()
    held = parse_manifest((once / "manifest.json").read_text())
    assert is_whole(once, held.recipe)
    assert is_whole(twice, held.recipe)


def test_the_same_file_counts_once_and_two_that_differ_not_at_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in"
    save(source / "a.dcm", image(1))
    shutil.copy(source / "a.dcm", source / "b.dcm")
    save(source / "c.dcm", image(2))
    save(source / "d.dcm", image(2, PatientID="other"))
    (source / "readme.txt").write_text("no picture")
    assert create(source, source / "a.dcm", "-o", tmp_path / "tree") == 1
    said = capsys.readouterr()
    assert said.out.startswith(
        "1 instances made, 0 already complete, 1 in the tree\n1 files are duplicates\n1 files are not inst"
    )
    assert [line.split(": ")[0].strip() for line in said.err.splitlines() if ".dcm: " in line] == [
        str(source / name) for name in ("c.dcm", "d.dcm")
    ]
    assert only(tmp_path / "tree").name == "1.2.3.1"


def bad_files(folder: Path) -> dict[str, str]:
    """Files that must not be in a tree, and a word of the reason."""
    j2k = bytes(imagecodecs.jpeg2k_encode(picture(20, 30), level=0, codecformat="j2k", reversible=True))
    save(folder / "short.dcm", image(1, PixelData=b"\0" * 100))
    save(folder / "cut.dcm", compressed(image(2), JPEG2000Lossless, j2k[:60]))
    save(folder / "garbage.dcm", compressed(image(3), HTJ2KLosslessRPCL, b"\xff\x4f\xff\x51" + b"\7" * 90))
    save(folder / "few.dcm", compressed(image(4, NumberOfFrames=3), JPEG2000Lossless, j2k))
    save(folder / "other.dcm", compressed(image(5, Rows=21), JPEG2000Lossless, j2k))
    save(folder / "nameless.dcm", image(6, StudyInstanceUID=""))
    climbing = image(7)
    climbing["SOPInstanceUID"]._value = "../../../x"
    save(folder / "climbing.dcm", climbing)
    whole = save(folder / "torn.dcm", image(8)).read_bytes()
    (folder / "torn.dcm").write_bytes(whole[:-900])
    (folder / "text.dcm").write_text("no DICOM")
    return {
        "short": "the pixels have 100 bytes, but the metadata implies 1,200",
        "cut": "frame 1: ",
        "garbage": "frame 1: ",
        "few": "frames",
        "other": "frame 1: the picture has ",
        "nameless": "the file has no StudyInstanceUID",
        "climbing": "a UID is malformed",
        "torn": "",
        "text": "DICM",
    }


def test_a_bad_file_costs_itself_alone_and_is_listed_with_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    why = bad_files(tmp_path / "bad")
    good = save(tmp_path / "good.dcm", image(20))
    bad = [tmp_path / f"bad/{name}.dcm" for name in why]
    assert create(*bad, good, "-o", tmp_path / "tree", "--instances") == 1
    said = capsys.readouterr()
    assert said.out.startswith("1 instances made")
    for path, words in zip(bad, why.values(), strict=True):
        (line,) = (line for line in said.err.splitlines() if line.startswith(f"  {path}: "))
        assert words in line.removeprefix(f"  {path}: ")
    assert only(tmp_path / "tree").name == "1.2.3.20"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".tree.lock", "bad", "good.dcm", "tree"]
    assert create(good, "-o", tmp_path / "tree", "--instances") == 0


def test_what_is_whole_is_not_made_again_and_what_is_damaged_or_changed_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2, 3):
        save(tmp_path / f"in/{number}.dcm", image(number))
    tree = tmp_path / "tree"

    def counted(*more: str) -> str:
        assert create(tmp_path / "in", "-o", tree, *more) == 0
        return capsys.readouterr().out.splitlines()[0]

    assert counted() == "3 instances made, 0 already complete, 3 in the tree"
    (tree / "studies/1.2/series/1.2.3/instances/1.2.3.2/frames/1.mht").write_bytes(b"")
    assert counted() == "1 instances made, 2 already complete, 3 in the tree"
    save(tmp_path / "in/3.dcm", image(3, PatientID="corrected"))
    assert counted() == "1 instances made, 2 already complete, 3 in the tree"
    assert counted("--wrap", "single") == "3 instances made, 0 already complete, 3 in the tree"
    assert not list(tree.rglob("*.mht"))
    assert counted("--wrap", "multipart", *JLS) == "3 instances made, 0 already complete, 3 in the tree"
    assert not list(tree.rglob("*.jphc"))
    (tmp_path / "in/2.dcm").unlink()
    assert counted("--wrap", "multipart", *JLS) == "0 instances made, 2 already complete, 3 in the tree"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The command on 24 images, after three of them are done."""
    pixels = np.random.default_rng(1).integers(0, 4096, (700, 700), dtype=np.uint16)
    for number in range(1, 25):
        large = image(number, Rows=700, Columns=700, PixelData=pixels.tobytes())
        save(tmp_path / f"in/{number}.dcm", large)
    command = [str(COMMAND), "create", str(tmp_path / "in"), "-o", str(tmp_path / "tree"), *JLS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while len(made(tmp_path)) < 3:
            assert process.poll() is None
            time.sleep(0.01)
        yield process


def made(folder: Path) -> list[Path]:
    """The instances in the tree."""
    return [path.parent for path in (folder / "tree").glob("studies/*/series/*/instances/*/manifest.json")]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_whoever_is_stopped_leaves_only_whole_instances_and_goes_on_from_there(
    tmp_path: Path,
    running: subprocess.Popen[str],
    capsys: pytest.CaptureFixture[str],
    how: signal.Signals,
) -> None:
    running.send_signal(how)
    running.communicate(timeout=240)
    there = made(tmp_path)
    assert 3 <= len(there) <= 24  # all of them if the machine was busy when the signal was sent
    for folder in there:
        assert is_whole(folder, parse_manifest((folder / "manifest.json").read_text()).recipe)
    if how == signal.SIGINT:
        assert running.returncode in ((130,) if len(there) < 24 else (130, 0))
        assert not (tmp_path / ".tree.making").exists()
    assert create(tmp_path / "in", "-o", tmp_path / "tree", *JLS) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first == f"{24 - len(there)} instances made, {len(there)} already complete, 24 in the tree"
    assert not (tmp_path / ".tree.making").exists()


def test_a_decoder_that_dies_costs_one_file_at_most(tmp_path: Path, running: subprocess.Popen[str]) -> None:
    with suppress(FileNotFoundError, ProcessLookupError):  # all is done already, if the test had to wait
        children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        for child in children[:1]:
            os.kill(int(child), signal.SIGKILL)
    out, errors = running.communicate(timeout=240)
    lost = errors.count("the decoder crashed")  # none if it was between two of them
    assert (lost, running.returncode) in ((0, 0), (1, 1))
    assert out.startswith(f"{24 - lost} instances made, 0 already complete, {24 - lost} in the tree")
    assert create(tmp_path / "in", "-o", tmp_path / "tree", *JLS) == 0
    assert len(made(tmp_path)) == 24


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    path = save(tmp_path / "in/a.dcm", image())
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.txt").write_text("years of work")
    assert create(path, "-o", tmp_path / "out") == 1
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_nothing_to_convert_is_no_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    assert create(tmp_path / "in", "-o", tmp_path / "tree") == 1
    assert create(tmp_path / "nowhere", "-o", tmp_path / "tree") == 1
    assert "no such file or folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("jls=jpegls,scale=1/3", "scale: must be 1/2, 1/4 and so on"),
        ("jls=jxl", "codec: must be 'htj2k', 'jpegls' or 'jpeg'"),
        ("jls", "codec: "),
        ("frames=htj2k", "path: must not be one of frames"),
        ("../x=htj2k", "path: "),
        ("x=htj2k,near=2", "near: only codec jpegls has this setting"),
        ("x=htj2k,path=/y/", "path: unknown key"),
        ("x=htj2k,colour=red", "colour: unknown key; the keys are scale, near, step, quality"),
    ],
)
def test_an_alternate_that_can_not_be_is_refused_as_in_a_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spec: str, why: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        create(tmp_path, "-o", tmp_path / "tree", "--alternate", spec)
    assert ended.value.code == 2
    assert f"--alternate: {why}" in capsys.readouterr().err
