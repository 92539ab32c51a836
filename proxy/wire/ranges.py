"""Byte ranges (RFC 9110 14). Spans are half-open inside the project; only headers have inclusive ends.

A viewer's range is read in two steps, because the total may not be known yet. `parse_range` reads the header,
and `RangeRequest.resolve` applies it to a total.
"""

import re
from dataclasses import dataclass

from proxy.errors import RangeNotSatisfiable

MAX_DIGITS = 15
"""Digits of a position; nothing that the proxy serves is long enough to need more."""

_RANGE = re.compile(r"bytes=[ \t]*([0-9]*)-([0-9]*)[ \t]*", re.ASCII)
_CONTENT_RANGE = re.compile(r"bytes[ \t]+([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15}|\*)", re.ASCII)
_UNIT = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)=.*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open span `[start, stop)` in bytes, 0-based.

    >>> Span(0, 65536).to_header()
    'bytes=0-65535'
    >>> Span(65536, None).to_header()
    'bytes=65536-'
    """

    start: int
    """First byte."""
    stop: int | None
    """One past the last byte; None is "to the end"."""

    def to_header(self) -> str:
        """Returns the value of a Range header."""
        return f"bytes={self.start}-{'' if self.stop is None else self.stop - 1}"


@dataclass(frozen=True, slots=True)
class ContentRange:
    """The Content-Range of a 206 (RFC 9110 14.4)."""

    start: int
    """First byte."""
    stop: int
    """One past the last byte."""
    total: int | None
    """Bytes of the whole representation; None if the origin wrote `*`."""

    def to_header(self) -> str:
        """Returns the value of a Content-Range header.

        >>> ContentRange(0, 65536, 99999).to_header()
        'bytes 0-65535/99999'
        """
        return f"bytes {self.start}-{self.stop - 1}/{'*' if self.total is None else self.total}"


def parse_content_range(value: str) -> ContentRange | None:
    """Parses a Content-Range; None if it is malformed or contradicts itself.

    >>> parse_content_range("bytes 0-0/1")
    ContentRange(start=0, stop=1, total=1)
    >>> parse_content_range("bytes 5-4/9") is None
    True
    """
    match = _CONTENT_RANGE.fullmatch(value.strip())
    if match is None:
        return None
    start, stop = int(match[1]), int(match[2]) + 1
    total = None if match[3] == "*" else int(match[3])
    if start >= stop or (total is not None and stop > total):
        return None
    return ContentRange(start, stop, total)


@dataclass(frozen=True, slots=True)
class RangeRequest:
    """One range as the viewer wrote it; `first` and `last` are both inclusive."""

    first: int | None
    """First byte; None for a suffix range."""
    last: int | None
    """Last byte, or the number of bytes for a suffix range; None is "to the end"."""
    fault: str = ""
    """Why the header is invalid; empty if it is valid."""

    @property
    def stop_wanted(self) -> int | None:
        """Returns one past the last byte that the response needs; None is "to the end"."""
        if self.fault or self.first is None:
            return 0 if self.fault else None
        return None if self.last is None else self.last + 1

    def resolve(self, total: int) -> Span:
        """Returns the span within a representation of `total` bytes. Raises `RangeNotSatisfiable`.

        >>> RangeRequest(None, 5).resolve(100)
        Span(start=95, stop=100)
        """
        if self.fault:
            raise RangeNotSatisfiable(self.fault, total)
        if self.first is None:
            start, stop = max(0, total - (self.last or 0)), total
        else:
            start, stop = self.first, total if self.last is None else min(self.last + 1, total)
        if start >= stop:
            raise RangeNotSatisfiable(f"the range starts after the last of {total} bytes", total)
        return Span(start, stop)


def parse_range(value: str | None) -> RangeRequest | None:
    """Parses a viewer's Range header; None if there is none or its unit is not bytes (RFC 9110 14.2).

    An invalid header or a list of ranges is returned with its fault. The proxy refuses such a request once
    the total is known. A full response is no option, because a viewer that appends would take it for its
    range.

    >>> parse_range("bytes=0-65535")
    RangeRequest(first=0, last=65535, fault='')
    >>> parse_range("items=0-5") is None
    True
    >>> parse_range("bytes=5-4").fault
    'the range ends before it starts'
    """
    if value is None:
        return None
    unit = _UNIT.fullmatch(value.strip())
    if unit is not None and unit[1].lower() != "bytes":
        return None
    if "," in value:
        return RangeRequest(None, None, "a request may have only one range")
    match = _RANGE.fullmatch("bytes=" + value.strip()[6:]) if unit is not None else None
    if match is None or match[1] == match[2] == "":
        return RangeRequest(None, None, "a range must be bytes=first-last, bytes=first- or bytes=-count")
    if len(match[1]) > MAX_DIGITS:
        return RangeRequest(None, None, f"a position may have at most {MAX_DIGITS} digits")
    first = int(match[1]) if match[1] else None
    # A last byte beyond the end means the end (RFC 9110 14.1.2).
    last = int(match[2]) if match[2] and len(match[2]) <= MAX_DIGITS else None
    if first is None:
        return RangeRequest(None, 10**MAX_DIGITS if last is None else last)
    if last is not None and last < first:
        return RangeRequest(None, None, "the range ends before it starts")
    return RangeRequest(first, last)
