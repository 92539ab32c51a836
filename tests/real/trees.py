"""The study as files in a folder, written by our own writer and by a third-party writer."""

import gzip
import importlib.util
import io
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from pydicom.uid import RLELossless

from proxy.archive.prepare import prepare
from proxy.codecs.htj2k import encode_htj2k
from proxy.wire.multipart import wrap
from tests.real.study import Image


def write_ours(folder: Path, images: Sequence[Image]) -> None:
    """Writes our tree below `folder`/dicomweb. Frames other than HTJ2K, and gzip, as static-wado does."""
    tree = folder / "dicomweb"
    prepare(tree, "real", lambda: [each for each in images if each.is_htj2k], encode_htj2k, io.StringIO())
    for image in images:
        if not image.is_htj2k:
            _write_other(tree, image)
    for path in tree.rglob("*.json"):
        name = path.name if path.name == "index.json" else path.stem
        path.with_name(f"{name}.gz").write_bytes(gzip.compress(path.read_bytes()))


def _write_other(tree: Path, image: Image) -> None:
    is_rle = image.syntax == RLELossless
    around = wrap(
        "BOUNDARY",
        f"{'image/dicom-rle' if is_rle else 'application/octet-stream'};transfer-syntax={image.syntax}",
    )
    for path, frame in zip(image.paths, image.stored, strict=True):
        part = around.before + frame + around.after
        file = tree / path[1:]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.with_suffix(".rle" if is_rle else ".raw").write_bytes(frame)
        if is_rle:
            file.with_suffix(".mht").write_bytes(part)
        else:
            file.with_suffix(".mht.gz").write_bytes(gzip.compress(part))


def write_by_creator(folder: Path, images: Sequence[Image]) -> None:
    """Writes the tree of static-dicomweb-creator below `folder`/dicomweb."""
    if importlib.util.find_spec("static_dicomweb_creator") is None:
        pytest.skip("static-dicomweb-creator is not installed: pip install static-dicomweb-creator")
    source = folder / "dicom"
    source.mkdir()
    for image in images:
        (source / f"{image.name}.dcm").write_bytes(image.part10())
    made = str(folder / "dicomweb")
    command = [sys.executable, "-m", "static_dicomweb_creator", str(source), "/dicomweb/", made]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
