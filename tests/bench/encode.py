"""The speed of encoding alternates compared with plain imagecodecs, and of hot alternates with hot frames."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median

import imagecodecs
import numpy as np
import uvloop

from proxy.codecs.htj2k import decompositions_for
from proxy.codecs.jobs import Alternate, Codec, Job
from proxy.codecs.transcode import encode, make
from proxy.codecs.workers import Workers
from proxy.wire.pixels import ImagePixel
from tests.bench.shared import print_row
from tests.codestreams import PARTS, Pixels, htj2k, picture
from tests.house import House, house
from tests.scripted_origin import ScriptedOrigin, frame_of
from tests.stories.test_alternates import ALTERNATES, described

PLAIN = "1.2.840.10008.1.2.1"
ROUNDS = {512: (7, 40), 3036: (5, 3)}
"""By edge length: rounds, in which the ways take turns, and pictures for each turn."""
HITS = 3000
CODECS: tuple[Codec, ...] = ("htj2k", "jpegls")
WIDTHS = (34, 10, 10, 10, 10)


def run() -> None:
    print(
        "Synthetic pictures of 16 bits. The ways take turns. ms: the fastest time. CPU ms: median\n"
        "CPU time, from which MB/s and × bare are computed.\n"
        "Bare: only imagecodecs. Encoded here: with our checks and options. From plain pixels: the\n"
        "whole job. By a worker: both processes, including the pipes between them."
    )
    uvloop.run(_encoding())
    uvloop.run(_hits())


async def _encoding() -> None:
    async with Workers(1, 2 << 30, 30.0) as workers:
        for edge in ROUNDS:
            pixels = _picture(edge)
            for codec in CODECS:
                print(f"\n{codec}, {edge}x{edge}")
                print_row(("", "ms", "CPU ms", "MB/s", "× bare"), WIDTHS)
                await _compared(pixels, codec, workers)


async def _compared(pixels: Pixels, codec: Codec, workers: Workers) -> None:
    alternate, pixel = Alternate(codec), ImagePixel(*pixels.shape)
    job = Job(pixels.tobytes(), PLAIN, pixel, alternate, 1)
    ways: dict[str, Callable[[], object]] = {
        "bare": lambda: _bare(pixels, codec),
        "encoded here": lambda: encode(pixels, alternate),
        "from plain pixels": lambda: make(job),
        "by a worker": lambda: workers.make(job),
    }
    await workers.make(job)
    rounds, count = ROUNDS[pixels.shape[0]]
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            began, cpu = time.perf_counter(), _cpu(workers)
            made = [way() for _ in range(count)]
            await asyncio.gather(*(each for each in made if isinstance(each, Awaitable)))
            took[name].append(((_cpu(workers) - cpu) / count, (time.perf_counter() - began) / count))
    bare = median(cpu for cpu, _ in took["bare"])
    for name, times in took.items():
        cpu, least = median(cpu for cpu, _ in times), min(wall for _, wall in times)
        rate, ratio = pixels.nbytes / cpu / 1e6, bare / cpu
        print_row((name, f"{least * 1e3:.1f}", f"{cpu * 1e3:.1f}", f"{rate:.0f}", f"{ratio:.2f}"), WIDTHS)


def _cpu(workers: Workers) -> float:
    """CPU seconds of this process and its worker."""
    theirs = sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in workers.running)
    return time.process_time() + theirs / 1e9


def _bare(pixels: Pixels, codec: Codec) -> object:
    if codec == "jpegls":
        return imagecodecs.jpegls_encode(pixels)
    return imagecodecs.htj2k_encode(
        pixels, reversible=True, resolutions=decompositions_for(*pixels.shape), **PARTS
    )


def _picture(edge: int) -> Pixels:
    coarse = picture(edge // 12 + 1, edge // 12 + 1)
    smooth = np.kron(coarse, np.ones((12, 12), "u2"))[:edge, :edge]
    found: Pixels = smooth + np.random.default_rng(2).integers(0, 60, smooth.shape).astype("u2")
    return found


async def _hits() -> None:
    body = htj2k(_picture(512), **PARTS)
    origin = described(ScriptedOrigin().with_series([body]), more={"00280010": 512, "00280011": 512})
    async with house(origin, alternates=ALTERNATES) as home:
        paths = {"frame": frame_of(0), "alternate": frame_of(0).replace("/frames/", "/htj2k/")}
        took: dict[str, list[float]] = {name: [] for name in paths}
        for path in paths.values():
            assert await _asked(home, path) == body
        for _ in range(HITS):
            for name, path in paths.items():
                began = time.perf_counter()
                await _asked(home, path)
                took[name].append(time.perf_counter() - began)
    print(f"\nA hit of {len(body):,} bytes through the whole service on loopback, {HITS:,} each in turn")
    print_row(("", "µs", "p90 µs"), WIDTHS)
    for name, times in took.items():
        ordered = sorted(times)
        print_row(
            (name, f"{median(times) * 1e6:.0f}", f"{ordered[len(ordered) * 9 // 10] * 1e6:.0f}"), WIDTHS
        )


async def _asked(home: House, path: str) -> bytes:
    answer = await home.viewer.get(path, headers={"accept": "image/jphc"})
    assert answer.status_code == 200, answer.text
    return answer.content
