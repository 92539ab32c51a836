"""Serves an ASGI application of the demo in a process of its own, until SIGTERM."""

import contextlib
import signal
import socket
from collections.abc import Iterator
from typing import Literal

import uvicorn
from starlette.types import ASGIApp

KEEP_ALIVE = 75
"""Seconds that an idle connection stays open, as in nginx."""
END_WITHIN = 2
"""Seconds for running responses to finish after the service is told to stop."""


def serve(app: ASGIApp, listener: socket.socket, *, lifespan: Literal["on", "off"] = "off") -> None:
    """Serves on a listening socket until SIGTERM, then returns. Ctrl-C is left to the parent."""
    config = uvicorn.Config(
        app,
        http="httptools",
        lifespan=lifespan,
        access_log=False,
        log_level="error",
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=END_WITHIN,
    )
    _Server(config).run(sockets=[listener])


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stops at SIGTERM and does not raise it again, unlike uvicorn, so that the exit status is 0."""
        before = signal.signal(signal.SIGTERM, self.handle_exit)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)
