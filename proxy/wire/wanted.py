"""The forms of a frame that a viewer accepts, best first (PS3.18 8.7.4, RFC 9110 12.5.1). Pure.

A *form* is a media type, with the transfer syntax if the viewer names one, such as `image/jls` or
`application/octet-stream;transfer-syntax=1.2.840.10008.1.2.4.80`. The empty form is HTJ2K. A viewer that
leaves the choice open gets that too, or the stored frame if the origin has no HTJ2K. If the proxy makes HTJ2K
of all other frames of an origin, the stored frame has a form of its own.

Only the media types and transfer syntaxes of PS3.18 table 8.7.3-5 are forms, so there are few of them. The
origin itself answers a request for anything else.
"""

from dataclasses import dataclass
from functools import lru_cache

from proxy.errors import NotAcceptable
from proxy.wire.media import (
    EXPLICIT_LITTLE_ENDIAN,
    MAX_ACCEPT,
    UNCOMPRESSED,
    Envelope,
    MediaType,
    envelope_of,
    parse_media_type,
    split_at,
    wanted_envelope,
)

OCTETS = "application/octet-stream"
STORED = "*"
"""The form of a frame as the origin stores it, where the empty form is HTJ2K only."""
MOST_FORMS = 4
"""Forms of one request that are tried; no viewer names as many."""

_UID = "1.2.840.10008.1.2"
_JPEG = frozenset(f"{_UID}.4.{last}" for last in (50, 51, 57, 70))
_JPEG_LS = frozenset(f"{_UID}.4.{last}" for last in (80, 81))
_JPEG_2000 = frozenset(f"{_UID}.4.{last}" for last in (90, 91))
_JPEG_2000_PARTS = frozenset(f"{_UID}.4.{last}" for last in (92, 93))
_JPEG_XL = frozenset(f"{_UID}.4.{last}" for last in (110, 111, 112))
_RLE = frozenset({f"{_UID}.5"})

SYNTAXES: dict[str, frozenset[str]] = {
    "image/jpeg": _JPEG,
    "image/jls": _JPEG_LS,
    "image/x-jls": _JPEG_LS,
    "image/jp2": _JPEG_2000,
    "image/jpx": _JPEG_2000_PARTS,
    "image/jxl": _JPEG_XL,
    "image/dicom-rle": _RLE,
    "image/x-dicom-rle": _RLE,
    OCTETS: UNCOMPRESSED | _JPEG | _JPEG_LS | _JPEG_2000 | _JPEG_2000_PARTS | _JPEG_XL | _RLE,
}
"""The transfer syntaxes of each media type that is not HTJ2K."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One form that a viewer accepts."""

    form: str
    """The form; empty for HTJ2K."""
    envelope: Envelope
    """The envelope around it."""


@lru_cache(maxsize=64)
def wanted_forms(accept: str | None) -> tuple[Wanted, ...]:
    """The forms that a viewer accepts, by weight; empty if the proxy knows none of them.

    If two have the same weight, HTJ2K goes first, then the one that comes first.

    >>> [wanted.form for wanted in wanted_forms("image/jls, image/jphc;q=0.5, image/png")]
    ['image/jls', '']
    >>> wanted_forms("multipart/related; type=image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50")[0].form
    'image/jpeg;transfer-syntax=1.2.840.10008.1.2.4.50'
    """
    found: dict[str, tuple[float, Envelope]] = {}
    for text in split_at((accept or "")[:MAX_ACCEPT], ","):
        media = parse_media_type(text)
        wanted = _wanted(media)
        if wanted is not None and media.quality > found.get(wanted.form, (0.0,))[0]:
            found[wanted.form] = media.quality, wanted.envelope
    if not found and (envelope := wanted_envelope(accept)) is not None:
        return (Wanted("", envelope),)  # a viewer without a usable Accept
    ranked = sorted(found, key=lambda form: (-found[form][0], form != ""))
    return tuple(Wanted(form, found[form][1]) for form in ranked[:MOST_FORMS])


def first_form(accept: str | None) -> str:
    """The form that a plan fetches for viewers that send this `Accept`; None stands for HTJ2K.

    Raises `NotAcceptable` if no form has such a media type.
    """
    forms = wanted_forms(accept)
    if not forms:
        raise NotAcceptable("accept names no media type of frames that the proxy keeps")
    return forms[0].form


@lru_cache(maxsize=64)
def stored_envelope(accept: str | None) -> Envelope | None:
    """The envelope for a stored frame, if a viewer accepts whatever form that has; else None.

    >>> stored_envelope("application/octet-stream; transfer-syntax=*")
    <Envelope.SINGLE: 'single'>
    >>> stored_envelope("image/jphc") is None
    True
    """
    for text in split_at((accept or "*/*")[:MAX_ACCEPT], ","):
        media = parse_media_type(text)
        name = media.parameters.get("type", "") if media.name == "multipart/related" else media.name
        is_any = name == "*/*" or (name.lower() == OCTETS and media.parameters.get("transfer-syntax") == "*")
        if is_any and media.quality > 0:
            return envelope_of(media)
    return None


def syntax_of(form: str) -> str:
    """The transfer syntax that a form names; empty if it names none, or any.

    >>> syntax_of("image/jls"), syntax_of("image/jls;transfer-syntax=*")
    ('', '')
    """
    syntax = parse_media_type(form).parameters.get("transfer-syntax", "")
    return "" if syntax == "*" else syntax


def _wanted(media: MediaType) -> Wanted | None:
    envelope = envelope_of(media)
    if envelope is not None:
        return Wanted("", envelope)
    name, envelope = media.name, Envelope.SINGLE
    if name == "multipart/related":
        name, envelope = media.parameters.get("type", "").lower(), Envelope.MULTIPART
    syntax, known = media.parameters.get("transfer-syntax"), SYNTAXES.get(name, frozenset())
    if name == OCTETS and syntax == EXPLICIT_LITTLE_ENDIAN:
        syntax = None  # the type means it without a parameter (PS3.18 8.7.3.5)
    if not known or syntax not in (None, "*", *known):
        return None
    return Wanted(name if syntax is None else f"{name};transfer-syntax={syntax}", envelope)
