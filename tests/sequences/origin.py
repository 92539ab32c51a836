"""The origin's side of sequences: one server for all of them, with a path for each."""

import asyncio
import gzip
import zlib
from collections import Counter, deque
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from proxy.wire.multipart import wrap
from proxy.wire.ranges import Span, parse_range
from tests.scripted_origin import HANG_UP, Asked, Piece, Reply, ScriptedOrigin, _read, write_pieces
from tests.sequences.values import Deed, Sequence
from tests.sequences.versions import LABELS, VERSIONS, versions

EPOCH = datetime(2020, 1, 1, tzinfo=UTC)


class Scene:
    """The origin's behaviour in one sequence."""

    def __init__(self, sequence: Sequence) -> None:
        self.sequence = sequence
        self.is_over = asyncio.Event()
        """Set once the origin behaves correctly and no longer stalls."""
        self._deeds = deque(sequence.deeds)
        self._stored: Counter[int] = Counter()
        self._boundaries = 0
        self._barriers: list[asyncio.Event] = []

    @property
    def is_stuck(self) -> bool:
        """True if the origin stands at a barrier."""
        return bool(self._barriers)

    def end(self) -> None:
        """Makes the origin behave correctly from now on."""
        self.is_over.set()
        self.release()

    def release(self) -> None:
        """Releases the barrier."""
        for barrier in self._barriers:
            barrier.set()
        self._barriers.clear()

    def replace(self, frame: int) -> None:
        """Stores the next version of a frame."""
        self._stored[frame] += 1

    def reply(self, frame: int, asked: Asked) -> Reply:
        """The origin's response to a request for a frame."""
        if self.sequence.envelope != "single" and "multipart" not in asked.headers["accept"]:
            return Reply(406, {"content-length": "0"})
        deed = self._deeds.popleft() if self._deeds and not self.is_over.is_set() else Deed()
        self._stored[frame] += deed.is_new
        if deed.status != 200:
            return Reply(deed.status, {"retry-after": "0", "content-length": "2"}, (b"no",))
        file = self._file(frame)
        guard, headers = self._guarded(deed, file, asked)
        if self.sequence.cache_control:
            headers["cache-control"] = self.sequence.cache_control
        if deed.heeds_if_range and _condition(asked) == guard:
            return Reply(304, headers)
        is_same = not deed.heeds_if_range or asked.headers.get("if-range", guard) == guard
        wanted = parse_range(asked.range)
        status, span = 200, Span(0, len(file))
        if wanted is not None and is_same and deed.ranges != "ignored":
            status = 206
            span, headers["content-range"] = _ranged(deed, wanted.resolve(len(file)), len(file))
        body = file[span.start : span.stop]
        if deed.coding == "gzip" and status == 200:
            headers["content-encoding"] = "gzip"
            body = gzip.compress(body, 0)
        headers |= _framing(deed, body)
        return Reply(status, headers, self._pieces(deed, body))

    def stored(self, frame: int) -> bytes:
        """The version that the origin has now."""
        known = versions(frame, are_twins=self.sequence.has_twins, form=self.sequence.form)
        return known[self._stored[frame] % VERSIONS]

    def _file(self, frame: int) -> bytes:
        """The stored bytes, in the origin's envelope."""
        stored = self.stored(frame)
        if self.sequence.envelope == "single":
            return stored
        boundary = f"boundary-{self._stored[frame] % VERSIONS}"
        if self.sequence.envelope == "anew":
            self._boundaries += 1
            boundary = f"boundary-{self._boundaries:03}" + "x" * (self._boundaries % 3)
        wrapping = wrap(boundary, LABELS[self.sequence.form].replace(" ", ""))
        return wrapping.before + stored + wrapping.after

    def _guarded(self, deed: Deed, file: bytes, asked: Asked) -> tuple[str, dict[str, str]]:
        """The validator that If-Range is compared with, even if the response omits it, and the headers."""
        mark = zlib.crc32(file)
        modified = format_datetime(EPOCH + timedelta(minutes=mark % 2**20), usegmt=True)
        tag = {"etag": f'"{mark}"', "weak": f'W/"{asked.range}"'}.get(self.sequence.guard, "")
        label = LABELS[self.sequence.form]
        headers = {"content-type": label if self.sequence.envelope == "single" else "multipart/related"}
        if deed.is_bare:
            return tag or modified, headers
        if tag:
            headers["etag"] = tag
        elif self.sequence.guard == "date":
            today = format_datetime(EPOCH + timedelta(days=3650), usegmt=True)
            headers |= {"last-modified": modified, "date": today}
        return tag or modified, headers

    def _pieces(self, deed: Deed, body: bytes) -> tuple[Piece, ...]:
        if deed.end == "whole":
            return (body,)
        at = int(len(body) * deed.share)
        if deed.end == "hung up":
            return body[:at], HANG_UP
        if deed.end == "silent":
            return body[:at], self.is_over, HANG_UP
        barrier = asyncio.Event()
        self._barriers.append(barrier)
        return body[:at], barrier, body[at:]


def _condition(asked: Asked) -> str:
    """The validator that the request names in its condition. Empty if it has no condition."""
    return asked.headers.get("if-none-match", asked.headers.get("if-modified-since", ""))


def _ranged(deed: Deed, span: Span, total: int) -> tuple[Span, str]:
    """The span of a 206 response, and its Content-Range."""
    start, stop = span.start, span.stop or total
    if deed.ranges == "shifted":
        start = min(start + 1, stop - 1)
    if deed.ranges == "short":
        stop = max(start + 1, stop - 1000)
    said = {
        "total": f"bytes {start}-{stop - 1}/{total + 1}",
        "star": f"bytes {start}-{stop - 1}/*",
        "unsaid": "",
        "no numbers": f"bytes {start}-NaN/{total}",
    }
    return Span(start, stop), said.get(deed.ranges, f"bytes {start}-{stop - 1}/{total}")


def _framing(deed: Deed, body: bytes) -> dict[str, str]:
    """The headers that show where the body of a response ends (RFC 9112 6.3)."""
    if deed.coding == "chunked":
        return {"transfer-encoding": "chunked"}
    return {"connection": "close"} if deed.coding == "until closed" else {"content-length": str(len(body))}


class Stage(ScriptedOrigin):
    """The server."""

    def __init__(self) -> None:
        super().__init__()
        self.scenes: dict[str, Scene] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while (asked := await _read(reader)) is not None:
                if not await _write(writer, self._reply(asked)):
                    break
        writer.close()

    def _reply(self, asked: Asked) -> Reply:
        _, name, *rest = asked.path.partition("?")[0].split("/")
        if "frames" in rest and name in self.scenes:
            return self.scenes[name].reply(int(rest[-1]) - 1, asked)
        return Reply(200, {"content-length": "2"}, (b"[]",))


async def _write(writer: asyncio.StreamWriter, reply: Reply) -> bool:
    """Writes a reply. Returns True if the connection stays open."""
    lines = [f"{name}: {value}" for name, value in reply.headers.items()]
    writer.write("\r\n".join([f"HTTP/1.1 {reply.status} Said", *lines, "", ""]).encode("latin-1"))
    is_chunked = "transfer-encoding" in reply.headers
    pieces = reply.pieces
    if is_chunked:
        pieces = [*(_chunk(piece) for piece in pieces if piece), b"0\r\n\r\n"]
    return await write_pieces(writer, pieces) and "connection" not in reply.headers


def _chunk(piece: Piece) -> Piece:
    """Encodes bytes as a chunk (RFC 9112 7.1)."""
    return b"%x\r\n%b\r\n" % (len(piece), piece) if isinstance(piece, bytes) else piece
