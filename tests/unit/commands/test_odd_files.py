"""`inspect` and `create` with broken or odd files: each is named with a reason that people understand."""

import re
from pathlib import Path

import pytest

from proxy.cli import main
from tests.odd_files import write_all
from tests.unit.commands.test_create import create

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

MADE = {
    "no-pixels", "float", "zero-columns-coded", "one-bit", "bits-12", "frames-zero", "private-plain",
    "private-items", "deflated", "ht", "bad-offsets", "vr-unknown", "vr-wrong-length", "nested",
    "sequence-broken", "said-explicit",
}  # fmt: skip
"""Files that are in the tree, complete or without the attributes that are named."""
LACKING = {"no-pixels", "vr-unknown", "vr-wrong-length", "nested", "sequence-broken"}
BARE = re.compile(
    r"Traceback|object has no attribute|Errno|unsupported operand|invalid literal|list index|unpack requires|"
    r"not a transfer syntax|Use force=True|expected|NoneType|Warning"
)
"""Words that Python and its libraries address to programmers."""


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_all(tmp_path_factory.mktemp("odd"))


def test_create_names_each_file_and_attribute_that_is_left_out(
    odd: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert create(odd["ht"].parent, "-o", tmp_path / "tree", "--thumbnails", "--alternate", "jls=jpegls") == 1
    said = capsys.readouterr()
    named = {match[1]: match[2] for match in re.finditer(r"/([a-z0-9-]+)\.dcm: (.+)", said.err)}
    assert set(odd) - MADE == set(named) - LACKING
    assert set(named) >= LACKING
    assert "SmallestImagePixelValue" in said.err
    assert f"{len(MADE)} instances made" in said.out
    assert not BARE.search(said.err + said.out)


def test_inspect_says_what_is_wrong_with_a_file(
    odd: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for name, path in odd.items():
        if name == "pipe":
            continue
        status = main(["inspect", str(path)])
        out, err = capsys.readouterr()
        assert not BARE.search(out + err), (name, err)
        assert status == (0 if name in ("ht", "zero-columns-coded", "bad-offsets") else 1), name
        assert out or err.startswith(f"progressive-proxy: {path}: "), err


def test_a_folder_a_pipe_and_no_url_are_said_to_be_these(
    odd: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, words in (
        (["inspect", str(tmp_path)], f"progressive-proxy: {tmp_path}: Is a directory\n"),
        (["inspect", "http://127.0.0.1:99999/x"], "http://127.0.0.1:99999/x is not the URL of a frame\n"),
        (
            ["create", str(odd["pipe"]), "-o", str(tmp_path / "t")],
            f"{odd['pipe']}: neither a file nor a folder\n",
        ),
    ):
        assert main(arguments) == 1
        assert capsys.readouterr().err == words


def test_a_file_of_the_same_content_is_named_as_such(
    tmp_path: Path, odd: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / f"in/{name}.dcm").write_bytes(odd["ht"].read_bytes())
    assert create(tmp_path / "in", "-o", tmp_path / "tree") == 0
    assert f"  {tmp_path}/in/b.dcm, the same as {tmp_path}/in/a.dcm\n" in capsys.readouterr().err
