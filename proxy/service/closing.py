"""Answers to HTTP/1.0, which knows no chunks: the end of the connection ends the body (RFC 9112 6.3)."""

import asyncio
import socket
import struct
from collections.abc import MutableMapping
from typing import Any, Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

_RESETS, _ENDS = struct.pack("ii", 1, 0), struct.pack("ii", 0, 0)


class Connection(Protocol):
    """The parts of a connection that are used here."""

    transport: Any
    config: Any
    cycle: Any


def until_closed(connection: Connection) -> ASGIApp:
    """The connection's app, for its last request.

    If an answer is cut, a reset ends the connection, because the answer would look whole otherwise.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        cycle, is_open = connection.cycle, False

        async def sending(message: MutableMapping[str, Any]) -> None:
            nonlocal is_open
            if message["type"] == "http.response.start":
                has_body = scope["method"] != "HEAD" and message["status"] not in (204, 304)
                is_open = has_body and all(
                    name.lower() != b"content-length" for name, _ in message["headers"]
                )
                if is_open:
                    cycle.chunked_encoding = False
                    _end_by(connection.transport, _RESETS)
            elif is_open:
                cycle.expected_content_length = len(message.get("body", b""))
                if not message.get("more_body"):
                    _end_by(connection.transport, _ENDS)
            await send(message)

        await connection.config.loaded_app(scope, receive, sending)

    return answer


def _end_by(transport: asyncio.Transport, lingering: bytes) -> None:
    if not transport.is_closing():  # else the viewer has left
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lingering)
