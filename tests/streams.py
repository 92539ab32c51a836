"""Servers of raw streams. When one ends, it leaves no connection open."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Streams:
    """A server that serves each connection in a task of its own, and closes it when the task ends."""

    def __init__(self, serve: Handler) -> None:
        self.port = 0
        self._serve = serve
        self._server: asyncio.Server | None = None
        self._serving: list[tuple[asyncio.Future[None], asyncio.StreamWriter]] = []

    async def begin(
        self, port: int = 0, *, on: socket.socket | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        """Listens on a port of the loopback interface, or on a socket. Raises `OSError`."""
        if on is not None:
            self._server = await asyncio.start_server(self._accept, sock=on, ssl=tls)
        else:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None:
            writer.transport.abort()
        else:
            self._serving.append((asyncio.ensure_future(self._served(reader, writer)), writer))

    async def _served(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        finally:
            writer.close()

    async def end(self) -> None:
        """Cuts each connection, also one whose task has not begun. A second call does nothing.

        If a transport stayed open, the test that runs when it is collected would fail with a warning.
        """
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for task, writer in self._serving:
            task.cancel()
            writer.transport.abort()
        await asyncio.gather(*(task for task, _ in self._serving), return_exceptions=True)
        await asyncio.sleep(0)  # what is aborted is closed at the next turn of the loop


@asynccontextmanager
async def streams(
    serve: Handler, *, on: socket.socket | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Runs a server until the `with` ends. Yields its port."""
    server = Streams(serve)
    await server.begin(on=on, tls=tls)
    try:
        yield server.port
    finally:
        await server.end()
