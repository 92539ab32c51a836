"""Chooses the files of a tree: one for each instance. Records why the other files are left out."""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydicom.errors import InvalidDicomError

from proxy.archive.dataset import words
from proxy.archive.manifest import digest
from proxy.archive.outcome import Outcome
from proxy.archive.source import uids_of
from proxy.errors import ConfigurationError


def choose(sources: Sequence[Path], tree: Path, outcome: Outcome) -> Iterator[Path]:
    """Yields one file for each instance, or none if its files differ, since any could be right.

    Files inside the tree are not sources. Raises `ConfigurationError`.
    """
    every = _found(sources, outcome).items()
    found = {path: is_named for path, is_named in every if not path.is_relative_to(tree)}
    for paths in _by_instance(found, outcome).values():
        first, *others = paths
        try:
            are_same = not others or len({digest(path.read_bytes()) for path in paths}) == 1
        except OSError as error:
            outcome.fail(first, error)
            continue
        if are_same:
            outcome.twice |= dict.fromkeys(others, first)
            yield first
            continue
        for path in paths:
            other = first if path != first else others[0]
            why = f"{len(paths)} different files have the same SOPInstanceUID, among them {other}"
            outcome.fail(path, ConfigurationError(why))


def _by_instance(found: Mapping[Path, bool], outcome: Outcome) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = defaultdict(list)
    for path, is_named in sorted(found.items()):
        try:
            uids = uids_of(path)
        except InvalidDicomError as error:
            if is_named:
                outcome.fail(path, error)
            else:
                outcome.not_dicom[path] = words(error)
        except Exception as error:  # a file can cause any error
            outcome.fail(path, error)
        else:
            if uids is None:
                outcome.not_dicom[path] = "a DICOMDIR"
            else:
                files[uids[-1]].append(path)
    return files


def _found(sources: Sequence[Path], outcome: Outcome) -> dict[Path, bool]:
    """Returns every file, with True if it was named itself. Raises `ConfigurationError`."""
    found: dict[Path, bool] = {}

    def unreadable(error: OSError) -> None:
        outcome.fail(Path(error.filename), error)

    for source in sources:
        if source.is_dir():
            for folder, _, names in os.walk(source, onerror=unreadable):
                for path in (Path(folder, name) for name in names):
                    if os.path.isfile(path):  # noqa: PTH113  # never raises
                        found.setdefault(path.resolve(), False)
                    else:
                        outcome.not_dicom[path] = "not a regular file, or a broken link"
        elif source.is_file():
            found[source.resolve()] = True
        elif source.exists():
            raise ConfigurationError(f"{source}: neither a file nor a folder")
        else:
            raise ConfigurationError(f"{source}: there is no such file or folder")
    return found
