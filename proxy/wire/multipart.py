"""multipart/related with one part: ours, which is the same at every request, and an origin's, taken apart.

Viewers range over the whole body, so our envelope must never change for a frame (RFC 2046 5.1,
PS3.18 8.6.1.2). An origin's envelope begins with what `read_part_head` reads; where it ends, `origin` finds.
"""

import re
from dataclasses import dataclass

from proxy.errors import OriginMismatch
from proxy.wire.media import MediaType, parse_media_type
from proxy.wire.ranges import Span

_DIGITS = re.compile(rb"[0-9]{1,15}")

MAX_PART_HEADER = 8192
"""Bytes up to the blank line of an origin's part; more is refused."""


@dataclass(frozen=True, slots=True)
class Wrapping:
    """The bytes around a codestream in one representation; both empty in a single part.

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
        """Bytes of the representation around a codestream of so many bytes."""
        return len(self.before) + codestream + len(self.after)

    def stop_in_codestream(self, stop: int, codestream: int) -> int:
        """How far the codestream is needed to answer up to `stop` in the representation."""
        return max(0, min(stop - len(self.before), codestream))

    def cut(self, span: Span, codestream: int) -> tuple[bytes, Span, bytes]:
        """A span of the representation as its piece before, its span of the codestream, its piece after."""
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
    """Our envelope. The part header's name is spelled as the viewers need it."""
    return Wrapping(
        f"--{boundary}\r\nContent-Type: {part_type}\r\n\r\n".encode("ascii"),
        f"\r\n--{boundary}--".encode("ascii"),
    )


@dataclass(frozen=True, slots=True)
class PartHead:
    """What stands before the bytes of an origin's first part."""

    media_type: MediaType
    """The part's own type; without a name if it says none."""
    length: int | None
    """The part's own Content-Length, if it has one."""
    offset: int
    """Bytes of the body before the part's own."""
    delimiter: bytes
    """What ends the part, without the closing dashes."""


def read_part_head(body: bytes) -> PartHead | None:
    """The head of the first part from the body's first bytes; None if more are needed.

    The delimiter is taken from the body, since headers leave it out or get it wrong. Raises `OriginMismatch`.
    """
    end = body.find(b"\r\n\r\n")
    if end < 0:
        if len(body) > MAX_PART_HEADER:
            raise OriginMismatch("no part header where a multipart body starts", "multipart")
        return None
    first, _, lines = body[:end].lstrip(b"\r\n").partition(b"\r\n")
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


class PartReader:
    """Takes the first part out of a multipart body up to the first delimiter, byte by byte if need be.

    `feed` gives codestream bytes as soon as they can't belong to a delimiter; a missing closing delimiter is
    tolerated. That is enough to measure; what is served is taken apart by `proxy.origin.parts`.
    """

    def __init__(self) -> None:
        self.media_type: MediaType | None = None
        """The part's own type, once its header is read."""
        self.delimiter = b""
        """What ends the part, without the closing dashes."""
        self.is_done = False
        """Whether the delimiter after the part was seen."""
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """The codestream bytes that are certain now. Raises `OriginMismatch` for what is no multipart."""
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
        """What was held back, once the body has ended."""
        if self.media_type is None:
            raise OriginMismatch("the multipart body ended inside its part header", "multipart")
        rest, self._held = self._held, b""
        return rest
