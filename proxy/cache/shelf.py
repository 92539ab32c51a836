"""A directory with sealed bytes: an index with the first bytes of frames in SQLite, and a file for each rest.

Every call blocks, and may be made from any thread and from several processes. All names are digests. Each
call raises `OSError` or `sqlite3.Error` if the directory fails.

A file is named in `pending` before it is written, and again when no entry has it any more. So each file is
dropped in the end, also if the process that wrote it was killed.
"""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from secrets import token_hex
from sqlite3 import Connection
from time import time
from typing import Any

from proxy.cache.index import LOG, PAGE, Index
from proxy.cache.sealed import LEVELS, Name
from proxy.cache.tier import Wrong

UNFINISHED = 600.0
"""Seconds after which a file that is still being written belongs to nobody."""
AT_ONCE = 64
"""Most entries that one transaction drops, most files dropped in a row, and most transactions of a call."""
PAGES = 1024
"""Most free pages that are given back in a row."""
BESIDE = 1536
"""Bytes of an entry in the index beside whole pages: names, record and places in four indexes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A frame as it lies on the shelf."""

    version: str
    """Digest of the version."""
    record: bytes
    """The sealed record."""
    begin: int
    """End of the first piece in the frame, from which on the file has it."""
    held: int
    """End of the bytes that are held; exclusive."""
    rest: str
    """Name of the file with the bytes after the first piece. Empty if there is none."""


FENCED = LEVELS[:4]
"""The levels that have fences, from wide to narrow: all that can hold more than one frame."""

_ENTRY = "version, record, begin, held, rest"
_FRAMES = "frames INDEXED BY by_scope"
_IS_IT = " AND ".join(f"{level} = ?" for level in (*LEVELS, "name"))


