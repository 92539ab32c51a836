"""A viewer's TLS connection whose requests another worker answers.

The keys of TLS can't move to another process. So the worker that made the handshake keeps the connection, and
passes its bytes to the other worker and back, through a pair of Unix sockets. To the other worker, its end of
the pair is a viewer's plain connection, which may move on like any other.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import cast


class Relay(asyncio.Protocol):
    """The way to the other worker."""

    def __init__(self, viewer: asyncio.Transport, note: Callable[[], None]) -> None:
        """`note` is called whenever bytes come from the worker."""
        self._viewer = viewer
        self._note = note
        self._worker: asyncio.Transport | None = None
        self._early = b""
        self._connecting: asyncio.Task[None] | None = None

    def begin(self, near: socket.socket) -> None:
        """Begins to pass bytes. `near` is this worker's end."""
        near.setblocking(False)
        self._connecting = asyncio.create_task(self._connect(near))

    async def _connect(self, near: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=near)
        except (OSError, asyncio.CancelledError):
            near.close()
            self._viewer.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The way is open."""
        self._worker = worker = cast(asyncio.Transport, transport)  # uvloop's classes are not derived from it
        if self._viewer.is_closing():
            worker.abort()
        elif self._early:
            worker.write(self._early)

    def feed(self, data: bytes) -> None:
        """Passes on what the viewer sent."""
        if self._worker is None:
            self._early += data
        else:
            self._worker.write(data)

    def data_received(self, data: bytes) -> None:
        """Passes on what the worker sent."""
        self._note()
        if not self._viewer.is_closing():  # asyncio logs each write after the end
            self._viewer.write(data)

    def pause_writing(self) -> None:
        """The worker takes no more."""
        self._viewer.pause_reading()

    def resume_writing(self) -> None:
        """The worker takes more."""
        if not self._viewer.is_closing():
            self._viewer.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """The worker has ended the connection: orderly, or by cutting an answer."""
        if exc is None:
            self._viewer.close()
        else:
            self._viewer.abort()

    def hold(self) -> None:
        """The viewer takes no more."""
        if self._worker is not None:
            self._worker.pause_reading()

    def go_on(self) -> None:
        """The viewer takes more."""
        if self._worker is not None and not self._worker.is_closing():
            self._worker.resume_reading()

    def end(self) -> None:
        """The viewer has left."""
        if self._worker is not None:
            self._worker.abort()
