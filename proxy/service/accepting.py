"""Accepts the connections of a listening socket, many at each turn of the event loop.

uvloop accepts one connection at each turn. If 40 viewers read frames from the cache, a turn takes 40 ms, and
the last of 100 new connections got its first byte after 7 s.

If the process has no file descriptor left, the connection stays in the kernel's queue and the socket stays
readable. So that the loop does not spin, the socket is then not watched for a moment.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from errno import EMFILE, ENFILE, ENOBUFS, ENOMEM
from functools import partial

from proxy.origin.rotation import Rotating
from proxy.service.connections import Connections, Place

AT_ONCE = 32
"""Maximum number of connections that are accepted before others have their turn."""
PAUSE = 0.1
"""Seconds without new connections if there is no room for them."""

_NO_ROOM = frozenset({EMFILE, ENFILE, ENOBUFS, ENOMEM})
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Handshake:
    """TLS of the connections."""

    contexts: Rotating[ssl.SSLContext]
    """The newest certificate; a connection keeps the one with which it began."""
    within: float
    """Seconds for the handshake."""


class Accepting:
    """Accepts connections until it is closed. The socket itself stays open."""

    def __init__(
        self,
        listener: socket.socket,
        protocol_of: Callable[[Place], asyncio.Protocol],
        connections: Connections,
        tls: Handshake | None = None,
        pause: float = PAUSE,
    ) -> None:
        """Starts at once. The socket must not block. Each connection gets its own protocol."""
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._protocol_of = protocol_of
        self._connections = connections
        self._tls = tls
        self._seconds = pause
        self._connecting: set[asyncio.Task[None]] = set()
        self._resting: asyncio.TimerHandle | None = None
        self._is_told = False
        self._watch()

    def _watch(self) -> None:
        self._resting = None
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                accepted, peer = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return None
            except OSError as error:
                if error.errno in _NO_ROOM:
                    return self._rest(error)
                continue  # this connection has failed already, which says nothing about the next one
            self._is_told = False
            place = self._connections.enter(peer[0])
            if place is None:
                accepted.close()
                continue
            accepted.setblocking(False)
            task = self._loop.create_task(self._connect(accepted, place))
            if self._tls is not None:
                place.close = partial(_cancelled, task)  # a handshake may last
                place.idle()
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)
        return None

    def _rest(self, error: OSError) -> None:
        self._loop.remove_reader(self._listener)
        self._resting = self._loop.call_later(self._seconds, self._watch)
        self._connections.make_room()
        if not self._is_told:
            self._is_told = True
            _log.warning("no room for new connections", extra={"why": error.strerror})

    async def _connect(self, accepted: socket.socket, place: Place) -> None:
        connect, protocol_of = self._loop.connect_accepted_socket, partial(self._protocol_of, place)
        try:
            if self._tls is None:
                await connect(protocol_of, accepted)
            else:
                context, within = await self._tls.contexts.current(), self._tls.within
                await connect(protocol_of, accepted, ssl=context, ssl_handshake_timeout=within)
        except (OSError, asyncio.CancelledError):  # errors of TLS, too; or room was needed
            accepted.close()
            place.leave()

    def close(self) -> None:
        """Accepts nothing more."""
        self._loop.remove_reader(self._listener)
        if self._resting is not None:
            self._resting.cancel()

    async def wait_closed(self) -> None:
        """Returns once each connection that was accepted has its protocol."""
        if self._connecting:
            await asyncio.wait(self._connecting)


def _cancelled(task: asyncio.Task[None], _: bool) -> bool:
    return task.cancel()
