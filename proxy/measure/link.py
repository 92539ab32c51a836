"""The link: a relay that delays TCP connections like a slow line. It runs in a process of its own.

All connections share one line in each direction. Packets leave it one after another, in order of arrival, at
the line's rate, and arrive half a latency later (`Schedule`). The line's queue is bounded. While the queue is
full, the relay reads from no connection, so back pressure reaches the sender. Waiting connections then enter
one packet each, in turn. A peer that does not read holds up only its own connection, after `BUFFER` bytes
plus what was on the line. A new connection costs one round trip, which loopback hides. Ends and resets travel
in order with the bytes.

Loss, jitter and TCP's slow start are not simulated. Bytes that a sender has handed to its kernel, at most
`BUFFER` per connection here, wait before the line and not in it.
"""

import asyncio
import contextlib
import selectors
import signal
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from proxy.measure.network import Network
from proxy.measure.schedule import Schedule, packet_size

BUFFER = 128 * 1024
"""Bytes of each buffer of a connection, including the kernel's, so that little waits outside the line."""


def run_link(listener: socket.socket, host: str, port: int, network: Network) -> None:
    """Relays connections from `listener` to `host:port`, until SIGTERM."""
    # Only select() has timers finer than a millisecond. Coarser timers would cause most of the link's error.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        runner.run(_until_terminated(listener, host, port, network))


async def _until_terminated(listener: socket.socket, host: str, port: int, network: Network) -> None:
    serving = asyncio.ensure_future(relay(listener, host, port, network))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving


async def relay(listener: socket.socket, host: str, port: int, network: Network) -> None:
    """Relays in the current event loop, until cancelled."""
    await Line(network).relay(listener, host, port)


class Line:
    """A line with its two directions. Its network can change while it relays."""

    def __init__(self, network: Network) -> None:
        self.latency = network.latency
        """Seconds of one round trip."""
        self.up = LinkDirection(network.up, network.latency / 2)
        """The direction of requests."""
        self.down = LinkDirection(network.down, network.latency / 2)
        """The direction of responses."""

    def change(self, network: Network) -> None:
        """Simulates another network from now on. Packets that are on the line arrive as they were due."""
        self.latency = network.latency
        self.up.change(network.up, network.latency / 2)
        self.down.change(network.down, network.latency / 2)

    async def relay(self, listener: socket.socket, host: str, port: int) -> None:
        """Relays in the current event loop, until cancelled."""
        async with asyncio.TaskGroup() as group:

            def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                group.create_task(_connection(_End(reader, writer), host, port, self))

            group.create_task(self.up.run())
            group.create_task(self.down.run())
            async with await asyncio.start_server(connected, sock=listener, limit=BUFFER // 2) as server:
                await server.serve_forever()


class LinkDirection:
    """One direction of the link. It delivers packets in order, when they are due."""

    def __init__(self, rate: float, delay: float) -> None:
        self.packet = packet_size(rate)
        """Bytes of the largest packet."""
        self._schedule = Schedule(rate, delay)
        self._turn = asyncio.Lock()  # FIFO: one packet a turn
        self._flying: deque[tuple[float, Callable[[], None]]] = deque()
        self._has_some = asyncio.Event()

    def change(self, rate: float, delay: float) -> None:
        """Sends the next packets at another rate, in bits per second, and with another delay, in seconds."""
        self.packet = packet_size(rate)
        self._schedule.rate, self._schedule.delay = rate, delay

    async def send(self, size: int, deliver: Callable[[], None]) -> None:
        """Waits for space in the queue, not for the delivery."""
        async with self._turn:
            await _sleep_until(self._schedule.room_at(size))
            due = self._schedule.admit(time.monotonic(), size)
        self._flying.append((due, deliver))
        self._has_some.set()

    async def run(self) -> None:
        """Delivers packets, until cancelled."""
        while await self._has_some.wait():
            while self._flying:
                await _sleep_until(self._flying[0][0])
                now = time.monotonic()
                while self._flying and self._flying[0][0] <= now:
                    self._flying.popleft()[1]()
            self._has_some.clear()


class _End:
    """One of the two sockets of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.read = reader.read
        self.drain = writer.drain
        self.close = writer.close
        writer.transport.set_write_buffer_limits(BUFFER)
        _bound(writer.get_extra_info("socket"))

    def write(self, packet: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(packet)

    def write_eof(self) -> None:
        if not self._writer.is_closing():
            with contextlib.suppress(OSError):  # the peer has reset it, but nobody has read that yet
                self._writer.write_eof()

    def abort(self) -> None:
        if not self._writer.is_closing():
            # With SO_LINGER 0, closing sends a reset. Otherwise the peer would see a normal end.
            lingering = struct.pack("ii", 1, 0)
            self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lingering)
        self._writer.transport.abort()


async def _connection(viewer: _End, host: str, port: int, line: Line) -> None:
    began = time.monotonic()
    try:
        origin = await _connect(host, port)
    except OSError:
        viewer.abort()
        return
    except BaseException:
        viewer.abort()
        raise
    try:
        await _sleep_until(began + line.latency)  # the handshake
        await asyncio.gather(_carry(viewer, origin, line.up), _carry(origin, viewer, line.down))
        viewer.close()
        origin.close()
    except BaseException:
        viewer.abort()
        origin.abort()
        raise


async def _connect(host: str, port: int) -> _End:
    near = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        near.setblocking(False)
        _bound(near)  # before connecting, because the window is negotiated then
        await asyncio.get_running_loop().sock_connect(near, (host, port))
        reader, writer = await asyncio.open_connection(sock=near, limit=BUFFER // 2)
    except BaseException:
        near.close()
        raise
    return _End(reader, writer)


def _bound(near: socket.socket) -> None:
    near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        near.setsockopt(socket.SOL_SOCKET, buffer, BUFFER // 2)  # Linux doubles the value


async def _carry(source: _End, sink: _End, line: LinkDirection) -> None:
    try:
        while packet := await source.read(line.packet):
            await sink.drain()
            await line.send(len(packet), partial(sink.write, packet))
        end = sink.write_eof
    except OSError:  # reset by either side
        source.abort()
        end = sink.abort
    arrived = asyncio.Event()
    await line.send(0, end)
    await line.send(0, arrived.set)
    await arrived.wait()


async def _sleep_until(when: float) -> None:
    while (wait := when - time.monotonic()) > 0:  # noqa: ASYNC110  # it is time itself that is waited for
        await asyncio.sleep(wait)
