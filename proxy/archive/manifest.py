"""The manifest of a tree: each file with its length and digest, and the recipe of the tree.

`manifest.json` is the last file of a tree and does not list itself. Servers of the tree may read it too. Its
digests are strong ETags, and a path that it does not list must not be served. The folder of each instance has
a manifest of its own.
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
"""Name of the manifest in a tree."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a tree."""

    size: int
    """Bytes."""
    digest: str
    """BLAKE2b of the content, 128 bits, in hexadecimal."""
    type: str = ""
    """Media type to serve the file with."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """All files of a tree."""

    recipe: str
    """Everything that the content depends on besides its sources. Another recipe makes another tree."""
    boundary: str
    """The multipart boundary of all `.mht` files."""
    files: Mapping[str, Entry]
    """Files by path below the tree, with slashes."""

    def to_json(self) -> str:
        """Returns the text of `manifest.json`."""
        return json.dumps(asdict(self), indent=1, sort_keys=True)  # independent of the order of writing


def parse_manifest(text: str) -> Manifest:
    """Parses the text of `manifest.json`. Raises `ValueError` for any other text."""
    content: Any = json.loads(text)
    try:
        rows = content["files"].items()
        files = {path: Entry(int(row["size"]), str(row["digest"]), str(row["type"])) for path, row in rows}
        return Manifest(str(content["recipe"]), str(content["boundary"]), files)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("the text is not a manifest") from error


def describe(content: bytes, media: str = "") -> Entry:
    """Returns the entry for a file with this content and media type."""
    return Entry(len(content), digest(content), media)


def digest(content: bytes) -> str:
    """Returns a digest that identifies the content."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def is_whole(folder: Path, recipe: str) -> bool:
    """True if a folder is a complete tree of that recipe. Reads every byte."""
    try:
        manifest = parse_manifest((folder / FILE_NAME).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    if manifest.recipe != recipe:
        return False
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # reading and hashing release the GIL
        return all(pool.map(lambda item: _is_as_described(folder / item[0], item[1]), manifest.files.items()))


def _is_as_described(path: Path, entry: Entry) -> bool:
    try:
        return path.stat().st_size == entry.size and digest(path.read_bytes()) == entry.digest
    except OSError:
        return False
