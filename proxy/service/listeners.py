"""The listeners for viewers and for administrators, and their orderly shutdown, by uvicorn.

At shutdown the viewers' listener ends first. It accepts no new connection, and running responses have the
grace period to finish. The admin listener ends last, so that until then it can report that the service is not
ready.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import uvicorn

from proxy.origin.rotation import Rotating
from proxy.service.accepting import Accepting, Handshake
from proxy.service.connections import Connections, Place
from proxy.service.http1 import Http1
from proxy.service.rules import Rules

KEEP_ALIVE = 75
"""Seconds that an idle connection of a viewer is kept."""


class Listener(uvicorn.Server):
    """A uvicorn server on a socket that is open already. It does not handle signals."""

    def __init__(
        self,
        app: Any,  # noqa: ANN401  # ASGI
        listener: socket.socket,
        grace: float,
        rules: Rules = Rules(),  # noqa: B008  # a frozen value
        tls: Rotating[ssl.SSLContext] | None = None,
        connections: Connections | None = None,
        *,
        protocol: Callable[..., asyncio.Protocol] = Http1,
    ) -> None:
        """`protocol` is given the rules first."""
        config = uvicorn.Config(
            app,
            http=partial(protocol, rules),  # type: ignore[arg-type]  # it is only called
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
        self._rules = rules
        self._tls = tls
        self._connections = connections or Connections()
        self._ending = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals to the caller."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to accept connections, in uvicorn's stead."""
        tls = None if self._tls is None else Handshake(self._tls, self._rules.header_seconds)
        self.servers: list[Any] = [
            Accepting(each, self._protocol, self._connections, tls) for each in sockets or ()
        ]
        self.started = True

    async def main_loop(self) -> None:
        """Ticks once a second, as the Date of responses needs, and ends as soon as it is told to.

        uvicorn looks ten times a second, which wakes up an idle service and makes each end late.
        """
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._ending.wait()

    def end(self) -> None:
        """Tells it to end."""
        self.should_exit = True
        self._ending.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends as uvicorn does, but first lets each accepted connection get its protocol, to be ended too."""
        for accepting in self.servers:
            accepting.close()
            await accepting.wait_closed()
        await super().shutdown(sockets)

    def _protocol(self, place: Place) -> asyncio.Protocol:
        made: Any = self.config.http_protocol_class
        return made(place, self.config, self.server_state, self.lifespan.state)  # type: ignore[no-any-return]

    async def until_ended(self) -> None:
        """Serves until it is told to end and running responses have finished."""
        await self.serve(sockets=[self._listener])


def open_socket(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `OSError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=2048)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or small responses wait 40 ms for an ACK
    listener.setblocking(False)
    return listener


async def serve(viewers: Listener, admin: Listener, stop: asyncio.Event, between: Callable[[], None]) -> None:
    """Serves both until `stop` is set. Then ends `viewers`, calls `between`, and ends `admin`."""
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(viewers.until_ended())
        group.create_task(admin.until_ended())
        await stop.wait()
        viewers.end()
        await serving
        between()
        admin.end()
