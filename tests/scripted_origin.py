"""An origin that follows a test's script, on real sockets. It counts every request.

A `Script` answers each request with a `Reply`. The pieces of a reply are bytes to send, an `asyncio.Event` to
wait for (the barrier of a test), or `HANG_UP`. Without a script it is an ordinary file server.
"""

import asyncio
import hashlib
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from proxy.wire.ranges import ContentRange, RangeRequest, parse_range
from tests.numbered import HEADER
from tests.ports import free_port
from tests.streams import Streams

LABEL = "image/jphc; transfer-syntax=1.2.840.10008.1.2.4.202"
UID = "1.2.826.0.1.3680043.10.1"
FRAME = f"/studies/{UID}.1/series/{UID}.2/instances/{UID}.3/frames/1"
SERIES = f"/studies/{UID}.1/series/{UID}.2"
OTHER_SERIES = f"/studies/{UID}.1/series/{UID}.4"


class HangUp:
    """A piece that closes the connection in the middle of a body."""


HANG_UP = HangUp()
Piece = bytes | asyncio.Event | HangUp


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""
    number: int = field(default=0, compare=False, repr=False)
    """Its place among the requests of the proxies in this process; 0 if somebody else sent it."""

    @property
    def range(self) -> str | None:
        return self.headers.get("range")


@dataclass(frozen=True)
class Reply:
    """A response. Content-Length is computed from the bytes, unless `headers` has framing of its own."""

    status: int
    headers: dict[str, str]
    pieces: Sequence[Piece] = ()


Script = Callable[[Asked], Reply | None]


def codestream(size: int, seed: int = 1) -> bytes:
    """Random bytes with the first and last markers of a codestream. A wrong offset never goes unnoticed."""
    return b"\xff\x4f\xff\x51" + random.Random(seed).randbytes(size - 6) + b"\xff\xd9"


def etag_of(body: bytes) -> str:
    return f'"{hashlib.blake2b(body, digest_size=8).hexdigest()}"'


def honest(
    body: bytes, asked: Asked, *, etag: str | None = None, before: Sequence[Piece] = (), label: str = LABEL
) -> Reply:
    """A correct response with this body. The pieces in `before` are sent or awaited first."""
    tag = etag_of(body) if etag is None else etag
    headers = {"content-type": label, "accept-ranges": "bytes"} | ({"etag": tag} if tag else {})
    wanted = parse_range(asked.range)
    if wanted is None or asked.headers.get("if-range", tag) != tag:
        return Reply(200, headers, (*before, body))
    if isinstance(wanted, RangeRequest) and wanted.first is not None and wanted.first >= len(body):
        return Reply(416, {"content-range": f"bytes */{len(body)}"})
    span = wanted.resolve(len(body))
    part = body[span.start : span.stop]
    said = ContentRange(span.start, span.start + len(part), len(body)).to_header()
    return Reply(206, headers | {"content-range": said}, (*before, part))


def instance_of(uid: str, **tags: Any) -> dict[str, Any]:
    """An instance in DICOM JSON. `tags` are attributes by the keywords of this module."""
    named = {"number": "00200013", "position": "00200032", "orientation": "00200037", "frames": "00280008"}
    named |= {"modality": "00080060", "syntax": "00083002"}
    found: dict[str, Any] = {"00080018": {"vr": "UI", "Value": [uid]}}
    for name, value in tags.items():
        found[named[name]] = {"vr": "??", "Value": value if isinstance(value, list) else [value]}
    return found


def frame_of(image: int, series: str = SERIES) -> str:
    """The path of an image (0-based) in a series that `with_series` made."""
    return f"{series}/instances/{series.rpartition('/')[2]}.{image + 1}/frames/1"


async def _not_running() -> None:
    raise AssertionError("not running")


