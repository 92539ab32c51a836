"""Creates a static tree from DICOM files, or extends one: instances first, then the lists of all instances.

Files are parsed in this process and their pixels decoded in workers, so a file that crashes a decoder affects
only itself. An instance that is complete and was made by the same recipe is not made again.
"""

import asyncio
import os
import shutil
import time
import warnings
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from proxy.archive.describing import of_encoded, of_frames, outsourced, overlays_in
from proxy.archive.manifest import digest, is_whole
from proxy.archive.outcome import Outcome
from proxy.archive.selection import choose
from proxy.archive.source import DicomFile, read_source
from proxy.archive.tree import DICOM, JPEG, Forms, Json, instance_path
from proxy.archive.writing import (
    RECIPE,
    THUMBNAIL,
    InstanceFolder,
    alone,
    refuse_strangers,
    sibling,
    write_lists,
)
from proxy.codecs.jobs import LABELS, Alternate, Job, Made, Rendering
from proxy.codecs.workers import Workers
from proxy.codestream.header import read_header
from proxy.codestream.whole import fault_of
from proxy.errors import CodestreamError, NotMade
from proxy.wire.dicomjson import text_of
from proxy.wire.display import read_displays
from proxy.wire.media import HTJ2K_RPCL, transfer_syntax_of
from proxy.wire.pixels import ImagePixel

THUMBNAIL_EDGE = 256
"""Pixels of a thumbnail's longer side."""
_MEMORY, _SECONDS = 4 << 30, 300.0
"""Limits of a worker: bytes of address space, and seconds for one frame."""
_PIXEL_DATA, _LOSSY_COMPRESSION = "7FE00010", "00282110"
_LOSSY = frozenset(f"1.2.840.10008.1.2.4.{end}" for end in ("50", "51", "81"))
"""JPEG baseline and extended, JPEG-LS near-lossless."""
_LOSSY_OR_NOT = frozenset(f"1.2.840.10008.1.2.4.{end}" for end in ("91", "203"))
"""JPEG 2000 and HTJ2K, for which LossyImageCompression decides (PS3.3 C.7.6.1.1.5)."""


@dataclass(frozen=True, slots=True)
class TreeOptions:
    """The content of a tree."""

    frames: Alternate | None
    """Encoding of the frames; None keeps them as they are."""
    alternates: Mapping[str, Alternate] = field(default_factory=dict)
    """Alternates by the name that replaces `frames` in URLs."""
    forms: Forms = field(default_factory=Forms)
    """The forms in which content is stored."""
    has_thumbnails: bool = False
    """True if instances and series get a thumbnail."""
    has_instances: bool = False
    """True if the DICOM files are stored in the tree too."""
    keeps_lossy: bool = False
    """True if frames whose encoding is lossy are kept as they are; encoded anew, they would be larger."""


def create(tree: Path, sources: Sequence[Path], wanted: TreeOptions, out: TextIO) -> Outcome:
    """Creates or extends a tree. Progress goes to `out`. Raises `ConfigurationError`, `OSError`."""
    tree, began, outcome = tree.resolve(), time.monotonic(), Outcome()
    with alone(tree, out), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings do not matter for the tree
        refuse_strangers(tree)
        chosen = list(choose(sources, tree, outcome))
        aside = sibling(tree, "making")
        shutil.rmtree(aside, ignore_errors=True)
        try:
            asyncio.run(_Conversion(tree, aside, wanted, outcome).run(chosen, out))
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        outcome.listed = write_lists(tree, f"{RECIPE} {wanted}", wanted.forms)
    outcome.seconds = time.monotonic() - began
    return outcome


