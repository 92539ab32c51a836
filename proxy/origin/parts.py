"""Parses an origin's multipart response while it arrives, so that the first picture leaves at once.

A part may contain its own delimiter, so the first delimiter need not be the end of the part. The length comes
from the part's Content-Length or from the codestream itself, if the length of the body agrees. Some origins
leave out the closing dashes of the last delimiter, some write a line break after them, and some codestreams
have a few bytes of padding. If no length agrees, the whole body is read first, and the delimiter at its end
ends the part. A part in doubt is an error. Its last byte is not passed on before the delimiter after it is
in. If the origin announces the boundary, a preamble before the first delimiter is skipped.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from proxy.codestream.layout import read_layout
from proxy.codestream.markers import SOC
from proxy.codestream.whole import fault_of
from proxy.errors import CodestreamError, OriginHungUp, OriginMismatch
from proxy.frame.identity import Claim
from proxy.origin.signature import TELLING, kind_of
from proxy.wire.media import MediaType, parse_media_type
from proxy.wire.multipart import PartHead, read_part_head
from proxy.wire.ranges import Span

ENVELOPE = 512
"""Bytes that are added to a first fetch if the body has an envelope."""
LEADING = 16384
"""Bytes within which a codestream has to show its length; if it does not, the whole part is read first."""
MOST_AROUND = 16384
"""Maximum bytes of an envelope."""
MOST_PADDING = 3
"""Zero bytes that are skipped after a codestream to find the delimiter, if it showed its own length."""
_END = re.compile(rb"-{0,2}[ \t\r\n]*")
"""Bytes that may follow the delimiter at the end of a body."""
_AFTER = re.compile(rb"-{0,2}[ \t]*(?:[\r\n].*)?", re.DOTALL)
"""Bytes that may follow any delimiter."""
_HEAD = re.compile(rb"[ \t]*\r\n(?:(?!--)[!-9;-~]+:[^\r\n]*\r\n)*\r\n")
"""Bytes that follow a delimiter if another part begins."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a multipart body, as far as it has arrived."""

    media: MediaType
    """Content-Type of the part; if it has none, derived from its bytes or from the type of the body."""
    offset: int
    """Bytes of the body before the part."""
    total: int
    """Bytes of the whole part."""
    chunks: AsyncIterator[bytes]
    """The bytes of the part as they arrive; if the body is a range, only those in the range."""


async def take_apart(
    body: AsyncIterator[bytes],
    have: int | None,
    total: int | None,
    outer: MediaType | None = None,
    *,
    is_open: bool = False,
) -> Part:
    """The first part of a body of `total` bytes, of which the first `have` arrive; None if not known.

    `outer` is the type of the whole body. `is_open` is True if only the end of the connection ends it. Raises
    `OriginMismatch` if the body is not multipart, if it is a range that does not show the length of its part,
    or if the end of the part is in doubt. Raises `OriginHungUp` if the body was cut.
    """
    head, leading, length = None, b"", None
    boundary = outer.parameters.get("boundary", "") if outer else ""
    async for chunk in body:
        leading += chunk
        if head is None and (head := read_part_head(leading, boundary)) is not None:
            leading = leading[head.offset :]
        if head is not None:
            length = _length(head, leading, total)
            is_told = bool(head.media_type.name) or len(leading) >= TELLING
            if (length is not None and is_told) or len(leading) > LEADING:
                break
    if head is None:
        raise OriginMismatch("a multipart body without a part", "multipart")
    is_told_by_bytes = length is not None and length != head.length
    if length is None:
        if have != total:
            words = "a range of a multipart body that does not tell its part's length"
            raise OriginMismatch(words, "multipart")
        leading = b"".join([leading, *[chunk async for chunk in body]])
        length = _end(head, leading, is_open=is_open)
    media = head.media_type if head.media_type.name else _untold(leading[:length], outer)
    padding = MOST_PADDING if is_told_by_bytes else 0  # a codestream does not count it
    return Part(media, head.offset, length, _raw(leading, body, length, head.delimiter, padding))


def _length(head: PartHead, leading: bytes, total: int | None) -> int | None:
    """Length of the part in bytes; None if it is not known yet."""
    if total is None:
        return head.length
    most = total - head.offset - len(head.delimiter)
    fitting = {most - dashes_and_break for dashes_and_break in (0, 2, 4)}
    if head.length in fitting:
        return head.length
    told = _length_of(leading)
    return None if told is None else next((each for each in (told, told + 1) if each in fitting), None)


def _end(head: PartHead, whole: bytes, *, is_open: bool) -> int:
    """Length of the part in all the bytes after its head. Raises `OriginMismatch`, `OriginHungUp`."""
    delimiter, told = head.delimiter, _told_end(head, whole)
    if told is not None:
        return told
    last = whole.rfind(delimiter)
    if last < 0:
        if is_open and not whole.startswith(
            SOC.to_bytes(2, "big")
        ):  # only markers could show that it is complete
            raise OriginHungUp("a multipart body that does not tell its end, and has no delimiter there")
        if whole.startswith(delimiter.lstrip()):
            raise OriginMismatch("a multipart body whose part is empty", "length")
        check_end(whole)
        return len(whole)
    if _END.fullmatch(whole, last + len(delimiter)) is None:
        raise OriginMismatch("a delimiter inside a multipart body, and none at its end", "delimiter")
    at = whole.find(delimiter)
    while at < last:
        if _HEAD.match(whole, at + len(delimiter), at + MOST_AROUND):
            raise OriginMismatch("a multipart body with more than one part", "delimiter")
        at = whole.find(delimiter, at + 1)
    return last


