"""Asks for `/livez` again and again, from a process of its own.

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
def probed(admin: str) -> Iterator[list[float]]:
    """Probes an admin listener during the `with`, if its URL is not empty. Then the list has the seconds."""
    seen: list[float] = []
    if not admin:
        yield seen
        return
    ours, theirs = Pipe()
    with Children() as children:
        children.start("livez", _probe, admin, theirs)
        ours.recv()  # it begins
        yield seen
        ours.send(None)
        seen += sorted(ours.recv())


def said(seen: list[float]) -> str:
    """One line on these times in order."""
    p99, most = seen[int(0.99 * len(seen))], seen[-1]
    return f"/livez meanwhile: p99 {1000 * p99:.0f} ms, max {1000 * most:.0f} ms"


def _probe(admin: str, told: Connection) -> None:
    parts, seen = urlsplit(admin), list[float]()
    at, head = (parts.hostname, parts.port), f"GET /livez HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
    _seconds(at, head)  # a server that is still starting has a queue
    told.send(None)
    while not told.poll(EVERY):
        seen.append(_seconds(at, head))
    told.send(seen)


def _seconds(at: tuple[str | None, int | None], head: bytes) -> float:
    began = time.perf_counter()
    with socket.create_connection(at) as near:
        near.sendall(head)
        near.recv(1)
    return time.perf_counter() - began
