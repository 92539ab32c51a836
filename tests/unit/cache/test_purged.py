"""A bit of the disk's index flips, before a purge or after it: no purged frame comes back."""

import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.cache.disk import Disk
from proxy.cache.tier import Wrong
from proxy.frame.key import FrameKey
from proxy.frame.scope import FrameScope, scope_of
from tests.unit.cache.test_disk import flipped
from tests.unit.cache.test_tier import KEY, disk, frame, whole

STUDY = FrameScope("pacs", "1.2")
FRAMES = 400
"""Frames of a study; their index has several pages below its root."""
INDEX = Path("disk", "frames", "index.sqlite")


def numbered(number: int) -> FrameKey:
    return replace(KEY, resource=replace(KEY.resource, frame_number=number + 1))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a study."""
    path = tmp_path_factory.mktemp("kept")
    tier = disk(path)
    for number in range(FRAMES):
        tier._put(numbered(number), frame(300))
    tier._close()
    return path


def come_back(tier: Disk, of: range = range(FRAMES)) -> list[int]:
    """The frames that a tier has."""
    found = []
    for number in of:
        with suppress(Wrong, OSError, sqlite3.Error):
            if tier._first(tier._names.of(numbered(number))) is not None:
                found.append(number)
    return found


def purged(tier: Disk, named: FrameScope) -> None:
    """Purges as often as the proxy would, before it says that it has."""
    while True:
        try:
            return tier._forget(named)
        except (OSError, sqlite3.Error):
            pass


def missed(path: Path) -> int:
    """The entries that are still in the table, whatever the indexes say."""
    with closing(sqlite3.connect(path / INDEX)) as index, suppress(sqlite3.Error):
        return int(index.execute("SELECT count(*) FROM frames NOT INDEXED WHERE id > 0").fetchone()[0])
    return 0


def copies(kept: Path, tmp_path: Path, step: int) -> Iterator[Path]:
    """Copies of a directory, each with another wrong bit."""
    right = shutil.copytree(kept, tmp_path / "flipped")
    for _ in flipped(right, step):
        yield shutil.copytree(right, tmp_path / "read")
        shutil.rmtree(tmp_path / "read")


def page_of(path: Path, name: str) -> range:
    """The bytes of the root page of a tree."""
    with closing(sqlite3.connect(path / INDEX)) as index:
        (root,) = index.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (name,)).fetchone()
        (size,) = index.execute("PRAGMA page_size").fetchone()
    return range((root - 1) * size, root * size)


@pytest.mark.slow
def test_an_entry_that_a_purge_misses_is_not_used(kept: Path, tmp_path: Path) -> None:
    hidden = 0
    page, dice = page_of(kept, "by_scope"), random.Random(1)
    written = [at for at in page if (kept / INDEX).read_bytes()[at]]
    for at in dice.sample(written, 40):
        path = shutil.copytree(kept, tmp_path / "read")
        with (path / INDEX).open("r+b") as file:
            file.seek(at)
            (value,) = file.read(1)
            file.seek(at)
            file.write(bytes([value ^ 1 << dice.randrange(8)]))
        tier = disk(path)
        purged(tier, STUDY)
        hidden += missed(path) > 0
        assert come_back(tier) == []
        tier._close()
        tier = disk(path)
        assert come_back(tier) == []
        tier._close()
        shutil.rmtree(path)
    assert hidden


@pytest.mark.slow
def test_a_frame_that_a_drop_misses_is_not_found_either(kept: Path, tmp_path: Path) -> None:
    missing = 0
    for number, path in enumerate(copies(kept, tmp_path, 20_011)):
        tier, one = disk(path), number * 7 % FRAMES
        purged(tier, scope_of(numbered(one)))
        assert come_back(tier, range(one, one + 1)) == []
        missing += come_back(tier) != [number for number in range(FRAMES) if number != one]
        tier._close()
    assert missing


def purged_and_killed(kept: Path, tmp_path: Path) -> Path:
    """A directory as it is if the process is killed after a purge."""
    tier = disk(shutil.copytree(kept, tmp_path / "purged"))
    purged(tier, STUDY)
    killed = shutil.copytree(tmp_path / "purged", tmp_path / "killed")
    tier._close()
    return killed


def test_a_purge_is_in_the_file_itself_once_it_is_answered(kept: Path, tmp_path: Path) -> None:
    killed = purged_and_killed(kept, tmp_path)
    (killed / INDEX).with_name("index.sqlite-wal").unlink(missing_ok=True)
    tier = disk(killed)
    assert come_back(tier) == []
    tier._put(numbered(0), frame(300))
    assert come_back(tier) == [0]
    tier._close()


def test_a_wrong_bit_after_a_purge_brings_nothing_back(kept: Path, tmp_path: Path) -> None:
    for path in copies(purged_and_killed(kept, tmp_path), tmp_path, 20_011):
        tier = disk(path)
        assert come_back(tier) == []
        tier._close()


@pytest.mark.slow
def test_a_wrong_bit_everywhere_brings_nothing_back(kept: Path, tmp_path: Path) -> None:
    hidden = 0
    for path in copies(kept, tmp_path, 4_999):
        tier = disk(path)
        purged(tier, STUDY)
        hidden += missed(path) > 0
        assert come_back(tier) == []
        tier._close()
    assert hidden


def test_frames_that_come_after_a_purge_are_kept(kept: Path, tmp_path: Path) -> None:
    tier = disk(shutil.copytree(kept, tmp_path / "read"))
    for named in (STUDY, FrameScope("pacs"), FrameScope("pacs", "1.2", "1.3"), STUDY):
        purged(tier, named)
        tier._put(numbered(3), frame(300, seed=3))
        first = tier._first(tier._names.of(numbered(3)))
        assert first is not None
        assert whole(first) == whole(frame(300, seed=3))
    tier._close()
    with closing(sqlite3.connect(tmp_path / "read" / INDEX)) as index:
        scopes = index.execute("SELECT count(*), count(DISTINCT scope) FROM fences").fetchone()
    assert scopes == (3, 3)  # a purge takes the place of the one before it


def test_a_purge_is_remembered_as_long_as_what_it_may_have_missed(tmp_path: Path) -> None:
    tier = disk(tmp_path, ttl=1e-9)
    purged(tier, STUDY)
    tier._tend()
    tier._close()
    with closing(sqlite3.connect(tmp_path / INDEX)) as index:
        assert index.execute("SELECT count(*) FROM fences").fetchone() == (0,)
