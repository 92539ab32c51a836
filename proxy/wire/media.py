"""Media types of frames, and which of them an Accept asks for (PS3.18 8.7, RFC 9110 12.5.1).

What viewers really send is looser than the grammar: parameters unquoted (`type=image/jphc;
transfer-syntax=*`), the transfer syntax inside the quoted type, a parameter twice, the word `undefined`.
"""

import re
from dataclasses import dataclass
from enum import Enum

HTJ2K = frozenset(
    {
        "1.2.840.10008.1.2.4.201",  # lossless
        "1.2.840.10008.1.2.4.202",  # lossless, RPCL
        "1.2.840.10008.1.2.4.203",  # lossy or lossless
        "3.2.840.10008.1.2.4.96",  # the same before it was a standard
    }
)
"""Transfer syntaxes whose frames are HTJ2K codestreams (PS3.5 A.4.12)."""

HTJ2K_LOSSLESS, HTJ2K_RPCL, HTJ2K_ANY = (f"1.2.840.10008.1.2.4.{last}" for last in (201, 202, 203))
"""The lossless one, the one that promises an order of resolutions too, and the one that promises nothing."""

EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
"""Not compressed; what octet-stream means."""

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
"""What a media type means without a parameter (PS3.18 table 8.7.3-5)."""

_ESCAPED = re.compile(r"\\(.)")

JPHC = "image/jphc"
"""The media type of an HTJ2K codestream (PS3.18 table 8.7.3-5)."""

_MISSPELLED = re.compile(r"image/(?:jhc|jph|j2c|jpc|htj2k)(?![\w.+-])", re.IGNORECASE)
"""What viewers' documentation has called it, in arguments."""

MAX_ACCEPT = 4096
"""Characters of an Accept that are read; no viewer sends as many."""


class Envelope(Enum):
    """How the codestream of one frame is wrapped."""

    SINGLE = "single"
    """The body is the codestream (PS3.18 8.6)."""
    MULTIPART = "multipart"
    """The body is multipart/related with one part (PS3.18 8.6)."""


@dataclass(frozen=True, slots=True)
class MediaType:
    """One media type with its parameters, names in lower case.

    >>> parse_media_type('multipart/related; type="image/jphc; transfer-syntax=*"').parameters
    {'type': 'image/jphc', 'transfer-syntax': '*'}
    """

    name: str
    """`type/subtype`, in lower case."""
    parameters: dict[str, str]
    """Unquoted values."""

    @property
    def quality(self) -> float:
        """The weight `q`, 0 to 1 (RFC 9110 12.4.2)."""
        try:
            return min(1.0, max(0.0, float(self.parameters.get("q", "1"))))
        except ValueError:
            return 0.0


def meant(accept: str) -> str:
    """An argument `accept` with the media type that it means; the header is taken at its word.

    >>> meant("image/jhc"), meant("image/jp2")
    ('image/jphc', 'image/jp2')
    """
    return _MISSPELLED.sub(JPHC, accept[:MAX_ACCEPT])


def parse_media_type(value: str) -> MediaType:
    """One media type, as leniently as viewers and origins need it. Never raises."""
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
    """The pieces between separators that stand outside quotes, in one pass."""
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
    """The transfer syntax of a body under that label; empty where nobody can tell.

    >>> transfer_syntax_of("image/jls")
    '1.2.840.10008.1.2.4.80'
    """
    media = parse_media_type(label)
    return media.parameters.get("transfer-syntax") or _DEFAULTS.get(media.name, "")


def wanted_envelope(accept: str | None, alternate: str = "") -> Envelope | None:
    """How a viewer wants its HTJ2K frame; None where it asks for something else than HTJ2K.

    With the media type of an `alternate` it is how it wants that; where it is `image/*` any of these will do.

    Without an Accept, and for `*/*`, the standard's default is multipart (PS3.18 8.7.4).

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
        envelope = _envelope_of(media, alternate)
        if envelope is not None and media.quality > (best[0] if best else 0.0):
            best = (media.quality, envelope)
    return best[1] if best else None


def _envelope_of(media: MediaType, alternate: str) -> Envelope | None:
    if media.name == "*/*":
        return Envelope.MULTIPART
    if media.name == "multipart/related":
        inner = media.parameters.get("type", JPHC).lower()
        return Envelope.MULTIPART if _is_wanted(inner, media.parameters, alternate) else None
    return Envelope.SINGLE if _is_wanted(media.name, media.parameters, alternate) else None


def _is_wanted(name: str, parameters: dict[str, str], alternate: str) -> bool:
    if not alternate:
        return _is_htj2k(name, parameters)
    kind = alternate.partition("/")[0]
    is_any = alternate.endswith("/*") and name.startswith(f"{kind}/")
    return is_any or name in (alternate, f"{kind}/*", "*/*", "application/octet-stream")


def is_htj2k(label: str) -> bool:
    """Whether a media type says that a body is an HTJ2K codestream.

    >>> is_htj2k("image/jphc"), is_htj2k("application/octet-stream;transfer-syntax=1.2.840.10008.1.2.1")
    (True, False)
    """
    media = parse_media_type(label)
    return media.name == JPHC or media.parameters.get("transfer-syntax") in HTJ2K


def _is_htj2k(name: str, parameters: dict[str, str]) -> bool:
    syntax = parameters.get("transfer-syntax")
    if name in (JPHC, "image/*"):
        return syntax is None or syntax == "*" or syntax in HTJ2K
    # Without a transfer syntax, octet-stream means Explicit VR Little Endian (PS3.18 8.7.3.5).
    return name in ("application/octet-stream", "*/*") and (syntax == "*" or syntax in HTJ2K)
