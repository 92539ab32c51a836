"""The index of a shelf: a SQLite file, opened once by each thread that uses it.

A transaction changes an entry and the totals. It names a file in `pending` as soon as no entry has it. So the
index is right at any moment, also after `kill -9`, and no start has to look through the directory. Nothing
rests on the totals by kind; they are only told.

A bit of the file that flips can hide an entry from a search. So no drop depends on finding each entry:

    fences    a drop of more than one frame is noted here under a number. A record has the number of the last
              such drop before it was written, so an entry that a drop missed is known by its smaller number.
    by_scope  one frame is read and dropped by the same search. A drop that misses it hides it from readers.

If the file has gone or is another one, it is opened anew. If SQLite finds it damaged, the directory is set
aside, and a new one begins empty.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from threading import Lock, local

from proxy.cache.sealed import LEVELS

SCHEMA = 3
"""Number of the schema. A directory with another one is set aside."""
PAGE = 8192
"""Bytes of a page."""
LOG = 4 << 20
"""Bytes of changes that SQLite keeps apart before it puts them into place, about."""

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}  # the last: other tables

_TABLES = f"""
PRAGMA page_size = {PAGE};
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS frames (
    id INTEGER PRIMARY KEY, name BLOB NOT NULL,
    {", ".join(f"{level} INTEGER NOT NULL" for level in LEVELS)},
    version TEXT NOT NULL, kind TEXT NOT NULL, record BLOB NOT NULL,
    begin INTEGER NOT NULL, held INTEGER NOT NULL, rest TEXT NOT NULL DEFAULT '',
    used REAL NOT NULL, expires REAL NOT NULL,
    first_size INTEGER NOT NULL, rest_size INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS by_scope ON frames (origin, study, series, instance, frame);
CREATE INDEX IF NOT EXISTS by_use ON frames (used);
CREATE INDEX IF NOT EXISTS by_use_of_rest ON frames (used) WHERE rest <> '';
CREATE INDEX IF NOT EXISTS by_end ON frames (expires);
CREATE TABLE IF NOT EXISTS fences (
    number INTEGER PRIMARY KEY AUTOINCREMENT, scope INTEGER NOT NULL, expires REAL NOT NULL);
CREATE INDEX IF NOT EXISTS by_fence ON fences (scope);
CREATE TABLE IF NOT EXISTS firsts (id INTEGER PRIMARY KEY, content BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS pending (file TEXT PRIMARY KEY, since REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS totals (id INTEGER PRIMARY KEY, firsts INTEGER NOT NULL, rests INTEGER NOT NULL);
INSERT OR IGNORE INTO totals VALUES (1, 0, 0);
CREATE TABLE IF NOT EXISTS kinds (kind TEXT PRIMARY KEY, firsts INTEGER NOT NULL, rests INTEGER NOT NULL);
CREATE TRIGGER IF NOT EXISTS added AFTER INSERT ON frames BEGIN
    UPDATE totals SET firsts = firsts + new.first_size, rests = rests + new.rest_size;
    INSERT OR IGNORE INTO kinds VALUES (new.kind, 0, 0);
    UPDATE kinds SET firsts = firsts + new.first_size, rests = rests + new.rest_size WHERE kind = new.kind;
END;
CREATE TRIGGER IF NOT EXISTS changed AFTER UPDATE OF rest ON frames BEGIN
    UPDATE totals SET rests = rests + new.rest_size - old.rest_size;
    UPDATE kinds SET rests = rests + new.rest_size - old.rest_size WHERE kind = new.kind;
    INSERT OR REPLACE INTO pending SELECT old.rest, 0 WHERE old.rest <> '' AND old.rest <> new.rest;
END;
CREATE TRIGGER IF NOT EXISTS dropped AFTER DELETE ON frames BEGIN
    UPDATE totals SET firsts = firsts - old.first_size, rests = rests - old.rest_size;
    UPDATE kinds SET firsts = firsts - old.first_size, rests = rests - old.rest_size WHERE kind = old.kind;
    INSERT OR REPLACE INTO pending SELECT old.rest, 0 WHERE old.rest <> '';
    DELETE FROM firsts WHERE id = old.id;
END;
PRAGMA user_version = {SCHEMA};
COMMIT;
"""


class Index:
    """The SQLite file in a directory of its own below `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.directory = root / "frames"
        """The directory that is set aside as a whole."""
        self._path = self.directory / "index.sqlite"
        self._local = local()
        self._connections: set[sqlite3.Connection] = set()
        self._opening = Lock()

    @contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """The index, for this thread. Raises `OSError`, `sqlite3.Error`."""
        connection = self._connection()
        try:
            yield connection
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            if _is_damage(error):
                self._set_aside(self._local.opened[1])
            raise _as_sqlite(error) from error

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """One transaction."""
        with self.opened() as index:
            index.execute("BEGIN IMMEDIATE")
            try:
                yield index
                index.execute("COMMIT")
            finally:
                if index.in_transaction:
                    with suppress(sqlite3.Error):
                        index.execute("ROLLBACK")

    def _connection(self) -> sqlite3.Connection:
        found: tuple[sqlite3.Connection, int] | None = getattr(self._local, "opened", None)
        with suppress(FileNotFoundError):
            if found is not None and found[1] == self._path.stat().st_ino:
                return found[0]
        with self._opening:
            if found is not None:
                self._connections.discard(found[0])
                found[0].close()
            connection = self._open()
            self._connections.add(connection)
        self._local.opened = connection, self._path.stat().st_ino
        return connection

    def _open(self) -> sqlite3.Connection:
        self._root.mkdir(mode=0o700, exist_ok=True)
        self.directory.mkdir(mode=0o700, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=5.0, isolation_level=None, check_same_thread=False)
        try:
            (schema,) = connection.execute("PRAGMA user_version").fetchone()
            if schema == 0:
                connection.executescript(_TABLES)
            elif schema != SCHEMA:
                raise _OtherRelease("a directory of another release")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {LOG // 2 // PAGE}")
            connection.execute(f"PRAGMA journal_size_limit = {LOG}")
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            connection.close()
            if _is_damage(error):
                self._set_aside(self._path.stat().st_ino)
            raise _as_sqlite(error) from error
        return connection

    def put_into_place(self) -> None:
        """Moves all changes from the log into the file. Raises `sqlite3.Error` if others hinder it.

        If a bit of the log flips, SQLite drops the changes after it when it is opened next.
        """
        with self.opened() as index:
            (is_busy, _, _) = index.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if is_busy:
            raise sqlite3.OperationalError("the log is in use")

    def close(self) -> None:
        """Closes it for all threads, none of which uses it any more."""
        for connection in self._connections:
            connection.close()
        self._connections.clear()

    def _set_aside(self, inode: int) -> None:
        """Puts all that is there aside, to be dropped by `tend`, unless another thread has done it."""
        with suppress(OSError):
            if self._path.stat().st_ino == inode:
                self.directory.rename(self._root / f"aside-{token_hex(8)}")


class _OtherRelease(sqlite3.DatabaseError):
    pass


def _as_sqlite(error: Exception) -> Exception:
    return error if isinstance(error, sqlite3.Error) else sqlite3.DatabaseError(str(error))


def _is_damage(error: Exception) -> bool:
    if isinstance(error, _OtherRelease | UnicodeDecodeError):  # the latter: a message that quotes damage
        return True
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED
