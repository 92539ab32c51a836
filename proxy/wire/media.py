"""Media types of frames, and how an Accept header selects one (PS3.18 8.7, RFC 9110 12.5.1).

Viewers are looser than the grammar. They send unquoted parameters (`type=image/jphc; transfer-syntax=*`), the
transfer syntax inside the quoted type, a parameter twice, or the word `undefined`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

HTJ2K = frozenset(
    {
        "1.2.840.10008.1.2.4.201",  # lossless
        "1.2.840.10008.1.2.4.202",  # lossless, RPCL
        "1.2.840.10008.1.2.4.203",  # lossy or lossless
        "3.2.840.10008.1.2.4.96",  # its private UID before standardization
    }
)
"""Transfer syntaxes whose frames are HTJ2K codestreams (PS3.5 A.4.12)."""

HTJ2K_LOSSLESS, HTJ2K_RPCL, HTJ2K_ANY = (f"1.2.840.10008.1.2.4.{last}" for last in (201, 202, 203))
"""Lossless; lossless with a guaranteed resolution order (RPCL); and lossy or lossless without a guarantee."""

EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
"""Uncompressed pixels; the meaning of application/octet-stream."""

UNCOMPRESSED = frozenset({"1.2.840.10008.1.2", EXPLICIT_LITTLE_ENDIAN, "1.2.840.10008.1.2.2"})
"""Transfer syntaxes of pixels that are not compressed."""

_DEFAULTS = {
    "image/jpeg": "1.2.840.10008.1.2.4.70",
    "image/dicom-rle": "1.2.840.10008.1.2.5",
    "image/x-dicom-rle": "1.2.840.10008.1.2.5",
    "image/jls": "1.2.840.10008.1.2.4.80",
    "image/x-jls": "1.2.840.10008.1.2.4.80",
    "image/jp2": "1.2.840.10008.1.2.4.90",
    "image/jphc": HTJ2K_LOSSLESS,
    "application/octet-stream": EXPLICIT_LITTLE_ENDIAN,
}
"""The transfer syntax of a media type without a parameter (PS3.18 table 8.7.3-5)."""

_ESCAPED = re.compile(r"\\(.)")

JPHC = "image/jphc"
"""The media type of an HTJ2K codestream (PS3.18 table 8.7.3-5)."""

_MISSPELLED = re.compile(r"image/(?:jhc|jph|j2c|jpc|htj2k)(?![\w.+-])", re.IGNORECASE)
"""Names that viewers' documentation has used for image/jphc in the `accept` argument."""

MAX_ACCEPT = 4096
"""Characters of an Accept header that are read; no viewer sends as many."""


class Envelope(Enum):
    """How the codestream of one frame is wrapped."""

    SINGLE = "single"
    """The body is the codestream (PS3.18 8.6)."""
    MULTIPART = "multipart"
    """The body is multipart/related with one part (PS3.18 8.6)."""


@dataclass(frozen=True, slots=True)
class MediaType:
    """A media type and its parameters.

    >>> parse_media_type('multipart/related; type="image/jphc; transfer-syntax=*"').parameters
    {'type': 'image/jphc', 'transfer-syntax': '*'}
    """

    name: str
    """`type/subtype`, in lower case."""
    parameters: Mapping[str, str]
    """Values by lower-case parameter name, unquoted."""

    @property
    def quality(self) -> float:
        """Returns the weight `q`, 0 to 1 (RFC 9110 12.4.2)."""
        try:
            return min(1.0, max(0.0, float(self.parameters.get("q", "1"))))
        except ValueError:
            return 0.0


def meant(accept: str) -> str:
    """Corrects a misspelled media type in the argument `accept`. Headers are not corrected.

    >>> meant("image/jhc"), meant("image/jp2")
    ('image/jphc', 'image/jp2')
    """
    return _MISSPELLED.sub(JPHC, accept[:MAX_ACCEPT])


@lru_cache(maxsize=256)  # the same few come with each request and each response
def parse_media_type(value: str) -> MediaType:
    """Parses one media type, as leniently as viewers and origins need. Never raises."""
    first, *rest = split_at(value, ";")
    parameters: dict[str, str] = {}
    for piece in rest:
        name, _, text = (part.strip() for part in piece.partition("="))
        if len(text) > 1 and text[0] == text[-1] == '"':
            text = _ESCAPED.sub(r"\1", text[1:-1])
        text, *inner = text.split(";")
        parameters.setdefault(name.lower(), text.strip())
        for more in inner:  # the transfer syntax inside the quoted type, as Orthanc writes it
            name, _, inside = more.partition("=")
            parameters.setdefault(name.strip().lower(), inside.strip())
    return MediaType(first.strip().lower(), parameters)


def split_at(value: str, separator: str) -> list[str]:
    """Splits at separators outside quotes, in one pass."""
    pieces, start, is_quoted, is_escaped = [], 0, False, False
    for at, character in enumerate(value):
        if is_escaped:
            is_escaped = False
        elif is_quoted and character == "\\":
            is_escaped = True
        elif character == '"':
            is_quoted = not is_quoted
        elif character == separator and not is_quoted:
            pieces.append(value[start:at])
            start = at + 1
    return [*pieces, value[start:]]


def transfer_syntax_of(label: str) -> str:
    """Returns the transfer syntax that a Content-Type implies; empty if it implies none.

    >>> transfer_syntax_of("image/jls")
    '1.2.840.10008.1.2.4.80'
    """
    media = parse_media_type(label)
    return media.parameters.get("transfer-syntax") or _DEFAULTS.get(media.name, "")


@lru_cache(maxsize=64)
def wanted_envelope(accept: str | None, alternate: str = "") -> Envelope | None:
    """Chooses the envelope for an HTJ2K frame; None if the viewer accepts no HTJ2K.

    If `alternate` is given, the choice is for that media type instead; `image/*` stands for any image.

    The default is multipart, without an Accept and for `*/*` (PS3.18 8.7.4).

    >>> wanted_envelope("image/jphc")
    <Envelope.SINGLE: 'single'>
    >>> wanted_envelope("multipart/related; type=application/octet-stream; transfer-syntax=*")
    <Envelope.MULTIPART: 'multipart'>
    >>> wanted_envelope("image/png") is None
    True
    """
    if accept is None or accept.strip() in ("", "undefined"):
        return Envelope.MULTIPART
    best: tuple[float, Envelope] | None = None
    for text in split_at(accept[:MAX_ACCEPT], ","):
        media = parse_media_type(text)
        envelope = envelope_of(media, alternate)
        if envelope is not None and media.quality > (best[0] if best else 0.0):
            best = (media.quality, envelope)
    return best[1] if best else None


def envelope_of(media: MediaType, alternate: str = "") -> Envelope | None:
    """The envelope that one media type of an Accept header asks for; None if it is not for this frame."""
    if media.name == "*/*":
        return Envelope.MULTIPART
    if media.name == "multipart/related":
        inner = media.parameters.get("type", JPHC).lower()
        return Envelope.MULTIPART if _is_wanted(inner, media.parameters, alternate) else None
    return Envelope.SINGLE if _is_wanted(media.name, media.parameters, alternate) else None


def _is_wanted(name: str, parameters: Mapping[str, str], alternate: str) -> bool:
    if not alternate:
        return _is_htj2k(name, parameters)
    kind = alternate.partition("/")[0]
    is_any = alternate.endswith("/*") and name.startswith(f"{kind}/")
    return is_any or name in (alternate, f"{kind}/*", "*/*", "application/octet-stream")


def is_htj2k(label: str) -> bool:
    """True if a Content-Type says that the body is an HTJ2K codestream.

    >>> is_htj2k("image/jphc"), is_htj2k("application/octet-stream;transfer-syntax=1.2.840.10008.1.2.1")
    (True, False)
    """
    media = parse_media_type(label)
    return media.name == JPHC or media.parameters.get("transfer-syntax") in HTJ2K


def _is_htj2k(name: str, parameters: Mapping[str, str]) -> bool:
    syntax = parameters.get("transfer-syntax")
    if name in (JPHC, "image/*"):
        return syntax is None or syntax == "*" or syntax in HTJ2K
    # Without a transfer syntax, octet-stream means Explicit VR Little Endian (PS3.18 8.7.3.5).
    return name in ("application/octet-stream", "*/*") and (syntax == "*" or syntax in HTJ2K)
