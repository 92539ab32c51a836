"""Codestreams: the time to find where resolutions end, to cut them, and to check that one is complete."""

import random
import time
import tracemalloc
from collections.abc import Callable
from statistics import median

import numpy as np

from proxy.codestream.cutting import cut_full, cut_reduced
from proxy.codestream.layout import Layout, read_layout
from proxy.codestream.whole import is_whole
from proxy.errors import CodestreamError
from tests.bench.shared import print_row
from tests.codestreams import PARTS, Pixels, bases, htj2k, mutant, picture

FIRST = 65536
"""Bytes of a first fetch."""
AIM_TLM, AIM_WALK, AIM_CUT = 50e-6, 1.5e-3, 0.1e-3
"""Target times in seconds, for a CT of 512x512."""
MUTANTS = 100_000
ROUNDS = 51
WIDTHS = (40, 10, 10, 10, 10)


def run() -> None:
    print(
        f"Synthetic pictures, smooth with noise. A prefix has {FIRST:,} bytes unless named.\n"
        f"Times are medians of {ROUNDS}. × aim: relative to the target in issue 4 for a CT."
    )
    for name, pixels, decompositions in (
        ("CT-like, 512x512", picture(512, 512), 5),
        ("CR-like, 3036x3036", _large(3036), 6),
        ("colour, 1200x1600", picture(1200, 1600, 3, dtype="u1"), 5),
    ):
        _times(name, htj2k(pixels, decompositions), htj2k(pixels, decompositions, **PARTS))
    _mutants()


def _large(side: int) -> Pixels:
    tile = picture(side // 12 + 1, side // 12 + 1)
    smooth = np.kron(tile, np.ones((12, 12), "u2"))[:side, :side]
    found: Pixels = smooth + np.random.default_rng(2).integers(0, 60, smooth.shape).astype("u2")
    return found


def _times(name: str, plain: bytes, parts: bytes) -> None:
    print(f"\n{name}: {len(parts):,} bytes")
    print_row(("", "µs", "aim µs", "× aim"), WIDTHS)
    for have in (16384, FIRST, len(plain)):
        prefix = plain[:have]
        _row(f"walk of {len(prefix):,}", AIM_WALK, lambda: _layout(prefix))  # noqa: B023  # called at once
    prefix = parts[:FIRST]
    layout = _layout(prefix)
    finest = layout.finest(len(prefix)) or 0
    _row("TLM", AIM_TLM, lambda: _layout(prefix))
    _row(f"cut, {layout.sizes[finest]}", AIM_CUT, lambda: cut_reduced(prefix, finest, layout))
    _row("cut at full size", AIM_CUT, lambda: cut_full(prefix, finest, layout))
    _row("whole?", AIM_CUT, lambda: is_whole(parts))


def _layout(prefix: bytes) -> Layout:
    found = read_layout(prefix)
    assert found is not None
    return found


def _row(name: str, aim: float, work: Callable[[], object]) -> None:
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    print_row((name, f"{median(took) * 1e6:,.0f}", f"{aim * 1e6:,.0f}", f"{median(took) / aim:.2f}"), WIDTHS)


def _mutants() -> None:
    print(f"\n{MUTANTS:,} mutants of {len(bases())} codestreams: a result, or CodestreamError")
    slowest, refused = _look_at_mutants(MUTANTS)
    print_row(("refused", f"{refused / MUTANTS:.0%}"), WIDTHS)
    print_row(("slowest, ms", f"{slowest * 1e3:.1f}"), WIDTHS)
    tracemalloc.start()
    _look_at_mutants(MUTANTS // 20)
    print_row(("peak memory, MiB", f"{tracemalloc.get_traced_memory()[1] / 2**20:.1f}"), WIDTHS)
    tracemalloc.stop()


def _look_at_mutants(count: int) -> tuple[float, int]:
    """Seconds that the slowest mutant took, and the number of mutants that were rejected."""
    rng, slowest, refused = random.Random(9), 0.0, 0
    for number in range(count):
        damaged = mutant(bases()[number % len(bases())], rng)
        began = time.perf_counter()
        try:
            is_whole(damaged)
            read_layout(damaged)
        except CodestreamError:
            refused += 1
        slowest = max(slowest, time.perf_counter() - began)
    return slowest, refused