class Shelf:
    """One directory."""

    def __init__(self, root: Path, most: int, first_share: float) -> None:
        """It holds about `most` bytes. First bytes displace rests up to `first_share` of them."""
        self._root = root
        self._index = Index(root)
        self._most = most - most // 16 - 2 * LOG  # for pages that are free, and changes that are not in place
        self._most_firsts = self._most * first_share

    def path_of(self, file: str) -> Path:
        """The path of a file with the rest of a frame."""
        return self._index.directory / file[:2] / file

    def entry(self, name: Name) -> Entry | None:
        """The entry of a frame."""
        with self._index.opened() as index:
            found = index.execute(
                f"SELECT {_ENTRY} FROM {_FRAMES} WHERE {_IS_IT}", (*name.levels, name.exact)
            ).fetchone()
        return None if found is None else _entry(found)

    def fence(self, name: Name) -> int:
        """The number of the last drop of more than one frame around this one; 0 if there was none."""
        around = name.levels[: len(FENCED)]
        with self._index.opened() as index:
            (number,) = index.execute(
                f"SELECT max(number) FROM fences WHERE scope IN ({', '.join('?' * len(around))})", around
            ).fetchone()
        return max(0, number or 0)  # damage can make it negative

    def first(self, name: Name) -> tuple[Entry, bytes] | None:
        """The entry of a frame, and its first bytes, sealed."""
        with self._index.opened() as index:
            found = index.execute(
                f"SELECT {_ENTRY}, content FROM {_FRAMES} JOIN firsts USING (id) WHERE {_IS_IT}",
                (*name.levels, name.exact),
            ).fetchone()
        if found is None:
            return None
        if not isinstance(found[-1], bytes):
            raise Wrong("a damaged row")
        return _entry(found[:-1]), found[-1]

    def put(self, name: Name, entry: Entry, content: bytes, expires: float, kind: str) -> None:
        """Replaces an entry, with its first bytes. It has no file yet. `kind` is only counted."""
        size = -(-len(content) // PAGE) * PAGE + BESIDE
        row = (name.exact, *name.levels, entry.version, kind, entry.record, entry.begin, entry.held)
        with self._index.changing() as index:
            _delete(index, name)
            added = index.execute(
                f"INSERT INTO frames (name, {', '.join(LEVELS)}, version, kind, record, begin, held, used, "
                f"expires, first_size) VALUES ({', '.join('?' * (len(row) + 3))})",
                (*row, time(), expires, size),
            )
            index.execute("INSERT INTO firsts VALUES (?, ?)", (added.lastrowid, content))

    def renew(self, name: Name, record: bytes, expires: float) -> None:
        """Replaces the record of an entry."""
        with self._index.changing() as index:
            index.execute(
                f"UPDATE {_FRAMES} SET record = ?, expires = ?, used = ? WHERE {_IS_IT}",
                (record, expires, time(), *name.levels, name.exact),
            )

    def put_rest(self, name: Name, version: str, held: int, pieces: Iterable[bytes]) -> None:
        """Adds the rest to an entry of this version."""
        file = token_hex(16)
        with self._index.changing() as index:
            index.execute("INSERT INTO pending VALUES (?, ?)", (file, time()))
        size = self._write(file, pieces)
        with self._index.changing() as index:
            changed = index.execute(
                f"UPDATE {_FRAMES} SET rest = ?, rest_size = ?, held = ? WHERE {_IS_IT} AND version = ?",
                (file, size, held, *name.levels, name.exact, version),
            )
            done = "DELETE FROM pending" if changed.rowcount else "UPDATE pending SET since = 0"
            index.execute(f"{done} WHERE file = ?", (file,))

    def _write(self, file: str, pieces: Iterable[bytes]) -> int:
        path = self.path_of(file)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            with path.open("xb") as written:
                return sum(written.write(piece) for piece in pieces)
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def note_used(self, names: Mapping[Name, float]) -> None:
        """Notes when frames were used last."""
        changes = [  # other threads may add some meanwhile
            (at, *name.levels, name.exact) for name, at in tuple(names.items())
        ]
        if changes:
            with self._index.changing() as index:
                index.executemany(f"UPDATE {_FRAMES} SET used = ? WHERE {_IS_IT}", changes)

    def drop(self, name: Name) -> None:
        """Drops an entry."""
        with self._index.changing() as index:
            _delete(index, name)

    def forget(self, named: Mapping[str, int], expires: float) -> None:
        """Drops all entries with these names, by level. An entry of now expires by `expires`."""
        where = " AND ".join(f"{level} = ?" for level in named)
        fenced = [named[level] for level in FENCED if level in named]
        is_wide = "frame" not in named
        with self._index.changing() as index:
            if is_wide:
                index.execute("DELETE FROM fences WHERE scope = ?", (fenced[-1],))
                index.execute("INSERT INTO fences (scope, expires) VALUES (?, ?)", (fenced[-1], expires))
            index.execute(f"DELETE FROM {_FRAMES} WHERE {where}", tuple(named.values()))
        if is_wide:
            self._index.put_into_place()

    def close(self) -> None:
        """Closes the index. No call is under way any more."""
        self._index.close()

    def make_room(self) -> tuple[int, int]:
        """Drops entries so that all fit: rests, and first bytes if they have more than their share.

        The entry that was used longest ago goes first. Returns the bytes of first bytes and of rests. If much
        has to go, as after a start with less room, a call drops only some of it.
        """
        for rounds in count():
            with self._index.opened() as index:
                firsts, rests = index.execute("SELECT firsts, rests FROM totals").fetchone()
            if firsts + rests <= self._most or rounds == AT_ONCE:
                return firsts, rests
            is_first = firsts > self._most_firsts or not rests
            with self._index.changing() as index:
                if is_first:
                    oldest = f"SELECT id FROM frames ORDER BY used LIMIT {AT_ONCE // 8}"
                    index.execute(f"DELETE FROM frames WHERE id IN ({oldest})")
                else:
                    oldest = "SELECT id FROM frames WHERE rest <> '' ORDER BY used LIMIT 1"
                    index.execute(
                        f"UPDATE frames SET rest = '', rest_size = 0, held = begin WHERE id IN ({oldest})"
                    )
        raise AssertionError("unreachable")

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Bytes of first bytes and of rests, by kind."""
        with self._index.opened() as index:
            found = index.execute("SELECT kind, firsts, rests FROM kinds").fetchall()
        return {row[0]: row[1:] for row in found if [type(each) for each in row] == [str, int, int]}

    def tend(self) -> bool:
        """Drops some entries whose time is over, their files, and free pages. True if there are more.

        After a long time without a process there may be a million, and a purge must not wait for all of them.
        """
        with self._index.changing() as index:
            ended = f"SELECT id FROM frames WHERE expires < ? LIMIT {AT_ONCE}"
            dropped = index.execute(f"DELETE FROM frames WHERE id IN ({ended})", (time(),)).rowcount
            index.execute("DELETE FROM fences WHERE expires < ?", (time(),))
        self.sweep()
        if dropped == AT_ONCE or sum(self.make_room()) > self._most:
            return True
        with self._index.opened() as index:
            (free,) = index.execute("PRAGMA freelist_count").fetchone()
            is_large = bool(free * PAGE > self._most // 32)
            if is_large:
                index.execute(f"PRAGMA incremental_vacuum({PAGES})").fetchall()
        for aside in self._root.glob("aside-*"):
            shutil.rmtree(aside, ignore_errors=True)
        return bool(is_large)

    def sweep(self) -> None:
        """Drops files that nobody needs."""
        while True:
            with self._index.opened() as index:
                found = index.execute(
                    f"SELECT file FROM pending WHERE since < ? LIMIT {AT_ONCE}", (time() - UNFINISHED,)
                ).fetchall()
            for (file,) in found:
                self.path_of(file).unlink(missing_ok=True)
            if not found:
                return
            with self._index.changing() as index:
                index.executemany("DELETE FROM pending WHERE file = ?", found)


def _delete(index: Connection, name: Name) -> None:
    index.execute(f"DELETE FROM {_FRAMES} WHERE {_IS_IT}", (*name.levels, name.exact))


def _entry(row: tuple[Any, ...]) -> Entry:
    """The entry of a row; SQLite takes a value of any type for any column. Raises `Wrong`."""
    if [type(value) for value in row] != [str, bytes, int, int, str]:
        raise Wrong("a damaged row")
    return Entry(*row)