@dataclass
class ScriptedOrigin:
    """The server. `frames` maps paths to codestreams, `metadata` to DICOM JSON. `script` has precedence.

    Its repr has none of them: pytest writes the repr into each failed assertion, and megabytes take minutes.
    """

    frames: dict[str, bytes] = field(default_factory=dict, repr=False)
    script: Script | None = None
    metadata: dict[str, bytes] = field(default_factory=dict, repr=False)
    asked: list[Asked] = field(default_factory=list, repr=False)
    """The requests so far, in the order in which the proxy sent them."""
    url: str = ""
    port: int = 0
    """Chosen when it runs first; it has the same one when it runs again."""
    door: asyncio.Event | None = None
    """An event before which no head goes out."""
    stop: Callable[[], Awaitable[None]] = field(default=_not_running, repr=False)
    """Stops the server: it closes open connections and refuses new ones."""

    @property
    def asked_after_greeting(self) -> list[Asked]:
        """All requests except the greetings that the proxy sends to an origin when it starts."""
        return [asked for asked in self.asked if asked.path != "/studies?limit=1"]

    @property
    def frame_requests(self) -> list[Asked]:
        return [asked for asked in self.asked if "/frames/" in asked.path]

    @property
    def ranges(self) -> list[str | None]:
        return [asked.range for asked in self.frame_requests]

    def _reply(self, asked: Asked) -> Reply:
        reply = self.script(asked) if self.script else None
        if reply is not None:
            return reply
        body = self.frames.get(asked.path.partition("?")[0])
        if body is not None:
            return honest(body, asked)
        if asked.path in self.metadata:
            return Reply(200, {"content-type": "application/dicom+json"}, (self.metadata[asked.path],))
        if asked.path.startswith("/studies?"):
            return Reply(200, {"content-type": "application/dicom+json"}, (b"[]",))
        return Reply(404, {"content-type": "text/plain"}, (b"no such thing",))

    def with_series(self, bodies: Sequence[bytes], series: str = SERIES) -> "ScriptedOrigin":
        """The origin with one more series, one instance per codestream. Metadata lists the last one first."""
        uid = series.rpartition("/")[2]
        instances = [instance_of(f"{uid}.{number + 1}", number=number) for number in range(len(bodies))]
        self.metadata[f"{series}/metadata"] = json.dumps(instances[::-1]).encode()
        self.frames |= {frame_of(image, series): body for image, body in enumerate(bodies)}
        return self

    def ranges_of(self, path: str) -> list[str | None]:
        return [asked.range for asked in self.asked if asked.path == path]

    def requests_of(self, path: str) -> int:
        return len(self.ranges_of(path))

    def note(self, asked: Asked) -> None:
        """Counts a request, before those that the proxy sent later but which arrived earlier."""
        at = len(self.asked)
        while asked.number and at and self.asked[at - 1].number > asked.number:
            at -= 1
        self.asked.insert(at, asked)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (asked := await _read(reader)) is not None:
                self.note(asked)
                if self.door is not None:
                    await self.door.wait()
                if not await _write(writer, asked, self._reply(asked)):
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.split("\r\n")
    method, path, _ = first.split(" ")
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines if line)}
    number = int(headers.pop(HEADER, "0"))
    body = b""
    if headers.get("transfer-encoding") == "chunked":
        while size := int((await reader.readline()).strip() or b"0", 16):
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, path, headers, body, number)


async def _write(writer: asyncio.StreamWriter, asked: Asked, reply: Reply) -> bool:
    size = sum(len(piece) for piece in reply.pieces if isinstance(piece, bytes))
    length = {} if "transfer-encoding" in reply.headers else {"content-length": str(size)}
    headers = length | reply.headers
    lines = [f"HTTP/1.1 {reply.status} Said", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
    writer.write("\r\n".join(lines).encode("latin-1"))
    return await write_pieces(writer, reply.pieces if asked.method != "HEAD" else ())


async def write_pieces(writer: asyncio.StreamWriter, pieces: Sequence[Piece]) -> bool:
    """Writes the pieces. Returns True if the connection can be used again."""
    for piece in pieces:
        await writer.drain()
        if isinstance(piece, HangUp):
            return False
        if isinstance(piece, asyncio.Event):
            await piece.wait()
        else:
            writer.write(piece)
    await writer.drain()
    return True


@asynccontextmanager
async def running(origin: ScriptedOrigin) -> AsyncIterator[ScriptedOrigin]:
    """Runs the origin on a free port of the loopback interface."""
    server = Streams(origin.serve)
    origin.port = origin.port or free_port()
    try:
        await server.begin(origin.port)
    except OSError:  # it runs twice at once
        origin.port = free_port()
        await server.begin(origin.port)
    origin.url = f"http://127.0.0.1:{origin.port}"
    origin.stop = server.end
    try:
        yield origin
    finally:
        await server.end()
