"""Checks of an origin's response to a fetch; pure.

A 206 is accepted only if its Content-Range, total, validator and length agree with the request and with the
bytes held. A 200 to a later range is accepted only if a strong validator shows that it is the same version,
because then it contains that range. A response in doubt is an error with a reason; the proxy never guesses.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from time import time

from proxy.errors import Loop, OriginBusy, OriginChanged, OriginFailed, OriginMismatch, OriginRefused
from proxy.frame.identity import Claim, Lease
from proxy.origin.freshness import condition_of, lease_of
from proxy.wire.media import MediaType, parse_media_type
from proxy.wire.ranges import Span, parse_content_range

_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]*"')
_TYPE = re.compile(r"(image|video)/[a-z0-9.+-]+|application/octet-stream", re.ASCII)
_SYNTAX = re.compile(r"[0-9.]{1,64}", re.ASCII)
_UNDONE = ("gzip", "deflate")
_DIGITS = re.compile(r"[0-9]{1,15}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Believed:
    """The facts of a response that are known before its body."""

    media: MediaType
    """The Content-Type of the response."""
    start: int
    """Offset of the first byte of the body in the representation."""
    stop: int | None
    """One past the last byte; None if the origin did not say."""
    total: int | None
    """Bytes of the whole representation; None if the origin did not say."""
    validator: str | None
    """A validator fit for If-Range (RFC 9110 13.1.5); None if there is none."""
    lease: Lease
    """How long the response may be reused."""
    has_ranges: bool = False
    """True if the origin says that it supports ranges (RFC 9110 14.3)."""


def believe(
    status: int, headers: Mapping[str, str], span: Span, held: Claim | None, *, is_trusted: bool = False
) -> Believed:
    """Checks status and headers against the requested span of the representation, and against the claim held.

    If the origin `is_trusted`, its frames do not change, even if its Cache-Control says that they may.

    Raises `OriginRefused`, `OriginFailed`, `OriginMismatch`, or `OriginChanged` if the bytes held are of
    another version.
    """
    check_status(status, headers, held)
    coding = headers.get("content-encoding", "identity").lower()
    is_coded = coding != "identity"
    # A range of a coded body can't be decoded. A whole coded body is decoded if the proxy knows the coding.
    if is_coded and (status == 206 or coding not in _UNDONE):
        raise OriginMismatch("a content coding that the proxy did not accept", "encoding")
    validator = strong_validator(headers)
    lease = lease_of(headers, condition_of(headers, validator), is_trusted=is_trusted)
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
            raise OriginChanged("another version, or the whole frame instead of a part", "validator")
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
        raise Loop("the origin, or a proxy in front of it, found a loop")
    if 400 <= status < 500:
        raise OriginRefused(status, headers.get("www-authenticate"))
    raise OriginFailed(f"the origin answered {status}", is_outage=status >= 500)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from a number or until a date (RFC 9110 10.2.3); None if the header has neither."""
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
    """True if only the end of the connection ends the body, so a cut can't be seen (RFC 9112 6.3).

    >>> ends_with_connection({"connection": "close"}, "HTTP/1.1"), ends_with_connection({}, "HTTP/2")
    (True, False)
    """
    is_told = "content-length" in headers or "transfer-encoding" in headers
    return version.startswith("HTTP/1") and not is_told


def strong_validator(headers: Mapping[str, str]) -> str | None:
    """The validator for If-Range: a strong ETag, else a strong Last-Modified (RFC 9110 8.8.2.2).

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
    """The media type as the proxy writes it: one parameter, no space. Raises `OriginMismatch`.

    >>> label_of(parse_media_type('image/jphc; transfer-syntax="1.2.840.10008.1.2.4.202"'))
    'image/jphc;transfer-syntax=1.2.840.10008.1.2.4.202'
    """
    if _TYPE.fullmatch(media.name) is None:
        raise OriginMismatch("a media type that no frame has", "media_type")
    syntax = media.parameters.get("transfer-syntax", "")
    return f"{media.name};transfer-syntax={syntax}" if _SYNTAX.fullmatch(syntax) else media.name
