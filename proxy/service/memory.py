"""The memory that the container allows, and the part of it that frames may take.

A cgroup and each of its parents may have a limit; the smallest one counts. Without a limit, frames get 1 GiB.
"""

from collections.abc import Iterator
from pathlib import Path

from proxy.service.several.share import workers_of
from proxy.settings.model import Settings

MIB = 1024**2
PROGRAM = 192 * MIB
"""Bytes of the program: 120 MiB when it starts, and more for connections of 100 slow viewers."""
PARENT = 96 * MIB
"""Bytes of the process that starts the others, if several serve viewers."""
WORKER = 256 * MIB
"""Bytes of a worker process that makes a radiograph's alternate."""
PART = 0.85
"""Part of the remainder that frames get. Frames take up to a tenth more than their bytes."""
LEAST = 64 * MIB
"""Bytes that frames get in any case."""
UNLIMITED = 1024 * MIB
"""Bytes that frames get if nothing limits the process."""

GROUPS = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")


def memory_limit(groups: Path = GROUPS, own: Path = OWN) -> int | None:
    """The container's limit in bytes, by cgroup v2 or v1. None if there is none."""
    try:
        lines = own.read_text("utf-8").splitlines()
    except OSError:
        return None
    limits = [limit for line in lines for limit in _limits(groups, *line.split(":", 2)[1:])]
    return min(limits, default=None)


def _limits(groups: Path, controllers: str, path: str) -> Iterator[int]:
    """The limits of a cgroup and its parents."""
    if controllers not in ("", "memory"):
        return
    top, name = (groups / "memory", "memory.limit_in_bytes") if controllers else (groups, "memory.max")
    place = top / path.strip("/")
    for folder in (place, *place.parents):
        if folder.is_relative_to(top) and (limit := _read(folder / name)) is not None:
            yield limit


def _read(file: Path) -> int | None:
    try:
        text = file.read_text("utf-8").strip()
    except OSError:
        return None
    if not (text.isascii() and text.isdigit()):
        return None  # `max`
    return int(text) if int(text) < 1 << 60 else None  # v1 has a large number if there is no limit


def fitting(settings: Settings, limit: int | None) -> int:
    """Bytes for frames that fit a container's limit."""
    if limit is None:
        return UNLIMITED
    count, at_work = workers_of(settings), settings.workers
    makers = max(count, at_work.number) * min(WORKER, at_work.memory) if settings.has_makers else 0
    program = PROGRAM if count == 1 else PARENT + count * PROGRAM
    return max(LEAST, int((limit - program - makers) * PART))


def cache_bytes(settings: Settings, limit: int | None) -> int:
    """Bytes for frames: as configured, or as many as fit."""
    size = settings.cache.bytes
    return fitting(settings, limit) if size == "auto" else size


def warning(settings: Settings, limit: int | None) -> str | None:
    """Why the configured bytes do not fit; None if they do."""
    size, most = settings.cache.bytes, fitting(settings, limit)
    if limit is None or size == "auto" or size <= most:
        return None
    return (
        f"cache.bytes: {size // MIB} MiB do not fit the container's limit of {limit // MIB} MiB;"
        f" auto would take {most // MIB} MiB"
    )
