"""Accepts the connections of a listening socket, many at each turn of the event loop.

uvloop accepts one connection at each turn. If 40 viewers read frames from the cache, a turn takes 40 ms, and
the last of 100 new connections got its first byte after 7 s.

If the process has no file descriptor left, the connection stays in the kernel's queue and the socket stays
readable. So that the loop does not spin, the socket is then not watched for a moment.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from errno import EMFILE, ENFILE, ENOBUFS, ENOMEM

AT_ONCE = 32
"""Maximum number of connections that are accepted before others have their turn."""
PAUSE = 0.1
"""Seconds without new connections if there is no room for them."""

_NO_ROOM = frozenset({EMFILE, ENFILE, ENOBUFS, ENOMEM})
_log = logging.getLogger(__name__)


class Accepting:
    """Accepts connections until it is closed. The socket itself stays open."""

    def __init__(
        self, listener: socket.socket, protocol_of: Callable[[], asyncio.Protocol], pause: float = PAUSE
    ) -> None:
        """Starts at once. The socket must not block. Each connection gets its own protocol."""
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._protocol_of = protocol_of
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
                accepted, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return None
            except OSError as error:
                if error.errno in _NO_ROOM:
                    return self._rest(error)
                continue  # this connection has failed already, which says nothing about the next one
            self._is_told = False
            accepted.setblocking(False)
            task = self._loop.create_task(self._connect(accepted))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)
        return None

    def _rest(self, error: OSError) -> None:
        self._loop.remove_reader(self._listener)
        self._resting = self._loop.call_later(self._seconds, self._watch)
        if not self._is_told:
            self._is_told = True
            _log.warning("no room for new connections", extra={"why": error.strerror})

    async def _connect(self, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol_of, accepted)
        except OSError:
            accepted.close()

    def close(self) -> None:
        """Accepts nothing more."""
        self._loop.remove_reader(self._listener)
        if self._resting is not None:
            self._resting.cancel()

    async def wait_closed(self) -> None:
        """Returns once each connection that was accepted has its protocol."""
        if self._connecting:
            await asyncio.wait(self._connecting)
