"""Processes of our own that end when we end, whichever way that is.

A child is spawned with a listening socket that is open already, so nobody waits for it to be ready
and no port is raced for. It leaves Ctrl-C to its parent. It ends at SIGTERM, and by itself when its
parent is gone: the pipe that the parent holds open then says so.
"""

import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

END_WITHIN = 10.0
"""Seconds a child has to end after SIGTERM before it is killed."""


def listen(port: int = 0) -> socket.socket:
    """A listening socket on loopback; port 0 takes a free one."""
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    listener.setblocking(False)
    return listener


def address(listener: socket.socket) -> tuple[str, int]:
    """Host and port of a listening socket."""
    host, port = listener.getsockname()[:2]
    return str(host), int(port)


class Children:
    """A handful of processes, ended together at the end of a `with`."""

    def __init__(self) -> None:
        self._spawn = multiprocessing.get_context("spawn")
        resource_tracker.ensure_running()  # where it starts later, it unblocks SIGINT behind our back
        self._running: list[tuple[multiprocessing.process.BaseProcess, Connection]] = []

    def start(self, name: str, target: Callable[..., None], *arguments: Any) -> None:  # noqa: ANN401  # pickled as they are
        """Runs `target(*arguments)` in a process of its own."""
        theirs, ours = self._spawn.Pipe(duplex=False)
        process = self._spawn.Process(target=_run, args=(theirs, target, arguments), name=name, daemon=True)
        # Blocked, not ignored: it holds from the child's first instruction on.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self._running.append((process, ours))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process, _ in self._running:
            process.terminate()
        for process, pipe in self._running:
            process.join(END_WITHIN)
            if process.is_alive():
                process.kill()
                process.join()
            pipe.close()
        self._running.clear()


def _run(parent: Connection, target: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    target(*arguments)


def _end_with(parent: Connection) -> None:
    try:
        parent.recv_bytes()  # nothing is ever sent: it returns when the parent's end is closed
    except (EOFError, OSError):
        os.kill(os.getpid(), signal.SIGTERM)
