"""The lines of the page: one relay for each way and side, so that loads side by side share no line.

They run in a process of their own. A socket from the page tells that process of another network: one line
of JSON with `down` and `up` in bits per second and `latency` in seconds. It answers with an empty line once
all lines have changed.
"""

import asyncio
import contextlib
import json
import math
import selectors
import signal
import socket
from collections.abc import Sequence

from proxy.measure.link import Line
from proxy.measure.network import PRESETS, Network


def run_lines(
    listeners: Sequence[socket.socket], host: str, port: int, network: Network, told: socket.socket
) -> None:
    """Relays each listener to `host:port` over a line of its own, until SIGTERM."""
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        runner.run(_until_terminated(listeners, host, port, network, told))


async def _until_terminated(
    listeners: Sequence[socket.socket], host: str, port: int, network: Network, told: socket.socket
) -> None:
    lines = [Line(network) for _ in listeners]
    pairs = zip(lines, listeners, strict=True)
    serving = asyncio.gather(
        *(line.relay(listener, host, port) for line, listener in pairs), _obey(lines, told)
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving


async def _obey(lines: Sequence[Line], told: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=told)
    while text := await reader.readline():
        network = network_of(json.loads(text))
        for line in lines:
            line.change(network)
        writer.write(b"\n")


def network_of(told: dict[str, float | None]) -> Network:
    """Returns the network in a message; no rate is no limit.

    >>> network_of({"down": None, "up": None, "latency": 0.0}).is_shaped
    False
    """
    down, up = (math.inf if told[name] is None else float(told[name] or 0) for name in ("down", "up"))
    return Network("", down, up, float(told["latency"] or 0))


class Lines:
    """The lines as the page sees them."""

    def __init__(self, network: Network, told: socket.socket) -> None:
        self.network = network
        """The network that the lines simulate."""
        self._told = told
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()

    async def change(self, network: Network) -> None:
        """Simulates another network. Returns once all lines have changed."""
        self.network = network
        await self._tell(network)

    async def open_wide(self) -> None:
        """Removes all limits, so that what is under way arrives soon; `close_again` brings them back."""
        await self._tell(PRESETS["local"])

    async def close_again(self) -> None:
        """Simulates the network again."""
        await self._tell(self.network)

    async def _tell(self, network: Network) -> None:
        shaped = network.is_shaped
        told = {
            "down": network.down if shaped else None,
            "up": network.up if shaped else None,
            "latency": network.latency,
        }
        async with self._turn:
            if self._streams is None:
                self._streams = await asyncio.open_connection(sock=self._told)
            reader, writer = self._streams
            writer.write(json.dumps(told).encode() + b"\n")
            await reader.readline()
