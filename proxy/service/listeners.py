"""The two listeners, for viewers and for the admin, and their orderly end. A door to uvicorn.

At the end the viewers' listener goes first: it takes no new connection, and running answers have the
time of grace. The admin's goes last, so that it can say until then that we are not ready.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import uvicorn

from proxy.service.http1 import Http1
from proxy.service.rules import Rules

KEEP_ALIVE = 75
"""Seconds that an idle connection of a viewer is kept."""


class Listener(uvicorn.Server):
    """One uvicorn server on a socket that is open already; signals are not its business."""

    def __init__(
        self,
        app: Any,  # noqa: ANN401  # ASGI
        listener: socket.socket,
        grace: float,
        rules: Rules = Rules(),  # noqa: B008  # a frozen value
    ) -> None:
        config = uvicorn.Config(
            app,
            http=partial(Http1, rules),  # type: ignore[arg-type]  # it is only called
            ws="none",
            lifespan="off",
            access_log=False,
            proxy_headers=False,
            log_config=None,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=max(1, round(grace)),
        )
        super().__init__(config)
        self._listener = listener

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves them to whoever runs us."""
        yield

    async def until_ended(self) -> None:
        """Serves until it is told to end and running answers have finished."""
        await self.serve(sockets=[self._listener])


def open_socket(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `OSError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=2048)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else small answers wait 40 ms for an ACK
    listener.setblocking(False)
    return listener


async def serve(viewers: Listener, admin: Listener, stop: asyncio.Event, between: Callable[[], None]) -> None:
    """Serves both until `stop` is set; then ends the viewers', does what is `between`, ends the admin's."""
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(viewers.until_ended())
        group.create_task(admin.until_ended())
        await stop.wait()
        viewers.should_exit = True
        await serving
        between()
        admin.should_exit = True
