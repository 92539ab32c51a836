"""The origin of the soak. It fails for some requests, and keeps a record of it."""

import asyncio
import json
import socket
import struct
import time
from collections import defaultdict, deque
from contextlib import suppress
from dataclasses import dataclass, replace
from random import Random

import uvloop

from tests.scripted_origin import Asked, Reply, _read, honest
from tests.soak import frames
from tests.soak.rights import may_read

DEEDS = ("busy", "busy", "failed", "missing", "reset", "hung up", "hung up", "stalled", "wrong range", "slow")
"""The ways to fail. Each is as likely as it is often here."""
GONE = 1.0
"""Seconds that a frame is missing."""
IDLE = 5.0
"""Seconds after which the origin closes a connection without a request."""
RECORDS = 40
"""Most records that are kept of a frame."""
PIECE = 16 * 1024


@dataclass(frozen=True)
class Pause:
    """A piece of a body that is a pause, in seconds."""

    seconds: float


@dataclass(frozen=True)
class Sent:
    """A response as it is sent."""

    reply: Reply
    pieces: tuple[bytes | Pause, ...] = ()
    is_broken: bool = False
    """True if the connection breaks after the pieces."""


class Origin:
    """The server. It fails for `share` of the requests for frames; `is_lying` makes it send wrong bytes."""

    def __init__(self, seed: int, share: float, *, is_lying: bool = False) -> None:
        self._chance = Random(seed)
        self._share = share
        self._is_lying = is_lying
        self._missing: dict[str, float] = {}
        self._records: defaultdict[str, deque[tuple[float, str]]] = defaultdict(lambda: deque(maxlen=RECORDS))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection."""
        with suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            while (asked := await asyncio.wait_for(_read(reader), IDLE)) is not None:
                if not await self._send(writer, asked, self._answer(asked)):
                    break
        writer.close()

    async def _send(self, writer: asyncio.StreamWriter, asked: Asked, sent: Sent | None) -> bool:
        """Sends a response. Returns True if the connection can be used again."""
        if sent is None:
            _reset(writer)
            return False
        headers = {"content-length": str(sum(map(len, sent.reply.pieces)))} | sent.reply.headers  # type: ignore[arg-type]  # all are bytes
        lines = [f"HTTP/1.1 {sent.reply.status} Said", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
        writer.write("\r\n".join(lines).encode("latin-1"))
        for piece in sent.pieces if asked.method != "HEAD" else ():
            await writer.drain()
            if isinstance(piece, Pause):
                await asyncio.sleep(piece.seconds)
            else:
                writer.write(piece)
        await writer.drain()
        return not sent.is_broken

    def _answer(self, asked: Asked) -> Sent | None:
        """The response; None is a connection that breaks before it."""
        path = asked.path.partition("?")[0]
        if path.startswith("/records/"):
            return _whole(_json(json.dumps([*self._records[path.removeprefix("/records")]]).encode()))
        if not path.startswith("/studies/"):
            return _whole(_json(b"[]"))
        now, study = time.monotonic(), frames.study_of(path)
        if not may_read(asked.headers.get("authorization", ""), study, now, now):
            return _whole(Reply(401, {"www-authenticate": "Bearer"}, (b"no",)))
        if not path.startswith(frames.series_path(study)) or "/frames/" not in path:
            return _whole(_json(frames.metadata(study)))
        return self._frame(path, asked, now)

    def _frame(self, path: str, asked: Asked, now: float) -> Sent | None:
        deed = self._deed(path, now)
        if deed != "well":
            self._records[path].append((now, deed))
        match deed:
            case "busy":
                status = self._chance.choice((429, 503))
                return _whole(Reply(status, {"retry-after": "1"}, (b"busy",)))
            case "failed" | "missing":
                return _whole(Reply(500 if deed == "failed" else 404, {}, (b"no",)))
            case "reset":
                return None
        return self._sent(deed, _reply(path, _shifted(asked) if deed == "wrong range" else asked, now))

    def _deed(self, path: str, now: float) -> str:
        if self._missing.get(path, 0.0) > now:
            return "missing"
        deed = self._chance.choice(DEEDS) if self._chance.random() < self._share else "well"
        if deed == "missing":
            self._missing[path] = now + GONE
        return deed

    def _sent(self, deed: str, reply: Reply) -> Sent:
        (body,) = reply.pieces or (b"",)
        assert isinstance(body, bytes)
        at = int(len(body) * self._chance.random())
        match deed:
            case "hung up":
                return Sent(reply, (body[:at],), is_broken=True)
            case "stalled":
                return Sent(reply, (body[:at], Pause(self._chance.uniform(1, 4)), body[at:]))
            case "slow":
                pieces = [body[start : start + PIECE] for start in range(0, len(body), PIECE)]
                return Sent(reply, tuple(each for piece in pieces for each in (piece, Pause(0.03))))
        if self._is_lying and at > 0:
            body = body[:at] + bytes((body[at] ^ 1,)) + body[at + 1 :]
        return Sent(reply, (body,))


def _reply(path: str, asked: Asked, now: float) -> Reply:
    """A correct response."""
    number, nature = frames.version(path, now), frames.nature(path)
    tag = frames.etag(path, number)
    reply = honest(frames.body(path, number), asked, etag=tag, label=frames.label(path))
    control = {"cache-control": "no-cache"} if nature.is_revalidated else {}
    if tag and asked.headers.get("if-none-match") == tag:
        return Reply(304, {"etag": tag} | control)
    return replace(reply, headers=reply.headers | control)


def _shifted(asked: Asked) -> Asked:
    """The request for a range that begins one byte later."""
    start, dash, stop = (asked.range or "").removeprefix("bytes=").partition("-")
    if not start.isdecimal():
        return asked
    return replace(asked, headers=asked.headers | {"range": f"bytes={int(start) + 1}{dash}{stop}"})


def _json(body: bytes) -> Reply:
    return Reply(200, {"content-type": "application/dicom+json"}, (body,))


def _whole(reply: Reply) -> Sent:
    return Sent(reply, reply.pieces)  # type: ignore[arg-type]  # all are bytes


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection with RST."""
    near: socket.socket = writer.get_extra_info("socket")
    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def run_origin(listener: socket.socket, seed: int, share: float, is_lying: bool) -> None:
    """Runs the origin as a process."""
    uvloop.run(_run(listener, Origin(seed, share, is_lying=is_lying)))


async def _run(listener: socket.socket, origin: Origin) -> None:
    server = await asyncio.start_server(origin.serve, sock=listener)
    async with server:
        await server.serve_forever()
