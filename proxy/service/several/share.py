"""Divides the settings among workers. Pure.

Bounds of everything together are divided. Bounds of one caller or one address hold in each worker, because a
viewer's requests are mostly about one study, which one worker keeps.
"""

import math
import os
from collections.abc import Iterable
from pathlib import Path

from proxy.settings.bounds import BoundsSettings
from proxy.settings.model import Settings
from proxy.settings.sections import Limits, OriginSettings
from proxy.settings.warming import WarmSettings

LEAST_IN_FLIGHT = 3
"""Fetches that each worker may have under way in any case, as the setting demands."""
IN_ALL = ("connections", "waiting", "sending", "uploads", "plans", "planned_frames")
"""Bounds of all callers together."""
QUOTA = Path("/sys/fs/cgroup/cpu.max")


def workers_of(settings: Settings, quota: Path = QUOTA) -> int:
    """The number of processes that serve viewers."""
    number = settings.workers.http
    return cores(quota) if number == "cores" else number


def cores(quota: Path = QUOTA) -> int:
    """Cores that the process may use: those it may run on, or fewer if its container has a limit."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        most, period = quota.read_text("utf-8").split()
        return max(1, min(allowed, math.ceil(int(most) / int(period))))
    except (OSError, ValueError, ZeroDivisionError):  # no cgroup v2, or `max`
        return allowed


def share(whole: int, number: int, count: int, least: int = 1) -> int:
    """The share of worker `number`. The first workers get what is left over.

    >>> [share(8, number, 3) for number in range(3)]
    [3, 3, 2]
    """
    return max(least, whole // count + (number < whole % count))


def part_of(settings: Settings, number: int, count: int, cache_bytes: int) -> Settings:
    """The settings of one of `count` workers. `cache_bytes` are for all of them."""
    at_work, traces = settings.workers, settings.traces
    return settings.model_copy(
        update={
            "workers": at_work.model_copy(update={"http": 1, "number": share(at_work.number, number, count)}),
            "cache": settings.cache.model_copy(update={"bytes": share(cache_bytes, number, count)}),
            "bounds": _bounds(settings.bounds, number, count),
            "traces": traces.model_copy(update={"joined": share(traces.joined, number, count, least=0)}),
            "origins": tuple(_origins(settings.origins, number, count)),
            "warm": tuple(_warm(each, number, count) for each in settings.warm),
        }
    )


def _bounds(bounds: BoundsSettings, number: int, count: int) -> BoundsSettings:
    said = {name: getattr(bounds, name) for name in IN_ALL}
    return bounds.model_copy(
        update={name: share(whole, number, count) for name, whole in said.items() if whole is not None}
    )


def _origins(origins: Iterable[OriginSettings], number: int, count: int) -> Iterable[OriginSettings]:
    for origin in origins:
        yield origin.model_copy(update={"limits": _limits(origin.limits, number, count)})


def _warm(warm: WarmSettings, number: int, count: int) -> WarmSettings:
    requests = None if warm.requests is None else share(warm.requests, number, count)
    return warm.model_copy(update={"budget": share(warm.budget, number, count), "requests": requests})


def _limits(limits: Limits, number: int, count: int) -> Limits:
    rate = limits.per_second
    return limits.model_copy(
        update={
            "in_flight": share(limits.in_flight, number, count, LEAST_IN_FLIGHT),
            "forwarded": share(limits.forwarded, number, count),
            "per_second": None if rate is None else share(rate, number, count),
        }
    )
