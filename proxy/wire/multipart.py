"""multipart/related with one part: writes the proxy's envelope and reads the origin's.

Viewers request ranges of the whole body, so the proxy's envelope for a frame must never change (RFC 2046 5.1,
PS3.18 8.6.1.2). `read_part_head` reads the start of an origin's envelope; `proxy.origin` finds its end.
"""

import re
from dataclasses import dataclass

from proxy.errors import OriginMismatch
from proxy.wire.media import MediaType, parse_media_type
from proxy.wire.ranges import Span

_DIGITS = re.compile(rb"[0-9]{1,15}")

MAX_PART_HEADER = 8192
"""Bytes of an origin's body up to the blank line of its first part; a longer start is refused."""


@dataclass(frozen=True, slots=True)
class Wrapping:
    """The bytes around a codestream in one representation; both are empty for a single part.

    >>> Wrapping(b"<<", b">>").total(10)
    14
    >>> Wrapping(b"<<", b">>").cut(Span(1, 13), 10)
    (b'<', Span(start=0, stop=10), b'>')
    """

    before: bytes
    """Delimiter and part header."""
    after: bytes
    """Closing delimiter."""

    def total(self, codestream: int) -> int:
        """Returns the length of the representation of a codestream of `codestream` bytes."""
        return len(self.before) + codestream + len(self.after)

    def stop_in_codestream(self, stop: int, codestream: int) -> int:
        """Returns how many bytes of the codestream it takes to answer up to `stop` in the representation."""
        return max(0, min(stop - len(self.before), codestream))

    def cut(self, span: Span, codestream: int) -> tuple[bytes, Span, bytes]:
        """Splits a span of the representation: bytes before, span of the codestream, bytes after."""
        stop = self.total(codestream) if span.stop is None else span.stop
        lead, end = len(self.before), len(self.before) + codestream
        inner = Span(max(0, min(span.start - lead, codestream)), self.stop_in_codestream(stop, codestream))
        return (
            self.before[span.start : min(stop, lead)],
            inner,
            self.after[max(0, span.start - end) : max(0, stop - end)],
        )


SINGLE_PART = Wrapping(b"", b"")
"""The body is the codestream itself."""


def wrap(boundary: str, part_type: str) -> Wrapping:
    """Builds the proxy's envelope. Viewers depend on how the part header's name is spelled."""
    return Wrapping(
        f"--{boundary}\r\nContent-Type: {part_type}\r\n\r\n".encode("ascii"),
        f"\r\n--{boundary}--".encode("ascii"),
    )


@dataclass(frozen=True, slots=True)
class PartHead:
    """The head of an origin's first part."""

    media_type: MediaType
    """The part's own media type; its name is empty if the part has none."""
    length: int | None
    """The part's own Content-Length; None if it has none."""
    offset: int
    """Bytes of the body before the part's content."""
    delimiter: bytes
    """The bytes that end the part, without the closing dashes."""


def read_part_head(body: bytes, boundary: str = "") -> PartHead | None:
    """Reads the head of the first part from the start of a body; None if more bytes are needed.

    The delimiter comes from the body, because headers often omit it or get it wrong. Only a body that starts
    with something else may have a preamble, which ends at the announced `boundary` (RFC 2046 5.1.1). Raises
    `OriginMismatch` if the body does not start with a part.
    """
    start = _start(body, boundary)
    end = -1 if start is None else body.find(b"\r\n\r\n", start)
    if end < 0:
        if len(body) > MAX_PART_HEADER:
            raise OriginMismatch("the multipart body starts without a part header", "multipart")
        return None
    first, _, lines = body[start:end].partition(b"\r\n")
    if not first.startswith(b"--") or len(first) < 3 or end > MAX_PART_HEADER:
        raise OriginMismatch("the multipart body does not start with a delimiter", "multipart")
    pairs = (line.partition(b":") for line in lines.split(b"\r\n"))
    fields = {name.strip().lower(): value.strip() for name, _, value in pairs}
    length = fields.get(b"content-length", b"")
    return PartHead(
        parse_media_type(fields.get(b"content-type", b"").decode("latin-1")),
        int(length) if _DIGITS.fullmatch(length) else None,
        end + 4,
        b"\r\n" + first.rstrip(b" \t"),
    )


def _start(body: bytes, boundary: str) -> int | None:
    """Offset of the first delimiter; None if it has not arrived yet."""
    start = len(body) - len(body.lstrip(b"\r\n"))
    if not boundary or _may_be_head(body[start : start + MAX_PART_HEADER], b"--" + boundary.encode()):
        return start
    line = re.compile(rb"\r\n(--%b[ \t]*\r\n)" % re.escape(boundary.encode()))
    found = line.search(body, 0, MAX_PART_HEADER)
    return found.start(1) if found else None


def _may_be_head(leading: bytes, announced: bytes) -> bool:
    """True if no line shows that this is a preamble, which may begin with hyphens, too."""
    head, is_whole, _ = leading.partition(b"\r\n\r\n")
    first, *fields = head.split(b"\r\n")
    if not fields or first.rstrip(b" \t") == announced:
        return b"--".startswith(first[:2])
    complete = fields if is_whole else fields[:-1]
    is_delimiter = first.startswith(b"--") and len(first.rstrip(b" \t")) > 2
    return is_delimiter and all(b":" in line or line[:1] in (b" ", b"\t") for line in complete)


class PartReader:
    """Extracts the first part from a multipart body that arrives in chunks of any size.

    `feed` returns codestream bytes as soon as they can't belong to a delimiter. A missing closing delimiter
    is tolerated. That is enough to measure; `proxy.origin.parts` reads the bodies that the proxy serves.
    """

    def __init__(self) -> None:
        self.media_type: MediaType | None = None
        """The part's own media type; None until its header is complete."""
        self.delimiter = b""
        """The bytes that end the part, without the closing dashes."""
        self.is_done = False
        """True once the delimiter after the part has been read."""
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """Returns the codestream bytes that are certain now. Raises `OriginMismatch` if not multipart."""
        if self.is_done:
            return b""
        self._held += chunk
        if self.media_type is None:
            head = read_part_head(self._held)
            if head is None:
                return b""
            self.media_type, self.delimiter = head.media_type, head.delimiter
            self._held = self._held[head.offset :]
        at = self._held.find(self.delimiter)
        if at >= 0:
            part, self._held, self.is_done = self._held[:at], b"", True
            return part
        keep = len(self.delimiter) - 1
        part, self._held = self._held[:-keep], self._held[-keep:]
        return part

    def finish(self) -> bytes:
        """Returns the bytes held back when the body ends. Raises `OriginMismatch` if no part began."""
        if self.media_type is None:
            raise OriginMismatch("the multipart body ended inside its part header", "multipart")
        rest, self._held = self._held, b""
        return rest
