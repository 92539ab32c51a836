"""An origin's multipart answer, taken apart while it arrives, so that its first picture leaves at once.

What lies behind the codestream is known by its length alone: the delimiter is in the first line of the body,
but some origins leave out its closing dashes, some write a line break after them, and some codestreams
have a byte of padding. So the length of the codestream is what the part's own Content-Length says, or
what fits both the body's length and what the codestream says of itself. Where nothing fits, the body
is read to its end first.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from proxy.cache.frame import Claim
from proxy.codestream.layout import read_layout
from proxy.codestream.markers import SOC
from proxy.codestream.whole import fault_of
from proxy.errors import CodestreamError, OriginHungUp, OriginMismatch
from proxy.wire.media import MediaType
from proxy.wire.multipart import PartReader
from proxy.wire.ranges import Span

ENVELOPE = 512
"""Bytes that a first fetch is longer by where it has an envelope around it."""
LEADING = 16384
"""Bytes of a codestream in which it has to say how long it is; else its part is read to its end."""
MOST_AROUND = 16384
"""Bytes of an envelope at most."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a multipart body, as far as it has arrived."""

    media: MediaType
    """Its own Content-Type."""
    offset: int
    """Bytes of the body before it."""
    total: int
    """Bytes of all of it."""
    chunks: AsyncIterator[bytes]
    """What arrives of it, and, where the body is a range, no more than the range has."""


async def take_apart(body: AsyncIterator[bytes], have: int | None, total: int | None) -> Part:
    """The first part of a body of `total` bytes, of which the first `have` arrive; None is not told.

    Raises `OriginMismatch` for what is no multipart, and for a range that does not tell its part's length.
    """
    reader, leading, length = PartReader(), b"", None
    async for chunk in body:
        if reader.media_type is None:
            leading = reader.feed(chunk)
            leading += b"" if reader.is_done else reader.finish_if_begun()
        else:
            leading += chunk
        if reader.media_type is not None:
            length = len(leading) if reader.is_done else _length(reader, leading, total)
            if length is not None or len(leading) > LEADING:
                break
    if reader.media_type is None:
        raise OriginMismatch("a multipart body without a part", "multipart")
    if length is not None:
        return Part(reader.media_type, reader.offset, length, _raw(leading, body, length))
    if have != total:
        raise OriginMismatch("a range of a multipart body that does not tell its part's length", "multipart")
    whole = b"".join([leading, *[chunk async for chunk in body]])
    at = whole.find(reader.delimiter)
    if at < 0:
        check_end(whole)
    else:
        whole = whole[:at]
    return Part(reader.media_type, reader.offset, len(whole), _raw(whole, body, len(whole)))


def _length(reader: PartReader, leading: bytes, total: int | None) -> int | None:
    """Bytes of the part, if they can be told by now."""
    if total is None:
        return reader.length
    most = total - reader.offset - len(reader.delimiter)
    fitting = {most - dashes_and_break for dashes_and_break in (0, 2, 4)}
    if reader.length in fitting:
        return reader.length
    told = _told(leading)
    return None if told is None else next((each for each in (told, told + 1) if each in fitting), None)


def _told(leading: bytes) -> int | None:
    """What a codestream says of its own length."""
    try:
        layout = read_layout(leading)
    except CodestreamError:
        return None
    return layout.total if layout else None


async def _raw(leading: bytes, body: AsyncIterator[bytes], length: int) -> AsyncIterator[bytes]:
    left = length - len(leading)
    if leading[:length]:
        yield leading[:length]
    async for chunk in body:
        if left > 0:
            yield chunk[:left]
        left -= len(chunk)
        if left < -MOST_AROUND:
            raise OriginMismatch("more bytes than were announced", "length")


async def exactly(body: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    """A body that has to have so many bytes. Raises `OriginMismatch` for more, `OriginHungUp` for fewer."""
    left = size
    async for chunk in body:
        left -= len(chunk)
        if left < 0:
            raise OriginMismatch("more bytes than were announced", "length")
        yield chunk
    if left:
        raise OriginHungUp("the body ended before its announced length")


def check_end(whole: bytes) -> None:
    """For a body whose end nothing tells: sees that a codestream was not cut. Raises `OriginHungUp`."""
    may_be_one = SOC.to_bytes(2, "big").startswith(whole[:2])
    if may_be_one and (fault := fault_of(whole)):
        raise OriginHungUp(f"a body that does not tell its end, and a codestream that was cut: {fault}")


async def within(body: AsyncIterator[bytes], start: int, stop: int) -> AsyncIterator[bytes]:
    """The bytes `[start, stop)` of a body, which is not read further. Raises `OriginHungUp` for fewer."""
    at = 0
    async for chunk in body:
        if at + len(chunk) > start:
            yield chunk[max(0, start - at) : stop - at]
        at += len(chunk)
        if at >= stop:
            return
    raise OriginHungUp("the body ended before its announced length")


async def once(whole: bytes) -> AsyncIterator[bytes]:
    """A body that is there."""
    yield whole


def in_envelope(span: Span, held: Claim | None, *, has_envelope: bool) -> Span:
    """A span of the codestream as one of the origin's representation."""
    if held is not None and held.offset:
        return Span(span.start + held.offset, (held.total if span.stop is None else span.stop) + held.offset)
    if span.stop is None or not has_envelope or span.start:
        return span
    return Span(span.start, span.stop + ENVELOPE)
