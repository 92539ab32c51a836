"""Open files of the process, and how many connections of viewers they allow.

Each connection of a viewer may need one to an origin for its request. The rest is kept back: for the program,
for the admin listener, and for fetches that no request waits for.
"""

import resource

from proxy.settings.model import Settings

ENOUGH = 65536
"""Open files that the process allows itself, if the system lets it."""
PROGRAM = 64
"""Open files of the program: listeners, pipes to workers, certificates, connections that are refused."""
SPARE = 32
"""Connections of the admin listener beside those that `bounds.operators` allows: health and metrics."""
FEWEST = 8
"""Connections of viewers in any case."""


def allow_enough_files() -> None:
    """Raises the soft limit of open files as far as useful and allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(ENOUGH, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def files_allowed() -> int:
    """The soft limit of open files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return ENOUGH if soft == resource.RLIM_INFINITY else soft


def most_connections(settings: Settings, files: int) -> int:
    """Connections of viewers that are possible with so many files, and no more than `bounds.connections`."""
    kept = PROGRAM + admin_connections(settings)
    kept += sum(origin.limits.in_flight for origin in settings.origins)
    possible = max(FEWEST, (files - kept) // 2)
    return min(possible, settings.bounds.connections or possible)


def admin_connections(settings: Settings) -> int:
    """Connections of the admin listener."""
    return settings.bounds.operators + SPARE
