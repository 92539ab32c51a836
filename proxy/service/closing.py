"""Answers with which a connection ends: refusals, and those to HTTP/1.0.

HTTP/1.0 knows no chunks: the end of the connection ends the body (RFC 9112 6.3).
"""

import asyncio
import socket
import struct
from collections.abc import Iterable, MutableMapping
from typing import Any, Protocol

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from proxy.errors import ProxyError
from proxy.wire.problem import answer_to

Fields = Iterable[tuple[bytes, bytes]]

_RESETS, _ENDS = struct.pack("ii", 1, 0), struct.pack("ii", 0, 0)


class Connection(Protocol):
    """The parts of a connection that are used here."""

    transport: Any
    config: Any
    cycle: Any


def last_answer(error: ProxyError, asked: Fields, default: Fields) -> bytes:
    """The refusal of a request with the headers in `asked`; all answers have those in `default`."""
    wanted = next((value.decode("latin-1") for name, value in asked if name == b"range"), None)
    status, headers, body = answer_to(error, wanted)
    lines = [b"%s: %s\r\n" % pair for pair in (*default, *headers, (b"connection", b"close"))]
    return b"".join((STATUS_LINE[status], *lines, b"\r\n", body))


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
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lingering)
