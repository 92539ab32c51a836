"""Messages between processes: a JSON object, some bytes, and at most one open socket.

A channel is one end of a pair of Unix sockets that keep messages apart. It never waits: a message that finds
no room is not sent, so a worker that does not read costs the others nothing.
"""

import array
import asyncio
import json
import socket
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from errno import EBADF, ECONNRESET, EPIPE
from typing import Any

MOST = 128 * 1024
"""Bytes of the longest message."""
ROOM = 512 * 1024
"""Bytes that may wait for their reader, if the system allows so many."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message."""

    said: dict[str, Any]
    """Its object."""
    content: bytes = b""
    """Its bytes."""
    passed: socket.socket | None = None
    """The socket that came with it."""


class Ended(Exception):
    """Nobody holds the other end any more."""


class Channel:
    """One end."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
        self._end = end
        self._space = bytearray(MOST)
        self.is_ended = False
        """True if a message found that nobody holds the other end any more."""

    def fileno(self) -> int:
        """The descriptor, to be watched or inherited."""
        return self._end.fileno()

    def send(self, said: dict[str, Any], content: bytes = b"", passed: int | None = None) -> bool:
        """Sends a message, with an open socket if one is `passed`. Returns False if it can't be sent now."""
        head = json.dumps(said).encode() + b"\n"
        if len(head) + len(content) > MOST:
            return False
        passing = (
            () if passed is None else ((socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [passed])),)
        )
        try:
            self._end.sendmsg((head, content), passing, socket.MSG_NOSIGNAL)
        except OSError as error:  # no room, too many sockets on their way, or nobody there
            self.is_ended = error.errno in (EPIPE, ECONNRESET, EBADF)
            return False
        return True

    def receive(self) -> Message | None:
        """The next message; None if there is none yet. Raises `Ended`."""
        try:
            size, ancillary, _, _ = self._end.recvmsg_into(
                [self._space], socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC
            )
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            raise Ended from error
        if not size:
            raise Ended
        said, _, content = bytes(self._space[:size]).partition(b"\n")
        return Message(json.loads(said), content, _passed(ancillary))

    def close(self) -> None:
        """Closes this end."""
        self._end.close()


class Posting:
    """Messages that must arrive. They wait for room, in order."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._waiting: deque[dict[str, Any]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def post(self, said: dict[str, Any]) -> None:
        """Sends a message, now or when there is room."""
        if self._waiting or not (self._channel.send(said) or self._channel.is_ended):
            if not self._waiting:
                asyncio.get_running_loop().add_writer(self._channel.fileno(), self._flush)
            self._waiting.append(said)

    def _flush(self) -> None:
        while self._waiting and self._channel.send(self._waiting[0]):
            self._waiting.popleft()
        if not self._waiting or self._channel.is_ended:
            self.close()

    def close(self) -> None:
        """Sends nothing more."""
        self._waiting.clear()
        asyncio.get_running_loop().remove_writer(self._channel.fileno())


def _passed(ancillary: Iterable[tuple[int, int, bytes]]) -> socket.socket | None:
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS) and len(content) >= 4:
            return socket.socket(fileno=int(array.array("i", content[:4])[0]))
    return None


def pair() -> tuple[Channel, Channel]:
    """Both ends of a channel."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Channel(one), Channel(other)


def inherited(descriptor: int) -> Channel:
    """The end that this process got from its parent."""
    return Channel(socket.socket(fileno=descriptor))
