"""Makes a tree once and finds it again: written aside, renamed when whole, checked on each use.

A process that makes a tree holds a lock beside the folder, so a second one waits and then finds the tree.
Whatever dies on the way leaves at most a folder aside, which the next one removes.
"""

import fcntl
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TextIO

from numpy.typing import NDArray
from pydicom.dataset import Dataset
from tqdm import tqdm

from proxy.archive.manifest import FILE_NAME, Entry, Manifest, describe, is_whole
from proxy.archive.tree import BOUNDARY, described, documents, frame_files, instance_path
from proxy.errors import ConfigurationError

RECIPE = "tree-1"
"""Changes whenever a tree's files do."""

Encode = Callable[[NDArray[Any]], bytes]
"""Makes the codestream of one frame."""


class Instance(Protocol):
    """One instance to be written."""

    @property
    def dataset(self) -> Dataset:
        """Its attributes."""

    @property
    def frames(self) -> Callable[[], Iterable[NDArray[Any]]]:
        """Gives its frames in the order of frame_number; called once, in a thread."""


def prepare(
    folder: Path,
    recipe: str,
    instances: Callable[[], Sequence[Instance]],
    encode: Encode,
    progress: TextIO | None = None,
) -> None:
    """Makes `folder` a whole tree of the instances, or leaves it where it is one by the same recipe.

    `recipe` names the version of the instances, which are only asked for where the tree is made.
    Progress goes to stderr unless told otherwise. Raises `ConfigurationError` for a folder that holds
    something else, and whatever `instances` and `encode` raise.
    """
    folder, recipe, out = folder.resolve(), f"{RECIPE} {recipe}", progress or sys.stderr
    if is_whole(folder, recipe):
        return
    with _alone(folder, out):
        if is_whole(folder, recipe):  # made by the one that we waited for
            return
        _refuse_strangers(folder)
        aside = _sibling(folder, "making")
        shutil.rmtree(aside, ignore_errors=True)
        try:
            _make(aside, recipe, instances(), encode, out)
            _put_in_place(aside, folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _make(aside: Path, recipe: str, instances: Sequence[Instance], encode: Encode, out: TextIO) -> None:
    out.write(f"Encoding {len(instances)} instances, once; they are kept for the next time.\n")
    out.flush()
    datasets: list[Dataset] = []
    files: dict[str, Entry] = {}
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        work = pool.map(lambda instance: _write_instance(aside, instance, encode), instances)
        shown = tqdm(work, "Encoding", len(instances), file=out, disable=None)  # None: only at a terminal
        for dataset, written in shown:
            datasets.append(dataset)
            files.update(written)
    finally:
        pool.shutdown(cancel_futures=True)
    for path, rows in documents(datasets):
        files[path] = _write(aside / path, json.dumps(rows, separators=(",", ":")).encode())
    _write(aside / FILE_NAME, Manifest(recipe, BOUNDARY, files).to_json().encode())


def _write_instance(aside: Path, instance: Instance, encode: Encode) -> tuple[Dataset, dict[str, Entry]]:
    files: dict[str, Entry] = {}
    base, count = instance_path(instance.dataset), 0
    for count, frame in enumerate(instance.frames(), start=1):
        for ending, content in frame_files(encode(frame)):
            path = f"{base}/frames/{count}{ending}"
            files[path] = _write(aside / path, content)
    return described(instance.dataset, count), files


def _write(path: Path, content: bytes) -> Entry:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return describe(content)


def _put_in_place(aside: Path, folder: Path) -> None:
    old = _sibling(folder, "old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    aside.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _refuse_strangers(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir() or any(path.name not in ("studies", FILE_NAME) for path in folder.iterdir()):
        raise ConfigurationError(f"{folder}: holds other files than a DICOMweb tree; name an empty folder")


def _sibling(folder: Path, what: str) -> Path:
    return folder.parent / f".{folder.name}.{what}"


@contextmanager
def _alone(folder: Path, out: TextIO) -> Iterator[None]:
    """Holds the lock beside a folder; the system lets go of it when the process ends."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _sibling(folder, "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            out.write("Another process is preparing the same pictures; waiting for it.\n")
            out.flush()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
