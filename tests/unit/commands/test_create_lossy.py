"""`create` keeps lossy frames as they are, and says so, unless it is told to encode all."""

from pathlib import Path

import pytest

from proxy.cli import main
from tests.dicom_files import write

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom warns about its own odd files

KEPT = {"SC_rgb_jpeg_dcmtk": ".jpeg", "JPEGLSNearLossless_08": ".jls"}


def frames(tree: Path) -> set[str]:
    return {path.suffix for path in tree.glob("studies/*/series/*/instances/*/frames/1.*")} - {
        ".mht",
        ".json",
    }


@pytest.mark.parametrize(("name", "suffix"), KEPT.items())
def test_lossy_frames_are_kept_and_that_is_said(
    name: str, suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    write(tmp_path / "in", name, 1)
    assert main(["create", str(tmp_path / "in"), "-o", str(tmp_path / "tree")]) == 0
    assert frames(tmp_path / "tree") == {suffix}
    printed = capsys.readouterr()
    assert "lossy frames kept as they are" in printed.out + printed.err
    assert main(["create", str(tmp_path / "in"), "-o", str(tmp_path / "all"), "--frames", "htj2k"]) == 0
    assert frames(tmp_path / "all") == {".jphc"}


def test_lossless_frames_become_progressive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    write(tmp_path / "in", "MR_small_jpeg_ls_lossless", 1)
    assert main(["create", str(tmp_path / "in"), "-o", str(tmp_path / "tree")]) == 0
    assert frames(tmp_path / "tree") == {".jphc"}
    assert "lossy" not in capsys.readouterr().out
