"""Sees that a viewer takes what is written for it.

While more is written than the kernel takes, TCP tells how many bytes the viewer has acknowledged. The buffers
of the kernel hold megabytes, so without that count a slow viewer would look as if it took nothing.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any

_ACKNOWLEDGED = 120
"""Offset of `tcpi_bytes_acked` in `struct tcp_info` (linux/tcp.h), an unsigned number of 8 bytes."""


def acknowledged(line: Any) -> int | None:  # noqa: ANN401  # a socket, or what stands for one
    """Bytes that the other side has acknowledged; None if the system does not tell."""
    try:
        told = line.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKNOWLEDGED + 8)
    except (AttributeError, OSError):
        return None
    return struct.unpack_from("=Q", told, _ACKNOWLEDGED)[0] if len(told) >= _ACKNOWLEDGED + 8 else None


def _gone() -> None:
    """Told instead of a connection that is gone."""


class Drain:
    """Watches one connection while its viewer has something to take."""

    __slots__ = ("_before", "_loop", "_on_slow", "_period", "_rate", "_timer", "_transport")

    def __init__(
        self, transport: asyncio.Transport, rate: int, period: float, on_slow: Callable[[], None]
    ) -> None:
        """`rate` is in bytes per second, over `period` seconds. A slower viewer is told to `on_slow`."""
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._rate = rate
        self._period = period
        self._on_slow = on_slow
        self._timer: asyncio.TimerHandle | None = None
        self._before: int | None = None

    def watch(self) -> None:
        """Something waits to be taken."""
        if self._rate and self._timer is None:
            self._before = acknowledged(self._transport.get_extra_info("socket"))
            self._timer = self._loop.call_later(self._period, self._look)

    def rest(self) -> None:
        """Nothing waits to be taken any more, or not enough to matter."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def end(self) -> None:
        """The connection is gone. Nothing refers to it from here any more, so that it is freed at once."""
        self.rest()
        self._on_slow = _gone

    def _look(self) -> None:
        self._timer = None
        if not self._transport.get_write_buffer_size():
            return
        before, now = self._before, acknowledged(self._transport.get_extra_info("socket"))
        if before is None or now is None or now - before >= self._rate * self._period:
            self.watch()
        else:
            self._on_slow()
