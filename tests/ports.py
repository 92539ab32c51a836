"""Ports for servers that a test starts by number, and for those that nobody answers at.

The kernel has a range of ports from which it picks one for each connection. It may pick a port after a test
has found it free and before the test's server starts. These ports lie below the range. Each process has a
hundred of them. It holds the first one as long as it runs, so no other process takes them.
"""

import socket
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import cycle

LOWEST, HIGHEST, EACH = 10_000, 32_000, 100


def free_port() -> int:
    """A port that is free. The same one comes again only after all others."""
    ports = _own()
    while True:
        port = next(ports)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@cache
def _own() -> Iterator[int]:
    for first in range(LOWEST, HIGHEST, EACH):
        holder = socket.socket()
        try:
            holder.bind(("127.0.0.1", first))
        except OSError:
            holder.close()
            continue
        holder.detach()  # it stays bound until the process ends
        return cycle(range(first + 1, first + EACH))
    raise OSError("another process has each port")
