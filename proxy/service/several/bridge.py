"""One request of an administrator, which the parent reads and a worker's admin app answers.

Both speak over a Unix socket that the parent makes for this request. Each piece is a JSON object and bytes,
with their lengths before them. If the parent closes the socket, its client has left.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

from starlette.types import ASGIApp, Message, Scope

from proxy.errors import ServiceFull

KEPT = ("method", "path", "query_string", "client", "headers")
"""The parts of a request that the worker gets."""
LOST = "the worker that was asked has ended"

Piece = tuple[dict[str, Any], bytes]


async def asked(near: socket.socket, scope: Scope, body: bytes) -> AsyncIterator[Message]:
    """The messages of a worker's response. `near` is our end. Raises `ServiceFull`."""
    reader, writer = await asyncio.open_connection(sock=near)
    try:
        await _write(writer, _told(scope), body)
        while True:
            said, content = await _read(reader)
            if said["type"] == "http.response.start":
                said["headers"] = [_bytes(pair) for pair in said["headers"]]
                yield said
            else:
                yield said | {"body": content}
                if not said.get("more_body"):
                    return
    except (OSError, asyncio.IncompleteReadError) as error:
        raise ServiceFull(LOST) from error
    finally:
        writer.close()


async def answer(app: ASGIApp, far: socket.socket) -> None:
    """Answers the request that comes over a socket, by the admin app."""
    reader, writer = await asyncio.open_connection(sock=far)
    left: asyncio.Task[bytes] | None = None
    try:
        told, body = await _read(reader)
        left = asyncio.create_task(reader.read(1))  # nothing more is sent
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            if messages:
                return messages.pop()
            await asyncio.wait((left,))
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            said = {name: value for name, value in message.items() if name != "body"}
            if "headers" in said:
                said["headers"] = [_text(pair) for pair in said["headers"]]
            await _write(writer, said, message.get("body", b""))

        await app(_scope(told), receive, send)
    except (OSError, asyncio.IncompleteReadError):
        pass  # the client or the parent has left
    finally:
        if left is not None:
            left.cancel()
        writer.close()


def _told(scope: Scope) -> dict[str, Any]:
    told = {name: scope[name] for name in KEPT if name in scope}
    told["headers"] = [_text(pair) for pair in told["headers"]]
    told["query_string"] = told["query_string"].decode("latin-1")
    return told | {"has_certificate": bool(scope.get("state", {}).get("certificate"))}


def _scope(told: dict[str, Any]) -> Scope:
    query, certificate = told["query_string"].encode("latin-1"), told.pop("has_certificate")
    return {
        **told,
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "http",
        "root_path": "",
        "server": None,
        "raw_path": told["path"].encode("utf-8", "surrogateescape"),
        "query_string": query,
        "headers": [_bytes(pair) for pair in told["headers"]],
        "state": {"certificate": True} if certificate else {},
    }


def _text(pair: tuple[bytes, bytes]) -> tuple[str, str]:
    return pair[0].decode("latin-1"), pair[1].decode("latin-1")


def _bytes(pair: tuple[str, str]) -> tuple[bytes, bytes]:
    return pair[0].encode("latin-1"), pair[1].encode("latin-1")


async def _write(writer: asyncio.StreamWriter, said: dict[str, Any], content: bytes) -> None:
    head = json.dumps(said).encode()
    writer.write(len(head).to_bytes(4, "big") + len(content).to_bytes(4, "big") + head + content)
    await writer.drain()


async def _read(reader: asyncio.StreamReader) -> Piece:
    lengths = await reader.readexactly(8)
    head = await reader.readexactly(int.from_bytes(lengths[:4], "big"))
    return json.loads(head), await reader.readexactly(int.from_bytes(lengths[4:], "big"))
