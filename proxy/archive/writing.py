"""Writes a tree: each instance's folder in one step, and at the end the lists of all instances.

An instance is written aside and renamed when it is complete, so a folder with a manifest is a complete
instance by the recipe in that manifest. The lists are made from the folders that exist. You can therefore
create a tree in several runs, or interrupt a run, without losing anything.
"""

import fcntl
import gzip
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from proxy.archive.manifest import FILE_NAME, Entry, Manifest, describe, parse_manifest
from proxy.archive.tree import (
    BOUNDARY,
    DICOM_JSON,
    JPEG,
    Forms,
    Json,
    documents,
    files_of,
    in_order,
    instance_path,
    series_path,
)
from proxy.errors import ConfigurationError

RECIPE = "tree-3"
"""Version of the tree's files. Change it whenever they change."""
THUMBNAIL = "thumbnail.jpeg"


class InstanceFolder:
    """One instance that is being written, aside."""

    def __init__(self, aside: Path, forms: Forms) -> None:
        shutil.rmtree(aside, ignore_errors=True)
        self._aside = aside
        self._forms = forms
        self._files: dict[str, Entry] = {}

    def write(self, name: str, content: bytes, label: str) -> None:
        """Writes a frame or other content in the forms of the tree; `name` has no suffix."""
        for path, wrapped, kind in files_of(name, content, label, self._forms):
            self._files[path] = _write(self._aside / path, wrapped, kind)

    def write_alone(self, path: str, content: bytes, label: str) -> None:
        """Writes a file that has only one form."""
        self._files[path] = _write(self._aside / path, content, label)

    def finish(self, tree: Path, metadata: Json, recipe: str) -> Manifest:
        """Moves the instance to its place, replacing an older one."""
        for path, content, kind in _json_files("metadata.json", [metadata], self._forms):
            self._files[path] = _write(self._aside / path, content, kind)
        manifest = Manifest(recipe, BOUNDARY, self._files)
        _write(self._aside / FILE_NAME, manifest.to_json().encode(), "")
        put_in_place(self._aside, tree / instance_path(metadata))
        return manifest

    def abandon(self) -> None:
        """Removes everything, unless the instance was finished."""
        shutil.rmtree(self._aside, ignore_errors=True)


def write_lists(tree: Path, recipe: str, forms: Forms) -> int:
    """Lists all instances and files of a tree, and returns the number of instances."""
    files: dict[str, Entry] = {}
    instances: list[Json] = []
    for path in sorted(tree.glob(f"studies/*/series/*/instances/*/{FILE_NAME}")):
        below = path.parent.relative_to(tree).as_posix()
        held = parse_manifest(path.read_text("utf-8")).files
        files |= {f"{below}/{name}": entry for name, entry in held.items()}
        instances += json.loads((path.parent / "metadata.json").read_text("utf-8"))
    instances = in_order(instances)
    files |= _series_thumbnails(tree, instances, files)
    for path_below, rows in documents(instances):
        for name, content, kind in _json_files(path_below, rows, forms):
            files[name] = _replace(tree / name, content, kind)
    _replace(tree / FILE_NAME, Manifest(recipe, BOUNDARY, files).to_json().encode(), "")
    return len(instances)


def _series_thumbnails(
    tree: Path, instances: Sequence[Json], files: dict[str, Entry]
) -> Iterator[tuple[str, Entry]]:
    """Yields the middle thumbnail of each series as the thumbnail of the series."""
    every: dict[str, list[str]] = {}
    for metadata in instances:
        if (path := f"{instance_path(metadata)}/{THUMBNAIL}") in files:
            every.setdefault(series_path(metadata), []).append(path)
    for series, paths in every.items():
        content = (tree / paths[len(paths) // 2]).read_bytes()
        yield f"{series}/{THUMBNAIL}", _replace(tree / series / THUMBNAIL, content, JPEG)


def _json_files(path: str, rows: Sequence[Json], forms: Forms) -> Iterator[tuple[str, bytes, str]]:
    content = json.dumps(rows, separators=(",", ":"), allow_nan=False).encode()
    yield path, content, DICOM_JSON
    if forms.is_gzip:
        yield f"{path}.gz", gzip.compress(content, mtime=0), "application/gzip"


def _write(path: Path, content: bytes, kind: str) -> Entry:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return describe(content, kind)


def _replace(path: Path, content: bytes, kind: str) -> Entry:
    """Writes a file that others may be reading, in one step."""
    aside = path.with_name(f".{path.name}.new")
    entry = _write(aside, content, kind)
    aside.replace(path)
    return entry


def put_in_place(aside: Path, folder: Path) -> None:
    """Renames a complete folder, replacing an older one."""
    old = aside.with_name(f"{aside.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        folder.rename(old)
    aside.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def refuse_strangers(folder: Path) -> None:
    """Raises `ConfigurationError` if a folder holds something other than a tree."""
    if not folder.exists():
        return
    if not folder.is_dir() or any(path.name not in ("studies", FILE_NAME) for path in folder.iterdir()):
        raise ConfigurationError(f"{folder} holds files that are not a DICOMweb tree; name an empty folder")


def sibling(folder: Path, what: str) -> Path:
    """Returns the name of a hidden folder beside `folder`."""
    return folder.parent / f".{folder.name}.{what}"


@contextmanager
def alone(folder: Path, out: TextIO) -> Iterator[None]:
    """Holds the lock beside a folder; the system releases it when the process ends."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with sibling(folder, "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            out.write("Another process is writing this tree; waiting for that process.\n")
            out.flush()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
