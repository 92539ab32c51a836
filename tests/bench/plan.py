"""Plans of long series: the time to make and to walk one, and its peak memory."""

import time
import tracemalloc
from collections import deque
from collections.abc import Callable
from itertools import islice
from statistics import median

from proxy.plan.plan import Fetch, Plan
from proxy.plan.profile import Profile, stock_profile
from proxy.plan.stages import images_of
from proxy.prefetch.part import IN_FLIGHT
from tests.bench.shared import print_row

LENGTHS = (1_000, 10_000, 100_000)
TIMED = 10_000
AIM_MADE = 0.050
"""Target time in seconds for a plan of `TIMED` images, from issue 3."""
ROUNDS = 5
PROFILES = ("interleaved", "sequential")
WIDTHS = (30, 12, 10, 12, 12)


def run() -> None:
    print(
        f"Stock profiles without a network. {IN_FLIGHT} fetches are in flight, the oldest ends first.\n"
        "Rival: a sorted list of every image of every stage.\n"
        f"Times are medians of {ROUNDS}. Memory is tracemalloc's peak while a plan is made and\n"
        "walked. It should not grow, so × is relative to the shortest series."
    )
    for name in PROFILES:
        profile = stock_profile(name)
        _times(name, profile)
        _memory(name, profile)


def _times(name: str, profile: Profile) -> None:
    print(f"\n{name}, {TIMED:,} images")
    print_row(("", "ms", "× aim", "µs a fetch", "fetches"), WIDTHS)
    fetches = walk(Plan(profile, TIMED))
    made = _timed(lambda: Plan(profile, TIMED))
    both = _timed(lambda: walk(Plan(profile, TIMED)))
    listed = _timed(lambda: list_all(profile, TIMED))
    print_row(("issue 3: made within", f"{AIM_MADE * 1e3:.2f}", "1.00"), WIDTHS)
    print_row(("made", f"{made * 1e3:.2f}", f"{made / AIM_MADE:.4f}"), WIDTHS)
    print_row(("all listed and sorted", f"{listed * 1e3:.2f}", f"{listed / AIM_MADE:.4f}"), WIDTHS)
    each = f"{(both - made) / fetches * 1e6:.1f}"
    print_row(("walked to its end", f"{(both - made) * 1e3:.1f}", "", each, f"{fetches:,}"), WIDTHS)


def _memory(name: str, profile: Profile) -> None:
    print(f"\n{name}, peak memory")
    print_row(("images", "KiB", "× first", "rival KiB", "plan/rival"), WIDTHS)
    least = 0.0
    for count in LENGTHS:
        held = _peak(lambda count=count: walk(Plan(profile, count)))  # type: ignore[misc]  # a default binds it
        listed = _peak(lambda count=count: list_all(profile, count))  # type: ignore[misc]  # the same
        least = least or held
        cells = (
            f"{count:,}",
            f"{held:,.1f}",
            f"{held / least:.2f}",
            f"{listed:,.1f}",
            f"{held / listed:.3f}",
        )
        print_row(cells, WIDTHS)


def walk(plan: Plan) -> int:
    """Walks a plan without fetching anything. Returns the number of fetches."""
    flying: deque[Fetch] = deque()
    fetches = 0
    while True:
        started = list(islice(iter(plan.next, None), IN_FLIGHT - len(flying)))
        fetches += len(started)
        flying += started
        if not flying:
            return fetches
        fetch = flying.popleft()
        plan.ended(fetch, is_whole=fetch.part.stop is None, ok=True)


def list_all(profile: Profile, count: int) -> int:
    listed = [
        (stage.request_type, stage.priority, number, image)
        for number, stage in enumerate(profile.stages)
        for image in images_of(stage, count)
    ]
    listed.sort()
    return len(listed)


def _timed(work: Callable[[], object]) -> float:
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return median(took)


def _peak(work: Callable[[], object]) -> float:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / 1024
    finally:
        tracemalloc.stop()
