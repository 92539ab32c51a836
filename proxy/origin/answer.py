"""Decides if an origin's response to a fetch can be believed; pure.

A 206 counts only if its status, its Content-Range, the total, the validator and the length agree with
what was asked and with what is held. A 200 to a later range counts if a strong validator says that it is
the same version. It also counts if there is no validator: then it has to begin with the bytes that are
held. Doubt is an error with a reason, never a guess.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from time import time

from proxy.errors import Loop, OriginBusy, OriginChanged, OriginFailed, OriginMismatch, OriginRefused
from proxy.frame.identity import Claim, Lease
from proxy.origin.freshness import lease_of
from proxy.wire.media import MediaType, parse_media_type
from proxy.wire.ranges import Span, parse_content_range

_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]*"')
_TYPE = re.compile(r"(image|video)/[a-z0-9.+-]+|application/octet-stream", re.ASCII)
_SYNTAX = re.compile(r"[0-9.]{1,64}", re.ASCII)
_UNDONE = ("gzip", "deflate")
_DIGITS = re.compile(r"[0-9]{1,15}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Believed:
    """The part of an answer that is known before its body."""

    media: MediaType
    """Its Content-Type."""
    start: int
    """First byte of the body, in the representation."""
    stop: int | None
    """One past its last byte; None where the origin did not say."""
    total: int | None
    """Bytes of the whole; None where the origin did not say."""
    validator: str | None
    """Fit for If-Range."""
    lease: Lease
    """For how long it may be used again."""
    has_ranges: bool = False
    """True if it says that it answers ranges (RFC 9110 14.3)."""


def believe(
    status: int, headers: Mapping[str, str], span: Span, held: Claim | None, *, is_trusted: bool = False
) -> Believed:
    """Checks status and headers against the span asked for, of the representation, and the claim held.

    An origin may be trusted that its frames do not change, whatever its Cache-Control says.

    Raises `OriginRefused`, `OriginFailed`, `OriginMismatch`, or `OriginChanged` where the bytes held
    are of another version.
    """
    check_status(status, headers, held)
    coding = headers.get("content-encoding", "identity").lower()
    is_coded = coding != "identity"
    # A range of a coded body has bytes of the code; whole ones are undone, if we can.
    if is_coded and (status == 206 or coding not in _UNDONE):
        raise OriginMismatch("a content coding where none was accepted", "encoding")
    validator = strong_validator(headers)
    lease = lease_of(headers, is_trusted=is_trusted)
    media = parse_media_type(headers.get("content-type", ""))
    length = None if is_coded else _length(headers)
    if status == 200:
        if span.start > 0:
            if held is None or (held.validator is not None and validator != held.validator):
                raise OriginChanged("the whole frame instead of its rest", "validator")
            if length is not None and not held.is_of(length):
                raise OriginChanged("another length than before", "total")
            return Believed(media, 0, held.size, held.size, validator, lease)
        is_ranged = span != Span(0, None)
        is_other = held is not None and length is not None and not held.is_of(length)
        if held is not None and (is_ranged or validator != held.validator or is_other):
            raise OriginChanged("the whole frame where a part was asked for, or another one", "validator")
        has_ranges = not is_coded and headers.get("accept-ranges", "").lower() == "bytes"
        return Believed(media, 0, length, length, validator, lease, has_ranges)
    start, stop, total = _partial(headers, span, length)
    if held is not None:
        if not held.is_of(total):
            raise OriginChanged("another total than before", "total")
        if held.validator and validator and validator != held.validator:
            raise OriginChanged("another validator than before", "validator")
    return Believed(media, start, stop, total, validator, lease, has_ranges=True)


def check_status(status: int, headers: Mapping[str, str], held: Claim | None = None) -> None:
    """Raises the error for a status that is neither 200 nor 206."""
    if status in (200, 206):
        return
    if status == 416 and held is not None:
        raise OriginChanged("bytes that were announced are not there", "total")
    if status == 416:
        raise OriginMismatch("no first byte", "content_range")
    if status in (429, 502, 503, 504):
        raise OriginBusy(status, _retry_after(headers))
    if status == 508:
        raise Loop("the origin, or a proxy before it, met a ring")
    if 400 <= status < 500:
        raise OriginRefused(status, headers.get("www-authenticate"))
    raise OriginFailed(f"the origin answered {status}")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, as a number or until a date (RFC 9110 10.2.3)."""
    value = headers.get("retry-after", "")
    if re.fullmatch(r"[0-9]{1,6}", value, re.ASCII):
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    except (ValueError, TypeError, OverflowError):
        return None


def _partial(headers: Mapping[str, str], span: Span, length: int | None) -> tuple[int, int, int]:
    said = parse_content_range(headers.get("content-range", ""))
    if said is None or said.total is None:
        raise OriginMismatch("a 206 without a usable Content-Range", "content_range")
    wanted = said.total if span.stop is None else min(span.stop, said.total)
    if span == Span(0, None) or said.start != span.start or said.stop != wanted:
        raise OriginMismatch("another range than was asked for", "content_range")
    if length is not None and length != said.stop - said.start:
        raise OriginMismatch("Content-Length contradicts Content-Range", "length")
    return said.start, said.stop, said.total


def _length(headers: Mapping[str, str]) -> int | None:
    value = headers.get("content-length", "")
    return int(value) if _DIGITS.fullmatch(value) else None


def ends_with_connection(headers: Mapping[str, str], version: str) -> bool:
    """True if nothing but the end of its connection ends a body, as when it was cut (RFC 9112 6.3).

    >>> ends_with_connection({"connection": "close"}, "HTTP/1.1"), ends_with_connection({}, "HTTP/2")
    (True, False)
    """
    is_told = "content-length" in headers or "transfer-encoding" in headers
    return version.startswith("HTTP/1") and not is_told


def strong_validator(headers: Mapping[str, str]) -> str | None:
    """The validator for If-Range: a strong ETag, else a Last-Modified that is strong (RFC 9110 8.8.2.2).

    >>> strong_validator({"etag": '"a"'}), strong_validator({"etag": 'W/"a"'})
    ('"a"', None)
    """
    etag = headers.get("etag", "")
    if etag:
        return etag if _STRONG_ETAG.fullmatch(etag) else None
    modified = headers.get("last-modified", "")
    try:
        age = parsedate_to_datetime(headers.get("date", "")) - parsedate_to_datetime(modified)
    except (ValueError, TypeError, OverflowError):
        return None
    return modified if age >= timedelta(seconds=1) else None


def label_of(media: MediaType) -> str:
    """The media type as it stands in our part headers: one parameter, no space. Raises `OriginMismatch`.

    >>> label_of(parse_media_type('image/jphc; transfer-syntax="1.2.840.10008.1.2.4.202"'))
    'image/jphc;transfer-syntax=1.2.840.10008.1.2.4.202'
    """
    if _TYPE.fullmatch(media.name) is None:
        raise OriginMismatch("a media type that no frame has", "media_type")
    syntax = media.parameters.get("transfer-syntax", "")
    return f"{media.name};transfer-syntax={syntax}" if _SYNTAX.fullmatch(syntax) else media.name
