import io
import json
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray

from proxy.archive.manifest import Entry, Manifest, describe, digest, is_whole, parse_manifest
from proxy.archive.prepare import prepare
from proxy.archive.tree import BOUNDARY
from proxy.archive.writing import RECIPE
from proxy.codecs.htj2k import decode_htj2k, encode_htj2k
from proxy.codecs.jobs import Alternate
from proxy.codecs.transcode import averaged
from proxy.errors import ConfigurationError
from proxy.wire.media import HTJ2K_RPCL
from proxy.wire.multipart import PartReader
from tests.small_tree import small_instances

INSTANCE = Path("studies/1.2.1/series/1.2.1.1/instances/1.2.1.1.1")


def made(folder: Path, recipe: str = "small") -> list[str]:
    """The instances that were read for the tree."""
    read: list[str] = []
    prepare(folder, recipe, lambda: small_instances(read), encode_htj2k, io.StringIO())
    return read


def test_frames_are_there_alone_and_in_their_envelope(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    made(tree)
    instance = small_instances()[0]
    for number, pixels in enumerate(instance.pixels, start=1):
        codestream = (tree / INSTANCE / f"frames/{number}.jphc").read_bytes()
        wrapped = (tree / INSTANCE / f"frames/{number}.mht").read_bytes()
        assert np.array_equal(decode_htj2k(codestream), pixels)
        assert wrapped.startswith(f"--{BOUNDARY}\r\n".encode())
        reader = PartReader()
        assert reader.feed(wrapped) + reader.finish() == codestream
        assert reader.media_type is not None
        assert reader.media_type.name == "image/jphc"
        assert reader.media_type.parameters == {"transfer-syntax": HTJ2K_RPCL}


def test_alternates_are_there_too_and_the_recipe_names_them(tmp_path: Path) -> None:
    tree, read = tmp_path / "tree", list[str]()

    def made_with(**alternates: Alternate) -> None:
        small = partial(small_instances, read)
        prepare(tree, "small", small, encode_htj2k, io.StringIO(), alternates)

    wanted = {"jls": Alternate("jpegls"), "jlsThumbnail": Alternate("jpegls", scale=4)}
    made_with(**wanted)
    made_with(**wanted)
    assert len(read) == 3
    instance = small_instances()[0]
    for number, pixels in enumerate(instance.pixels, start=1):
        whole = imagecodecs.jpegls_decode((tree / INSTANCE / f"jls/{number}.jls").read_bytes())
        small = imagecodecs.jpegls_decode((tree / INSTANCE / f"jlsThumbnail/{number}.jls").read_bytes())
        assert np.array_equal(whole.view(np.int16), pixels)
        assert np.array_equal(small.view(np.int16), averaged(pixels, 4))
    made_with(jls=Alternate("jpegls"))
    assert len(read) == 6
    assert not (tree / INSTANCE / "jlsThumbnail").exists()


def test_metadata_names_the_syntax_and_the_frames_and_holds_no_pixels(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    made(tree)
    (metadata,) = json.loads((tree / INSTANCE / "metadata.json").read_text())
    assert metadata["00083002"] == {"vr": "UI", "Value": [HTJ2K_RPCL]}
    assert metadata["00280008"] == {"vr": "IS", "Value": [2]}
    assert "7FE00010" not in metadata
    (colour,) = json.loads((tree / "studies/1.2.2/metadata.json").read_text())
    assert colour["00280004"]["Value"] == ["YBR_RCT"]


def test_lists_count_what_is_below_them(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    made(tree)
    studies = json.loads((tree / "studies/index.json").read_text())
    assert [row["0020000D"]["Value"] for row in studies] == [["1.2.1"], ["1.2.2"]]
    assert [row["00201208"]["Value"] for row in studies] == [[2], [1]]
    assert [row["00080061"]["Value"] for row in studies] == [["CT"], ["XC"]]
    (series,) = json.loads((tree / "studies/1.2.1/series/index.json").read_text())
    assert series["00201209"]["Value"] == [2]
    rows = json.loads((tree / "studies/1.2.1/series/1.2.1.1/instances/index.json").read_text())
    assert [row["00200013"]["Value"] for row in rows] == [[1], [2]]
    assert [row["00280008"]["Value"] for row in rows] == [[2], [1]]


def test_the_manifest_names_every_file_but_itself(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    made(tree)
    manifest = parse_manifest((tree / "manifest.json").read_text())
    there = {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}
    assert set(manifest.files) == {path for path in there if not path.endswith("manifest.json")}
    assert manifest.boundary == BOUNDARY
    assert parse_manifest(manifest.to_json()) == manifest


def test_a_whole_tree_is_found_again_and_nothing_is_read(tmp_path: Path) -> None:
    assert len(made(tmp_path / "tree")) == 3
    assert made(tmp_path / "tree") == []
    assert sorted(path.name for path in tmp_path.iterdir()) == [".tree.lock", "tree"]


def flip_a_byte(tree: Path) -> None:
    path = tree / INSTANCE / "frames/1.jphc"
    content = path.read_bytes()
    path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])


def shorten(tree: Path) -> None:
    path = tree / "studies/index.json"
    path.write_bytes(path.read_bytes()[:-1])


def lose_a_file(tree: Path) -> None:
    (tree / INSTANCE / "frames/2.mht").unlink()


def lose_the_manifest(tree: Path) -> None:
    (tree / "manifest.json").unlink()


def tear_the_manifest(tree: Path) -> None:
    path = tree / "manifest.json"
    path.write_text(path.read_text()[:200])


@pytest.mark.parametrize(
    "damage",
    [flip_a_byte, shorten, lose_a_file, lose_the_manifest, tear_the_manifest],
    ids=lambda f: f.__name__,
)
def test_a_damaged_tree_is_made_anew(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    tree = tmp_path / "tree"
    made(tree)
    damage(tree)
    assert not is_whole(tree, f"{RECIPE} small")
    assert len(made(tree)) == 3
    assert is_whole(tree, f"{RECIPE} small")


def test_a_tree_by_another_recipe_is_made_anew(tmp_path: Path) -> None:
    made(tmp_path / "tree", "older")
    assert len(made(tmp_path / "tree", "newer")) == 3


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigurationError, match="holds files that are not"):
        made(tmp_path)
    (tmp_path / "file").write_text("of one's own")
    with pytest.raises(ConfigurationError, match="holds files that are not"):
        made(tmp_path / "file")
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
    assert (tmp_path / "file").read_text() == "of one's own"


def test_what_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def refuse(pixels: NDArray[np.int16]) -> bytes:
        raise ValueError("no encoder today")

    with pytest.raises(ValueError, match="no encoder today"):
        prepare(tmp_path / "tree", "small", small_instances, refuse, io.StringIO())
    assert [path.name for path in tmp_path.iterdir()] == [".tree.lock"]


def test_a_folder_that_somebody_left_half_written_is_no_tree(tmp_path: Path) -> None:
    (tmp_path / ".tree.making/studies").mkdir(parents=True)
    assert len(made(tmp_path / "tree")) == 3
    assert not (tmp_path / ".tree.making").exists()


def test_of_two_at_once_one_makes_the_tree_and_the_other_finds_it(tmp_path: Path) -> None:
    is_encoding, may_go_on = threading.Event(), threading.Event()

    def encode_at_a_barrier(pixels: NDArray[np.int16]) -> bytes:
        is_encoding.set()
        assert may_go_on.wait(240)
        return encode_htj2k(pixels)

    class Waiting(io.StringIO):
        def write(self, text: str) -> int:
            may_go_on.set()  # the second process reports that it waits, so the first may finish
            return super().write(text)

    read, said = [list[str]() for _ in range(2)], Waiting()
    first = threading.Thread(
        target=prepare,
        args=(tmp_path / "t", "small", lambda: small_instances(read[0]), encode_at_a_barrier, io.StringIO()),
    )
    first.start()
    assert is_encoding.wait(240)
    prepare(tmp_path / "t", "small", lambda: small_instances(read[1]), encode_htj2k, said)
    first.join()
    assert "waiting" in said.getvalue()
    assert (len(read[0]), read[1]) == (3, [])


def test_it_says_a_line_where_nobody_looks(tmp_path: Path) -> None:
    said = io.StringIO()
    prepare(tmp_path / "tree", "small", small_instances, encode_htj2k, said)
    assert said.getvalue().startswith("Encoding 3 instances")
    assert "%" not in said.getvalue()


def test_to_check_a_tree_takes_little_more_than_to_hash_its_bytes(tmp_path: Path) -> None:
    content = np.random.default_rng(1).bytes(6_000_000)
    files: dict[str, Entry] = {}
    for name in map(str, range(10)):
        (tmp_path / name).write_bytes(content)
        files[name] = describe(content)
    (tmp_path / "manifest.json").write_text(Manifest("r", BOUNDARY, files).to_json())
    assert spent(lambda: is_whole(tmp_path, "r")) < 5 * spent(lambda: [digest(content) for _ in files])


def spent(does: Callable[[], object]) -> float:
    """The least processor time of a few runs, since other processes of the machine slow down some of them."""
    took = []
    for _ in range(3):
        before = time.process_time()
        assert does()
        took.append(time.process_time() - before)
    return min(took)
