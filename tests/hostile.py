"""Broken and malicious frames, some with false metadata, and the workers' results for them."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import imagecodecs
import numpy as np

from proxy.codecs.jobs import Alternate, Job, Made
from proxy.codecs.workers import Workers
from proxy.codestream.header import read_header
from proxy.codestream.markers import SIZ
from proxy.errors import CodestreamError, NotMade, WorkerLost
from proxy.wire.pixels import ImagePixel
from tests.codestreams import PARTS, Pixels, bases, htj2k, mutant, picture

DICOM = "1.2.840.10008.1.2"
PLAIN, RLE, JPEG, JPEG_12, LOSSLESS, JPEG_LS, JPEG_2000, HTJ2K = (
    DICOM + end for end in (".1", ".5", ".4.50", ".4.51", ".4.70", ".4.80", ".4.90", ".4.201")
)
ALTERNATES = (
    Alternate("jpegls"),
    Alternate("jpegls", near=3),
    Alternate("htj2k"),
    Alternate("htj2k", step=0.01),
    Alternate("jpeg"),
)
ABSURD = (0, 1, 2, 3, 255, 256, 4097, 65535, 1 << 31, (1 << 32) - 1)


@dataclass(frozen=True)
class Whole:
    """A valid frame."""

    content: bytes
    syntax: str
    pixel: ImagePixel


@cache
def wholes() -> tuple[Whole, ...]:
    """Small valid frames in every codec."""
    grey, colour, deep = picture(33, 47), picture(20, 30, 3, dtype="u1"), picture(64, 50) & 4095
    plain = [Whole(x.tobytes(), PLAIN, told(x)) for x in (grey, colour, picture(9, 9, dtype="i2"))]
    half = replace(told(colour), photometric="YBR_FULL_422")
    jpegs = [
        (imagecodecs.jpeg8_encode(colour, 90), JPEG, told(colour)),
        (imagecodecs.jpeg8_encode(colour, 90, subsampling="422"), JPEG, half),
        (imagecodecs.jpeg8_encode(colour[..., 0].copy(), 90), JPEG, told(colour[..., 0])),
        (imagecodecs.jpeg8_encode(deep, 90, bitspersample=12), JPEG_12, replace(told(deep), stored=12)),
        (imagecodecs.jpeg8_encode(grey, lossless=True, bitspersample=16), LOSSLESS, told(grey)),
    ]
    others = [(imagecodecs.jpegls_encode(each), JPEG_LS, told(each)) for each in (grey, colour)]
    others += [
        (imagecodecs.jpeg2k_encode(each, 0, codecformat="J2K", **more), JPEG_2000, told(each))
        for each in (grey, colour)
        for more in ({"reversible": True}, {"reversible": False, "resolutions": 2})
    ]
    ht = [htj2k(grey, 3, **PARTS), htj2k(colour, 3, **PARTS), htj2k(picture(300, 200), **PARTS), *bases()]
    return (
        *plain,
        Whole(half_chroma(20, 30), PLAIN, half),
        *(Whole(run_lengths(x), RLE, replace(told(x), is_planar=True)) for x in (grey, colour)),
        *(Whole(bytes(content), syntax, pixel) for content, syntax, pixel in jpegs + others),
        *(Whole(each, HTJ2K, described(each)) for each in ht),
    )


def told(pixels: Pixels) -> ImagePixel:
    """The true metadata of an image."""
    bits, is_grey = 8 * pixels.itemsize, pixels.ndim == 2
    rows, columns = pixels.shape[:2]
    shown = "MONOCHROME2" if is_grey else "RGB"
    return ImagePixel(
        rows, columns, 1 if is_grey else 3, bits, bits, pixels.dtype.kind == "i", photometric=shown
    )


def described(codestream: bytes) -> ImagePixel:
    header = read_header(codestream)
    assert header is not None
    bits = 8 * -(-header.bit_depth // 8)
    return ImagePixel(header.height, header.width, header.components, bits, bits, header.is_signed)


def half_chroma(rows: int, columns: int) -> bytes:
    return random.Random(1).randbytes(rows * columns * 2)


def run_lengths(pixels: Pixels) -> bytes:
    """Encodes RLE with only literal runs (PS3.5 G.3)."""
    planes = np.moveaxis(np.atleast_3d(pixels), 2, 0).reshape(
        -1, pixels[..., 0].size if pixels.ndim == 3 else pixels.size
    )
    segments = []
    for plane in planes:
        for byte in range(pixels.itemsize)[::-1]:  # the most significant byte first
            row = plane.view("u1")[byte :: pixels.itemsize].tobytes()
            pieces = (row[at : at + 128] for at in range(0, len(row), 128))
            coded = b"".join(bytes((len(piece) - 1,)) + piece for piece in pieces)
            segments.append(coded + bytes(len(coded) % 2))
    ends = np.cumsum([64, *map(len, segments)])
    head = [len(segments), *map(int, ends[:-1])]
    return np.array(head + [0] * (16 - len(head)), "<u4").tobytes() + b"".join(segments)


def jobs(count: int, seed: int = 7) -> Iterator[Job]:
    """`count` jobs, always the same ones for a seed. One in ten is valid."""
    rng = random.Random(seed)
    for number in range(count):
        base = wholes()[number % len(wholes())]
        content, pixel, syntax = base.content, base.pixel, base.syntax
        for damage in rng.choice(
            (
                ("none",),
                ("bytes",),
                ("bytes",),
                ("bytes",),
                ("size",),
                ("size", "lie"),
                ("lie",),
                ("bytes", "lie"),
                ("other",),
                ("label",),
            )
        ):
            match damage:
                case "bytes":
                    content = mutant(content, rng)
                case "size":
                    content, pixel = resized(content, pixel, rng)
                case "lie":
                    pixel = lying(pixel, rng)
                case "other":
                    other = rng.choice(wholes()).content
                    content = content[: rng.randrange(len(content))] + other[rng.randrange(len(other)) :]
                case "label":
                    syntax = rng.choice(wholes()).syntax
        scale = rng.choice((1, 1, 2, 4, 1 << 16))
        yield Job(content, syntax, pixel, rng.choice(ALTERNATES), scale)


def resized(content: bytes, pixel: ImagePixel, rng: random.Random) -> tuple[bytes, ImagePixel]:
    """The frame and its metadata, both with another size than the pixels have."""
    rows, columns = (rng.choice(ABSURD[:8]) for _ in range(2))
    at = content.find(SIZ.to_bytes(2, "big"))
    if at == 2:
        rows, columns = (rng.choice(ABSURD) for _ in range(2))
        size = columns.to_bytes(4, "big") + rows.to_bytes(4, "big")
        content = content[: at + 6] + size + content[at + 14 :]
        if rng.random() < 0.5:  # keep it to one tile
            content = content[: at + 22] + size + content[at + 30 :]
    for marker in (b"\xff\xc0", b"\xff\xc1", b"\xff\xc3", b"\xff\xf7"):  # SOF markers
        at = content.find(marker)
        if at >= 0:
            size = rows.to_bytes(2, "big") + columns.to_bytes(2, "big")
            content = content[: at + 5] + size + content[at + 9 :]
    return content, replace(pixel, rows=rows, columns=columns)


def lying(pixel: ImagePixel, rng: random.Random) -> ImagePixel:
    lies: dict[str, Any] = {
        "rows": rng.choice(ABSURD),
        "columns": rng.choice(ABSURD),
        "samples": rng.choice((0, 1, 2, 3, 4, 255)),
        "allocated": rng.choice((0, 1, 8, 12, 16, 32, 64)),
        "stored": rng.choice((0, 1, 7, 8, 12, 16, 17, 255)),
        "is_signed": not pixel.is_signed,
        "is_planar": not pixel.is_planar,
        "photometric": rng.choice(("YBR_FULL", "YBR_FULL_422", "PALETTE COLOR", "RGB", "", "MONOCHROME1")),
    }
    return replace(pixel, **{name: lies[name] for name in rng.sample(sorted(lies), rng.choice((1, 1, 2, 3)))})


@dataclass
class Outcomes:
    """The results of a set of jobs."""

    counts: Counter[str] = field(default_factory=Counter)
    """Number of jobs by the name of their error, or `picture`."""
    lost: list[int] = field(default_factory=list)
    """Indices of the jobs whose worker died or was killed."""
    wrong: list[str] = field(default_factory=list)
    """Images that have another size than the metadata says."""
    mute: int = 0
    """Number of errors with an empty message."""
    slowest: float = 0.0
    """Seconds that the slowest job took, including its time in the queue."""


async def outcomes(workers: Workers, every: Iterator[Job], at_once: int) -> Outcomes:
    """Runs all jobs, `at_once` at a time. Raises every error other than those that a bad frame may cause."""
    found, places = Outcomes(), enumerate(every)

    async def ask_on() -> None:
        for place, job in places:
            began = time.perf_counter()
            try:
                made = await workers.make(job)
            except (CodestreamError, NotMade) as error:
                found.counts[type(error).__name__] += 1
                found.mute += not str(error)
                found.lost += [place] * isinstance(error, WorkerLost)
            else:
                found.counts["picture"] += 1
                found.wrong += [f"{place}: {made.size}"] * (not is_as_told(job, made))
            found.slowest = max(found.slowest, time.perf_counter() - began)

    await asyncio.gather(*(ask_on() for _ in range(at_once)))
    return found


def is_as_told(job: Job, made: Made) -> bool:
    """True if an image, and its own header, have the size that the metadata gives."""
    size = -(-job.pixel.columns // job.scale), -(-job.pixel.rows // job.scale)
    if made.label.startswith("image/jphc"):
        header = read_header(made.content)
        return header is not None and made.size == size == (header.width, header.height)
    decode = imagecodecs.jpegls_decode if made.label.startswith("image/jls") else imagecodecs.jpeg8_decode
    return made.size == size == decode(made.content).shape[1::-1]