def _told_end(head: PartHead, whole: bytes) -> int | None:
    """The told length of a part with its delimiter behind it; None if there is none. Raises `OriginMismatch`.

    Markers leave no doubt. A Content-Length may end at a delimiter inside the part by chance, if that is
    neither the last one nor that of another part.
    """
    delimiter, told = head.delimiter, _length_of(whole)
    for length in (told, told and told + 1):
        if length is not None and whole.startswith(delimiter, length):
            return length
    if head.length is None or not whole.startswith(delimiter, head.length):
        return None
    behind = head.length + len(delimiter)
    if _END.fullmatch(whole, behind) or _HEAD.match(whole, behind, behind + MOST_AROUND):
        return head.length
    raise OriginMismatch("a part's Content-Length ends before the last delimiter", "length")


def _untold(leading: bytes, outer: MediaType | None) -> MediaType:
    """The type of a part without a Content-Type: from its bytes, else from the type of the body."""
    said = dict(outer.parameters) if outer else {}
    inner = MediaType(said.pop("type", "").lower() or "application/octet-stream", said)
    return parse_media_type(kind_of(leading)) if kind_of(leading) else inner


def _length_of(leading: bytes) -> int | None:
    """Length in bytes that a codestream shows of itself; None if it does not."""
    try:
        layout = read_layout(leading)
    except CodestreamError:
        return None
    return layout.total if layout else None


async def _raw(
    leading: bytes, body: AsyncIterator[bytes], length: int, delimiter: bytes, padding: int
) -> AsyncIterator[bytes]:
    """The bytes of the part; the last ones once the delimiter after them is in. Raises `OriginMismatch`."""
    left = length - len(leading)
    last, behind = (leading[:length], leading[length:]) if left <= 0 else (b"", b"")
    if left > 0 and leading:
        yield leading
    async for chunk in body:
        if left > len(chunk):
            yield chunk
            left -= len(chunk)
            continue
        if left > 0:
            last, behind, left = chunk[:left], chunk[left:], 0
        elif len(behind) > MOST_AROUND:
            raise OriginMismatch("more bytes than were announced", "length")
        else:
            behind += chunk
        if last and len(behind) >= padding + len(delimiter) + 4:
            _check_behind(behind, delimiter, padding)
            yield last
            last = b""
    if last:
        _check_behind(behind, delimiter, padding)
        yield last


def _check_behind(behind: bytes, delimiter: bytes, padding: int) -> None:
    zeros = len(behind[:padding]) - len(behind[:padding].lstrip(b"\0"))
    said, after = behind[zeros : zeros + len(delimiter)], behind[zeros + len(delimiter) :][:4]
    if not delimiter.startswith(said) or _AFTER.fullmatch(after) is None:
        raise OriginMismatch("bytes behind a part's announced length that are no delimiter", "length")


async def exactly(body: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    """A body of `size` bytes. Raises `OriginMismatch` if it has more, `OriginHungUp` if it has fewer."""
    left = size
    async for chunk in body:
        left -= len(chunk)
        if left < 0:
            raise OriginMismatch("more bytes than were announced", "length")
        yield chunk
    if left:
        raise OriginHungUp("the body ended before its announced length")


def check_end(whole: bytes) -> None:
    """Checks a body without a length: raises `OriginHungUp` if a codestream or JPEG in it was cut."""
    may_be_one = SOC.to_bytes(2, "big").startswith(whole[:2])
    if may_be_one and (fault := fault_of(whole)):
        raise OriginHungUp(f"a body that does not tell its end, and a codestream that was cut: {fault}")
    # T.81 B.1.1.3, T.87 C.1: SOI begins an image and EOI ends it; DICOM may add one byte of padding.
    if whole.startswith(b"\xff\xd8") and not whole.removesuffix(b"\0").endswith(b"\xff\xd9"):
        raise OriginHungUp("a body that does not tell its end, and a JPEG that was cut")


async def within(body: AsyncIterator[bytes], start: int, stop: int) -> AsyncIterator[bytes]:
    """The bytes `[start, stop)` of a body; the rest is not read. Raises `OriginHungUp` if it has fewer."""
    at = 0
    async for chunk in body:
        if at + len(chunk) > start:
            yield chunk[max(0, start - at) : stop - at]
        at += len(chunk)
        if at >= stop:
            return
    raise OriginHungUp("the body ended before its announced length")


async def begun(body: AsyncIterator[bytes], least: int) -> tuple[bytes, AsyncIterator[bytes]]:
    """Reads at least `least` first bytes of a body, if it has them. Returns them, and the whole body."""
    leading = b""
    async for chunk in body:
        leading += chunk
        if len(leading) >= least:
            break
    return leading, _joined(leading, body)


async def _joined(leading: bytes, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if leading:
        yield leading
    async for chunk in body:
        yield chunk


async def once(whole: bytes) -> AsyncIterator[bytes]:
    """A body in one chunk."""
    yield whole


def in_envelope(span: Span, held: Claim | None, *, has_envelope: bool) -> Span:
    """A span of the codestream as a span of the origin's representation, which may have an envelope."""
    if held is not None and held.offset:
        return Span(span.start + held.offset, (held.total if span.stop is None else span.stop) + held.offset)
    if span.stop is None or not has_envelope or span.start:
        return span
    return Span(span.start, span.stop + ENVELOPE)
