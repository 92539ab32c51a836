"""Child processes that end with this process, however it ends.

Each child receives a listening socket that is already open, so nobody has to wait until the child is ready,
and ports can't collide. Children leave Ctrl-C to the parent. A child ends at SIGTERM. It also ends when its
parent is gone, because the parent's end of a pipe is then closed.
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
"""Seconds that a child has to end after SIGTERM; then it is killed."""


def listen(port: int = 0) -> socket.socket:
    """Opens a listening socket on loopback; port 0 takes a free port."""
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    listener.setblocking(False)
    return listener


def address(listener: socket.socket) -> tuple[str, int]:
    """Returns host and port of a listening socket."""
    host, port = listener.getsockname()[:2]
    return str(host), int(port)


class Children:
    """A small number of processes, which end together with the `with`."""

    def __init__(self) -> None:
        self._spawn = multiprocessing.get_context("spawn")
        resource_tracker.ensure_running()  # if started later, it would unblock SIGINT
        self._running: list[tuple[multiprocessing.process.BaseProcess, Connection]] = []

    def start(self, name: str, target: Callable[..., None], *arguments: Any) -> None:  # noqa: ANN401  # pickled as they are
        """Runs `target(*arguments)` in a new process."""
        theirs, ours = self._spawn.Pipe(duplex=False)
        process = self._spawn.Process(target=_run, args=(theirs, target, arguments), name=name, daemon=True)
        # Blocked, not ignored, because that holds from the child's first instruction on.
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
        parent.recv_bytes()  # nothing is ever sent; it returns when the parent's end is closed
    except (EOFError, OSError):
        os.kill(os.getpid(), signal.SIGTERM)
