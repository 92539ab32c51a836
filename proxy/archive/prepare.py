"""Creates a tree of given pictures once and reuses it.

The tree is written aside, renamed when it is complete, and checked on every use.
A process that creates a tree holds a lock beside the folder, so a second process waits and then finds the
tree. If the process dies, it leaves at most a folder aside, which the next one removes.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO

from numpy.typing import NDArray
from pydicom.dataset import Dataset
from tqdm import tqdm

from proxy.archive.describing import metadata_of, of_encoded, of_frames
from proxy.archive.manifest import is_whole
from proxy.archive.tree import Forms
from proxy.archive.writing import (
    RECIPE,
    InstanceFolder,
    alone,
    put_in_place,
    refuse_strangers,
    sibling,
    write_lists,
)
from proxy.codecs.jobs import LABELS, Alternate, Job
from proxy.codecs.transcode import make
from proxy.wire.media import EXPLICIT_LITTLE_ENDIAN, HTJ2K_RPCL
from proxy.wire.pixels import ImagePixel

Encode = Callable[[NDArray[Any]], bytes]
"""Encodes one frame as HTJ2K Lossless RPCL."""


class SourceInstance(Protocol):
    """One instance to write."""

    @property
    def dataset(self) -> Dataset:
        """The attributes."""

    @property
    def frames(self) -> Callable[[], Iterable[NDArray[Any]]]:
        """Returns the frames in the order of frame_number. Called once, in a thread."""


@dataclass(frozen=True)
class _Made:
    """How to make the tree."""

    recipe: str
    encode: Encode
    alternates: Mapping[str, Alternate]


def prepare(
    folder: Path,
    recipe: str,
    instances: Callable[[], Sequence[SourceInstance]],
    encode: Encode,
    progress: TextIO | None = None,
    alternates: Mapping[str, Alternate] | None = None,
) -> None:
    """Makes `folder` a complete tree of the instances, or keeps it if it is one by the same recipe.

    `recipe` identifies the version of the instances, which are requested only if the tree is made. Alternates
    are named by what replaces `frames` in URLs. Progress goes to stderr by default. Raises
    `ConfigurationError` if the folder holds something else, and any error of `instances` and `encode`.
    """
    alternates = alternates or {}
    told = (f"{name}={alternate}" for name, alternate in alternates.items())
    how = _Made(" ".join((RECIPE, recipe, *told)), encode, alternates)
    folder, out = folder.resolve(), progress or sys.stderr
    if is_whole(folder, how.recipe):
        return
    with alone(folder, out):
        if is_whole(folder, how.recipe):  # the process that held the lock made it
            return
        refuse_strangers(folder)
        aside = sibling(folder, "making")
        shutil.rmtree(aside, ignore_errors=True)
        try:
            _make(aside, how, instances(), out)
            put_in_place(aside, folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _make(aside: Path, how: _Made, instances: Sequence[SourceInstance], out: TextIO) -> None:
    out.write(f"Encoding {len(instances)} instances. This is done only once.\n")
    out.flush()
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        work = pool.map(lambda instance: _write(aside, how, instance), instances)
        for _ in tqdm(work, "Encoding", len(instances), file=out, disable=None):  # None: only at a terminal
            pass
    finally:
        pool.shutdown(cancel_futures=True)
    write_lists(aside, how.recipe, Forms())


def _write(tree: Path, how: _Made, instance: SourceInstance) -> None:
    dataset, count = instance.dataset, 0
    folder = InstanceFolder(tree / f"{dataset.SOPInstanceUID}.making", Forms())
    pixel = ImagePixel(0, 0)
    for count, frame in enumerate(instance.frames(), start=1):
        pixel = _described(frame, dataset)
        folder.write(f"frames/{count}", how.encode(frame), LABELS["htj2k", False])
        for name, alternate in how.alternates.items():
            scale = alternate.scale_of(pixel.columns, pixel.rows)
            plain = frame.astype(pixel.dtype, copy=False).tobytes()
            made = make(Job(plain, EXPLICIT_LITTLE_ENDIAN, pixel, alternate, scale))
            folder.write(f"{name}/{count}", made.content, made.label)
    metadata, _ = metadata_of(dataset)
    metadata = of_encoded(of_frames(metadata, count, HTJ2K_RPCL), pixel, HTJ2K_RPCL)
    folder.finish(tree, metadata, how.recipe)


def _described(frame: NDArray[Any], dataset: Dataset) -> ImagePixel:
    bits, is_signed = frame.dtype.itemsize * 8, frame.dtype.kind == "i"
    rows, columns = frame.shape[:2]
    samples = frame.shape[2] if frame.ndim == 3 else 1
    form = str(dataset.get("PhotometricInterpretation", "MONOCHROME2"))
    return ImagePixel(rows, columns, samples, bits, bits, is_signed, photometric=form)
