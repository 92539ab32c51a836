"""What a tree holds: each file with its length and digest, and the recipe that it was made by.

`manifest.json` is the last file of a tree and does not name itself. Servers of the tree may read it too:
digests make strong ETags, and a path that is not in it is not to be served. The folder of each instance has
one of its own.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FILE_NAME = "manifest.json"
"""Where a tree keeps it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a tree."""

    size: int
    """Bytes."""
    digest: str
    """BLAKE2b of the content, 128 bits, as hexadecimal digits."""
    type: str = ""
    """The media type that a server gives it."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """All files of a tree."""

    recipe: str
    """What the content depends on besides its sources; another recipe makes another tree."""
    boundary: str
    """The multipart boundary of all `.mht` files."""
    files: Mapping[str, Entry]
    """By path below the tree, with slashes."""

    def to_json(self) -> str:
        """As the text of `manifest.json`."""
        return json.dumps(asdict(self), indent=1, sort_keys=True)  # however many wrote at once


def parse_manifest(text: str) -> Manifest:
    """The manifest of a text that `to_json` gave. Raises `ValueError` for anything else."""
    content: Any = json.loads(text)
    try:
        rows = content["files"].items()
        files = {path: Entry(int(row["size"]), str(row["digest"]), str(row["type"])) for path, row in rows}
        return Manifest(str(content["recipe"]), str(content["boundary"]), files)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("not a manifest") from error


def describe(content: bytes, media: str = "") -> Entry:
    """The entry of a file with that content, and that media type."""
    return Entry(len(content), digest(content), media)


def digest(content: bytes) -> str:
    """What tells contents apart."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def is_whole(folder: Path, recipe: str) -> bool:
    """Whether a folder is a tree by that recipe with every byte in place; reads all of it."""
    try:
        manifest = parse_manifest((folder / FILE_NAME).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    if manifest.recipe != recipe:
        return False
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # reading and digesting let go of the GIL
        return all(pool.map(lambda item: _is_as_described(folder / item[0], item[1]), manifest.files.items()))


def _is_as_described(path: Path, entry: Entry) -> bool:
    try:
        return path.stat().st_size == entry.size and digest(path.read_bytes()) == entry.digest
    except OSError:
        return False
