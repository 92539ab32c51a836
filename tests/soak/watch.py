"""A process beside the proxy: times of `/livez`, memory, open files and threads."""

import http.client
import os
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import urlsplit

EVERY = 0.05
"""Seconds between two requests for `/livez`."""
SILENT = 240.0
"""Seconds without a byte after which such a request has failed."""


@dataclass(frozen=True)
class Sample:
    """One look at a process."""

    rss: int
    """MiB."""
    files: int
    sockets: int
    threads: int


def look(process: int) -> Sample:
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text("utf-8").splitlines()
    )
    targets = []
    for each in Path(f"/proc/{process}/fd").iterdir():
        try:
            targets.append(str(each.readlink()))
        except FileNotFoundError:  # closed since it was listed
            continue
    sockets = sum(target.startswith("socket:") for target in targets)
    return Sample(int(status["VmRSS"].split()[0]) // 1024, len(targets), sockets, int(status["Threads"]))


@dataclass
class Seen:
    """All that the watch saw."""

    alive: list[float] = field(default_factory=list)
    """Seconds that each `/livez` took."""
    silent: int = 0
    """Requests for `/livez` without a 200."""
    samples: list[Sample] = field(default_factory=list)
    """One a second."""


def run_watch(pipe: Connection, admin: str, process: int) -> None:
    """Runs as a process until the other end of the pipe says something; then sends what it saw."""
    seen, next_look = Seen(), 0.0
    while not pipe.poll(EVERY):
        began = time.perf_counter()
        if _is_alive(admin):
            seen.alive.append(time.perf_counter() - began)
        else:
            seen.silent += 1
        if began >= next_look:
            seen.samples.append(look(process))
            next_look = began + 1
    pipe.send(seen)
    pipe.poll(None)  # until the parent is gone or ends this process
    os._exit(0)


def _is_alive(admin: str) -> bool:
    near = http.client.HTTPConnection(urlsplit(admin).netloc, timeout=SILENT)
    try:
        near.request("GET", "/livez")
        return near.getresponse().status == 200
    except OSError:
        return False
    finally:
        near.close()
