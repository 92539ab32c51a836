"""multipart/related with one part: ours, which is the same at every request, and an origin's, taken apart.

Viewers range over the whole body, so our envelope must never change for a frame (RFC 2046 5.1,
PS3.18 8.6.1.2). An origin's envelope is taken off by `PartReader`, fed with bytes as they arrive.
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


class PartReader:
    """Takes the first part out of an origin's multipart body, byte by byte if need be.

    `feed` gives codestream bytes as soon as they can't belong to a delimiter. The delimiter is taken
    from the body, since headers leave it out or get it wrong; a missing closing delimiter is tolerated.
    """

    def __init__(self) -> None:
        self.media_type: MediaType | None = None
        """The part's own type, once its header is read."""
        self.length: int | None = None
        """The part's own Content-Length, where it has one."""
        self.offset = 0
        """Bytes of the body before the part's own."""
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
        if self.media_type is None and not self._read_header():
            return b""
        at = self._held.find(self.delimiter)
        if at >= 0:
            part, self._held, self.is_done = self._held[:at], b"", True
            return part
        keep = len(self.delimiter) - 1
        part, self._held = self._held[:-keep], self._held[-keep:]
        return part

    def finish_if_begun(self) -> bytes:
        """What was held back, if the part has begun: whoever knows its length looks for no delimiter."""
        return b"" if self.media_type is None else self.finish()

    def finish(self) -> bytes:
        """What was held back, once the body has ended."""
        if self.media_type is None:
            raise OriginMismatch("the multipart body ended inside its part header", "multipart")
        rest, self._held = self._held, b""
        return rest

    def _read_header(self) -> bool:
        end = self._held.find(b"\r\n\r\n")
        if end < 0:
            if len(self._held) > MAX_PART_HEADER:
                raise OriginMismatch("no part header where a multipart body starts", "multipart")
            return False
        header = self._held[:end].lstrip(b"\r\n")
        first, _, lines = header.partition(b"\r\n")
        if not first.startswith(b"--") or len(first) < 3 or end > MAX_PART_HEADER:
            raise OriginMismatch("the multipart body does not start with a delimiter", "multipart")
        pairs = (line.partition(b":") for line in lines.split(b"\r\n"))
        fields = {name.strip().lower(): value.strip() for name, _, value in pairs}
        self.media_type = parse_media_type(fields.get(b"content-type", b"").decode("latin-1"))
        self.delimiter = b"\r\n" + first.rstrip(b" \t")
        length = fields.get(b"content-length", b"")
        self.length = int(length) if _DIGITS.fullmatch(length) else None
        self.offset = end + 4
        self._held = self._held[end + 4 :]
        return True
