"""Asks for the same small thing again and again, such as `/livez`, from a process of its own.

A process that plays hundreds of viewers is late itself, so it can't tell how late the proxy is.
"""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from urllib.parse import urlsplit

from proxy.commands.processes import Children

EVERY = 0.02
"""Seconds between two requests."""


@contextmanager
def probed(server: str, path: str = "livez", headers: str = "") -> Iterator[list[float]]:
    """Probes a server during the `with`, if its URL is not empty. Then the list has the seconds, in order.

    Each header ends with a line break.
    """
    seen: list[float] = []
    if not server:
        yield seen
        return
    ours, theirs = Pipe()
    parts = urlsplit(server)
    head = f"GET /{path} HTTP/1.1\r\nHost: {parts.netloc}\r\n{headers}\r\n".encode()
    with Children() as children:
        children.start("probe", _probe, (parts.hostname, parts.port), head, theirs)
        ours.recv()  # it begins
        yield seen
        ours.send(None)
        seen += sorted(ours.recv())


def said(seen: list[float]) -> str:
    """One line on the times of `/livez`."""
    p99, most = p99_and_most(seen)
    return f"/livez meanwhile: p99 {p99:.0f} ms, max {most:.0f} ms"


def p99_and_most(seen: list[float]) -> tuple[float, float]:
    """Milliseconds, of seconds in order."""
    return 1000 * seen[int(0.99 * len(seen))], 1000 * seen[-1]


def _probe(at: tuple[str, int], head: bytes, told: Connection) -> None:
    seen: list[float] = []
    _seconds(at, head)  # a server that is still starting has a queue
    told.send(None)
    while not told.poll(EVERY):
        seen.append(_seconds(at, head))
    told.send(seen)


def _seconds(at: tuple[str, int], head: bytes) -> float:
    """Seconds until the first byte of a 200 over a new connection."""
    began = time.perf_counter()
    with socket.create_connection(at) as near:
        near.sendall(head)
        status = near.recv(12)
        took = time.perf_counter() - began
        assert status.endswith(b"200"), f"{head.decode()}: {status.decode()}"
    return took
