"""HTTP/1.1 with answers to requests that are repeated byte for byte (`proxy.viewers.repeats`).

Such a request is answered before it is parsed. That is safe if its bytes came by themselves, after a complete
request and with nothing behind them. The parser would then start anew, and read the same bytes in the same
way as the first time. All other requests go the ordinary way, and so does one whose viewer has not yet taken
all of the answer before. The first time, the head of the answer is noted as it is written.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from proxy.service.connections import Place
from proxy.service.http1 import Http1
from proxy.service.rules import Rules
from proxy.viewers.delivery import REPEAT
from proxy.viewers.repeats import LONGEST, Repeat, Repeats

END = b"\r\n\r\n"


class Noting(RequestResponseCycle):
    """A request and its answer, whose head may be noted."""

    keep: Callable[[Repeat, bytes, bytes], None] | None = None
    """Keeps the answer to be sent again; None if that may not be."""

    async def send(self, message: Any) -> None:  # noqa: ANN401  # ASGI
        """Sends a part of the answer."""
        repeat = message.get(REPEAT)
        if repeat is None or self.keep is None or not self.keep_alive:
            await super().send(message)
            return
        line = self.transport
        self.transport = noted = _Noted(line)  # type: ignore[assignment]  # it writes
        try:
            await super().send(message)
        finally:
            self.transport = line
        self.keep(repeat, noted.written, _written(self.default_headers))


class _Noted:
    """A transport that notes what it writes."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data
        self._transport.write(data)


class Exact(Http1):
    """One connection of a viewer."""

    cycle_type = Noting

    def __init__(
        self,
        repeats: Repeats,
        rules: Rules,
        place: Place,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(rules, place, config, server_state, app_state, _loop)
        self._repeats = repeats
        self._heard = 0.0
        """When a repeated request came last, by the clock of the loop."""
        self._waiting = b""
        """A request whose answer waits for its turn."""
        self._said: tuple[list[tuple[bytes, bytes]], bytes] = [], b""
        """The server's own headers, which change every second, and how they are written."""

    def data_received(self, data: bytes) -> None:
        """Answers a request that is repeated; else parses what came."""
        if self._waiting:
            self._waiting += data  # which makes it another request
            return
        before = self.cycle
        is_alone = len(data) <= LONGEST and (before is None or before.response_complete) and self._is_at_start
        if not is_alone or self.transport.get_write_buffer_size():
            super().data_received(data)
            return
        name = self._repeats.name(data)
        answer = self._repeats.answer(name, self._server_fields)
        if answer is not None:
            self._say(answer) if answer else self._wait(name, data)
            return
        super().data_received(data)
        cycle: RequestResponseCycle | None = self.cycle
        is_one = self._is_at_start and data.find(END) == len(data) - len(END)
        if is_one and cycle is not before and isinstance(cycle, Noting):
            cycle.keep = partial(self._repeats.keep, name)

    def _wait(self, name: bytes, data: bytes) -> None:
        """Answers a request in its turn."""
        self._waiting, self._heard = data, self.loop.time()
        self._place.busy()
        self.flow.pause_reading()
        self._repeats.later(name, partial(self._go_on, name, data))

    def _go_on(self, name: bytes, data: bytes) -> None:
        waiting, self._waiting = self._waiting, b""
        if self.transport.is_closing() or not waiting:
            return
        self.flow.resume_reading()
        answer = None
        if waiting == data:
            answer = self._repeats.answer(name, self._server_fields, is_turn=True)
        if answer is None:
            super().data_received(waiting)
        else:
            self._say(answer)

    def shutdown(self) -> None:
        """Ends the connection after the answer that is under way, or that waits for its turn."""
        waiting, self._waiting = self._waiting, b""
        if waiting:
            self.flow.resume_reading()
            super().data_received(waiting)
        super().shutdown()

    @property
    def _is_at_start(self) -> bool:
        """True if the parser has nothing of a request."""
        return not (self._arrived or self._left or self._is_in_body or self._is_in_head or self._is_deaf)

    @property
    def _server_fields(self) -> bytes:
        if self._said[0] is not self.server_state.default_headers:
            self._said = self.server_state.default_headers, _written(self.server_state.default_headers)
        return self._said[1]

    def _say(self, answer: Sequence[bytes]) -> None:
        self._heard = self.loop.time()
        self._drain.rest()
        self.transport.writelines(answer)
        self._place.idle()
        if self.transport.get_write_buffer_size():
            self._drain.watch()
        self.server_state.total_requests += 1

    def timeout_keep_alive_handler(self) -> None:
        """Ends the connection if nothing has been heard for long. Repeated requests do not set the timer."""
        left = self._heard + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()


def _written(fields: Sequence[tuple[bytes, bytes]]) -> bytes:
    return b"".join(b"%s: %s\r\n" % field for field in fields)
