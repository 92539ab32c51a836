"""A connection that holds a place: it loses it if its viewer reads too slowly, or with its last answer.

It ends in two steps. With unread bytes it would be reset at once, and the viewer would lose its last answer
(RFC 9112 9.6). So what still comes is read for a while, and dropped.
"""

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from proxy.errors import ProxyError
from proxy.service.connections import Place
from proxy.service.drain import Drain
from proxy.service.refusal import refusal
from proxy.service.rules import Rules

DROP_EVERY = 0.1
"""Seconds between two reads of bytes that are dropped, so that a flood of them takes little time."""
LINGER = 2.0
"""Seconds in which what a viewer still sends is read and dropped, so that it gets its last answer."""


class HeldConnection(HttpToolsProtocol):
    """uvicorn's protocol, which tells the connection's place when it is idle."""

    cycle_type: type[RequestResponseCycle] = RequestResponseCycle
    """The class of a request and its answer."""

    def __init__(
        self,
        rules: Rules,
        place: Place,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._rules = rules
        self._place = place

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """The connection is idle at first."""
        super().connection_made(transport)
        self._drain = Drain(transport, self._rules.read_rate, self._rules.read_seconds, self._end_slow)
        self._place.close = self._close_at_once
        self._place.idle()

    def connection_lost(self, exc: Exception | None) -> None:
        """The place is free."""
        super().connection_lost(exc)
        self._place.leave()
        self._drain.end()

    def pause_writing(self) -> None:
        """More is written than the viewer takes."""
        super().pause_writing()
        self._drain.watch()

    def resume_writing(self) -> None:
        """The viewer has taken most of it."""
        super().resume_writing()
        self._drain.rest()

    def on_headers_complete(self) -> None:
        """A request is under way; it is begun by the class below."""
        self._place.busy()
        if not self.transport.get_write_buffer_size():  # else the viewer still has to read an earlier answer
            self._drain.rest()

    def on_response_complete(self) -> None:
        """The connection is idle, unless the next request is here already."""
        if not self.pipeline:
            self._place.idle()
        if self.transport.get_write_buffer_size():
            self._drain.watch()
        super().on_response_complete()

    def _drop(self) -> None:
        """Drops what has come, and reads on a little later."""
        self.flow.pause_reading()
        self.loop.call_later(DROP_EVERY, self._read_on)

    def _read_on(self) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def _end_slow(self) -> None:
        self._place.slow()
        self.transport.abort()

    def _close_at_once(self, is_cut: bool) -> bool:
        can_be = is_cut or not self.transport.get_write_buffer_size()
        if can_be:
            self.transport.abort()
        return can_be

    def _answer_refusal(self, error: ProxyError) -> None:
        if self.transport.is_closing():
            return
        self.transport.write(refusal(error, self.headers or (), self.server_state.default_headers))
        if self.transport.can_write_eof():  # TLS has no half of a connection
            self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(LINGER, self.transport.close)
