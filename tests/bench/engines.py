"""Compares libraries that keep bytes on disk, as an event loop sees them: `python -m tests.bench engines`.

Each engine keeps frames of 64 KiB and of 10 MB, and then gives them back in random order from four threads,
while a clock in the loop notes how late it is. An engine whose library is not installed is left out.
"""

import asyncio
import random
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from itertools import count
from pathlib import Path
from threading import local
from time import perf_counter, process_time
from typing import Protocol

KIB, MB = 1024, 1_000_000
LOADS = {"64 KiB": (64 * KIB, 3000, 6000), "10 MB": (10 * MB, 30, 120)}
"""Bytes of a frame, number of frames, number of reads."""
THREADS = 4
TICK = 0.001


class Engine(Protocol):
    """Bytes by name. Each call blocks."""

    def put(self, name: bytes, content: bytes) -> None: ...

    def get(self, name: bytes) -> bytes: ...


class Files:
    """A file for each frame, in 256 directories; a new file gets its name once it is written."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._numbers = count()
        for number in range(256):
            (root / f"{number:02x}").mkdir()

    def put(self, name: bytes, content: bytes) -> None:
        new = self._root / f"new-{next(self._numbers)}"
        new.write_bytes(content)
        new.rename(self._path(name))

    def get(self, name: bytes) -> bytes:
        return self._path(name).read_bytes()

    def _path(self, name: bytes) -> Path:
        return self._root / name.hex()[:2] / name.hex()


class Sqlite:
    """Rows with blobs, in pieces of at most 1 MiB."""

    def __init__(self, root: Path) -> None:
        self._path = root / "frames.sqlite"
        self._local = local()
        self._of_thread().execute(
            "CREATE TABLE pieces (name BLOB, number INTEGER, content BLOB, PRIMARY KEY (name, number))"
        )

    def _of_thread(self) -> sqlite3.Connection:
        if not hasattr(self._local, "connection"):
            made = sqlite3.connect(self._path, isolation_level=None, timeout=60)
            made.executescript("PRAGMA page_size=16384; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;")
            self._local.connection = made
        connection: sqlite3.Connection = self._local.connection
        return connection

    def put(self, name: bytes, content: bytes) -> None:
        pieces = ((name, at, content[at : at + KIB * KIB]) for at in range(0, len(content), KIB * KIB))
        connection = self._of_thread()
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO pieces VALUES (?, ?, ?)", pieces)
        connection.execute("COMMIT")

    def get(self, name: bytes) -> bytes:
        rows = self._of_thread().execute("SELECT content FROM pieces WHERE name = ? ORDER BY number", (name,))
        return b"".join(row[0] for row in rows)


class Lmdb:
    def __init__(self, root: Path) -> None:
        self._env = import_module("lmdb").open(str(root), map_size=8 << 30)

    def put(self, name: bytes, content: bytes) -> None:
        with self._env.begin(write=True) as transaction:
            transaction.put(name, content)

    def get(self, name: bytes) -> bytes:
        with self._env.begin() as transaction:
            return bytes(transaction.get(name))


class Rocks:
    def __init__(self, root: Path) -> None:
        library = import_module("rocksdict")
        options = library.Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_enable_blob_files(True)
        self._rocks = library.Rdict(str(root / "rocks"), options)

    def put(self, name: bytes, content: bytes) -> None:
        self._rocks[name] = content

    def get(self, name: bytes) -> bytes:
        return bytes(self._rocks[name])


class DiskCache:
    def __init__(self, root: Path) -> None:
        self._cache = import_module("diskcache").Cache(
            str(root), size_limit=8 << 30, eviction_policy="least-recently-stored"
        )

    def put(self, name: bytes, content: bytes) -> None:
        self._cache.set(name, content)

    def get(self, name: bytes) -> bytes:
        content: bytes = self._cache.get(name)
        return content


class Obstore:
    def __init__(self, root: Path) -> None:
        self._store = import_module("obstore.store").LocalStore(str(root))

    def put(self, name: bytes, content: bytes) -> None:
        self._store.put(name.hex(), content)

    def get(self, name: bytes) -> bytes:
        return bytes(self._store.get(name.hex()).bytes())


ENGINES: dict[str, Callable[[Path], Engine]] = {
    "files": Files,
    "SQLite blobs": Sqlite,
    "LMDB": Lmdb,
    "RocksDB blobs": Rocks,
    "diskcache": DiskCache,
    "obstore.LocalStore": Obstore,
}


async def _lateness(late: list[float]) -> None:
    while True:
        due = perf_counter() + TICK
        await asyncio.sleep(TICK)
        late.append(perf_counter() - due)


async def _read(engine: Engine, names: list[bytes], size: int) -> tuple[list[float], list[float], float]:
    loop, late, took = asyncio.get_running_loop(), list[float](), list[float]()
    ticking = asyncio.create_task(_lateness(late))
    left = iter(names)

    async def one_after_another(pool: ThreadPoolExecutor) -> None:
        for name in left:
            began = perf_counter()
            content = await loop.run_in_executor(pool, engine.get, name)
            took.append(perf_counter() - began)
            assert len(content) == size

    with ThreadPoolExecutor(THREADS) as pool:
        began = process_time()
        await asyncio.gather(*(one_after_another(pool) for _ in range(THREADS)))
        cpu = process_time() - began
    ticking.cancel()
    return took, late, cpu


@contextmanager
def _directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def _measure(name: str, build: Callable[[Path], Engine], load: str) -> str:
    size, number, reads = LOADS[load]
    dice = random.Random(1)
    with _directory() as root:
        engine = build(root)
        names, content = [dice.randbytes(16) for _ in range(number)], dice.randbytes(size)
        began, cpu = perf_counter(), process_time()
        for each in names:
            engine.put(each, content)
        wrote, wrote_cpu = perf_counter() - began, process_time() - cpu
        took, late, cpu = asyncio.run(_read(engine, dice.choices(names, k=reads), size))
    rate = partial(_rate, size)
    figures = [
        *(f"{_at(took, q) * 1e3:.2f}" for q in (0.5, 0.99)),
        *(f"{_at(late, q) * 1e3:.2f}" for q in (0.99, 1.0)),
        *(rate(reads, cpu), rate(number, wrote), rate(number, wrote_cpu)),
    ]
    return f"| {name} | {load} | " + " | ".join(figures) + " |"


def _rate(size: int, number: int, seconds: float) -> str:
    return f"{size * number / seconds / MB:,.0f}"


def _at(values: list[float], quantile: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * quantile))]


def run() -> None:
    print("| engine | frames | read p50, ms | p99 | loop late p99, ms | most | read, MB/s of a core | "
          "written, MB/s | of a core |")  # fmt: skip
    print("|" + "---|" * 9)
    for load in LOADS:
        for name, build in ENGINES.items():
            try:
                print(_measure(name, build, load), flush=True)
            except ImportError as error:
                print(f"| {name} | not installed: {error.name} |")