class _Conversion:
    def __init__(self, tree: Path, aside: Path, wanted: TreeOptions, outcome: Outcome) -> None:
        self._tree = tree
        self._aside = aside
        self._wanted = wanted
        self._outcome = outcome
        cores = os.cpu_count() or 1
        self._workers = Workers(cores, _MEMORY, _SECONDS)
        self._at_once = cores + 1
        self._jobs = asyncio.Semaphore(2 * cores)

    async def run(self, paths: Sequence[Path], out: TextIO) -> None:
        """Converts the files, several at once."""
        left = iter(paths)
        with tqdm(total=len(paths), desc="Converting", file=out, disable=None) as shown:

            async def convert_in_turn() -> None:
                for path in left:
                    await self._convert(path)
                    shown.update()

            async with self._workers:
                await _together(convert_in_turn() for _ in range(self._at_once))

    async def _convert(self, path: Path) -> None:
        try:
            source = await asyncio.to_thread(read_source, path)
        except Exception as error:  # a file can cause any error
            self._outcome.fail(path, error)
            return
        try:
            recipe = f"{RECIPE} {self._wanted} of {source.digest}"
            if await asyncio.to_thread(is_whole, self._tree / instance_path(source.metadata), recipe):
                self._outcome.found += 1
                return
            folder = InstanceFolder(self._aside / source.digest, self._wanted.forms)
            try:
                metadata, notes = await self._written(source, folder)
                lost = sorted(overlays_in(source.metadata) - set(metadata))
                left_out = [
                    *source.left_out,
                    *(f"{tag}: an overlay in unused bits of the pixels" for tag in lost),
                ]
                manifest = await asyncio.to_thread(folder.finish, self._tree, metadata, recipe)
            except Exception:  # not if cancelled: threads still write, and all is removed at the end
                folder.abandon()
                raise
        except OSError:
            raise  # a full disk is not the file's fault
        except Exception as error:  # an error affects only the file that causes it
            self._outcome.fail(path, error)
        else:
            self._outcome.read += len(source.content)
            self._outcome.add(manifest)
            self._outcome.notes.update(set(notes))
            self._outcome.left_out += [(path, why) for why in left_out]

    async def _written(self, source: DicomFile, folder: InstanceFolder) -> tuple[Json, list[str]]:
        """Writes everything except the metadata. Returns the metadata, and notes for the outcome."""
        notes = ["without attributes that JSON can't represent"] if source.left_out else []
        metadata, large = outsourced(source.metadata)
        for name, content in large.items():
            await asyncio.to_thread(folder.write, name, content, "application/octet-stream")
        if source.video:
            name = f"bulkdata/{digest(source.video)}"
            await asyncio.to_thread(folder.write, name, source.video, source.label)
            metadata[_PIXEL_DATA] = {"vr": "OB", "BulkDataURI": name}
            notes.append("video kept as it is")
        if source.frames:
            try:
                if self._wanted.keeps_lossy and _is_lossy(source):
                    notes.append("lossy frames kept as they are")
                    metadata = await self._keep_frames(source, metadata, folder)
                else:
                    metadata = await self._write_frames(source, metadata, folder)
                await self._write_alternates(source, folder, notes)
            except NotMade as why:
                notes.append(f"frames kept as they are, and not wrapped: {why}")
                metadata = await self._keep_frames(source, metadata, folder)
        if self._wanted.has_instances:
            await asyncio.to_thread(folder.write, "index", source.content, DICOM)
        return metadata, notes

    async def _write_frames(self, source: DicomFile, metadata: Json, folder: InstanceFolder) -> Json:
        """Writes the frames and returns the metadata that describes them. Raises `NotMade`."""
        wanted = self._wanted.frames
        if wanted is None or _is_so(source, wanted):
            return await self._keep_frames(source, metadata, folder)
        pixel = await self._write_made(source, "frames", wanted, folder)
        syntax = transfer_syntax_of(LABELS[wanted.codec, wanted.is_lossy])
        return of_encoded(of_frames(metadata, len(source.frames), syntax), pixel, syntax)

    async def _keep_frames(self, source: DicomFile, metadata: Json, folder: InstanceFolder) -> Json:
        for number, frame in enumerate(source.frames, start=1):
            await asyncio.to_thread(folder.write, f"frames/{number}", frame, source.label)
        return of_frames(metadata, len(source.frames), source.syntax)

    async def _write_alternates(self, source: DicomFile, folder: InstanceFolder, notes: list[str]) -> None:
        for name, alternate in self._wanted.alternates.items():
            try:
                await self._write_made(source, name, alternate, folder)
            except NotMade as why:
                notes.append(f"without {name}: {why}")
        if self._wanted.has_thumbnails:
            try:
                made = await self._done(_thumbnail(source))
                await asyncio.to_thread(folder.write_alone, THUMBNAIL, made.content, JPEG)
            except (NotMade, CodestreamError) as why:
                notes.append(f"without thumbnail: {why}")

    async def _write_made(
        self, source: DicomFile, name: str, alternate: Alternate, folder: InstanceFolder
    ) -> ImagePixel:
        """Writes one alternate of every frame; returns their form. Raises `NotMade`, `CodestreamError`."""
        pixel = source.pixel
        if pixel is None:
            raise NotMade("the metadata does not say how the pixels are stored")
        scale = alternate.scale_of(pixel.columns, pixel.rows)

        async def write(number: int, frame: bytes) -> None:
            try:
                made = await self._done(Job(frame, source.syntax, pixel, alternate, scale))
            except CodestreamError as error:
                raise CodestreamError(f"frame {number}: {error}") from error
            await asyncio.to_thread(folder.write, f"{name}/{number}", made.content, made.label)

        await _together(write(number, frame) for number, frame in enumerate(source.frames, start=1))
        return pixel

    async def _done(self, job: Job | Rendering) -> Made:
        async with self._jobs:
            return await self._workers.make(job)


def _is_so(source: DicomFile, wanted: Alternate) -> bool:
    """True if the frames are already encoded as requested."""
    if wanted.codec == "jpegls":
        return source.media == "image/jls"
    return source.syntax == HTJ2K_RPCL and all(map(_is_rpcl, source.frames))


def _is_lossy(source: DicomFile) -> bool:
    """True if the frames are in a lossy encoding, or in JPEG 2000 that was compressed with losses."""
    is_either = source.syntax in _LOSSY_OR_NOT
    return source.syntax in _LOSSY or (is_either and text_of(source.metadata, _LOSSY_COMPRESSION) == "01")


def _is_rpcl(codestream: bytes) -> bool:
    try:
        header = read_header(codestream)
    except CodestreamError:
        return False
    return header is not None and not header.reasons and not fault_of(codestream)


def _thumbnail(source: DicomFile) -> Rendering:
    """Returns the job for a thumbnail of the middle frame."""
    pixel, at = source.pixel, len(source.frames) // 2
    if pixel is None:
        raise NotMade("the metadata does not say how the pixels are stored")
    displays = read_displays(source.metadata)
    by = max(1.0, max(pixel.columns, pixel.rows) / THUMBNAIL_EDGE)
    size = max(1, round(pixel.columns / by)), max(1, round(pixel.rows / by))
    return Rendering(
        source.frames[at],
        source.syntax,
        pixel,
        displays[min(at, len(displays) - 1)],
        (0, 0, pixel.columns, pixel.rows),
        size,
        JPEG,
        90,
    )


async def _together(works: Iterable[Coroutine[None, None, None]]) -> None:
    """Runs all coroutines at once. The first error ends the others and is raised itself."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
