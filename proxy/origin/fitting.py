"""Checks that an origin sent the form of a frame that was asked for, by its label and by the bytes; pure."""

from proxy.origin.signature import kind_of
from proxy.wire.media import EXPLICIT_LITTLE_ENDIAN, UNCOMPRESSED, parse_media_type, transfer_syntax_of
from proxy.wire.wanted import OCTETS, SYNTAXES, syntax_of

_SHOWN = ("image/jpeg", "image/jls", "image/jp2")
"""Media types whose codestreams show what they are."""
_ALIKE = {"image/x-jls": "image/jls", "image/x-dicom-rle": "image/dicom-rle", "image/jpx": "image/jp2"}
"""Other names of media types, and those whose codestreams begin alike."""
_FITTING = {
    "1.2.840.10008.1.2.4.51": ("1.2.840.10008.1.2.4.50",),  # extended decoders read baseline (T.81 4.11)
    "1.2.840.10008.1.2.4.57": ("1.2.840.10008.1.2.4.70",),  # the same start of frame
    "1.2.840.10008.1.2.4.81": ("1.2.840.10008.1.2.4.80",),  # the same start of frame
    "1.2.840.10008.1.2.4.91": ("1.2.840.10008.1.2.4.90",),  # may be reversible
    "1.2.840.10008.1.2.4.92": ("1.2.840.10008.1.2.4.90",),
    "1.2.840.10008.1.2.4.93": ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"),
}
"""By transfer syntax, others that its first bytes may show as well."""


def fitted(form: str, label: str, leading: bytes) -> str | None:
    """The media type to keep a frame with that was asked for in a form; None if it is in another form.

    `label` is what the origin says, `leading` the first bytes. The bytes decide if they show a codestream. An
    origin may call any frame octet-stream; then it is kept under the media type that was asked for.

    >>> fitted("image/jls", "application/octet-stream", bytes.fromhex("ffd8fff7000b10"))
    'image/jls'
    >>> fitted("image/jls", "image/jls", bytes.fromhex("ffd8ffc0000b08")) is None
    True
    """
    wanted, said = parse_media_type(form), parse_media_type(label)
    syntax, told = syntax_of(form), said.parameters.get("transfer-syntax", "")
    if told and told not in ({syntax} if syntax else _allowed(form)):
        return None
    meant = _family(wanted.name, syntax or told)
    if said.name != OCTETS and _family(said.name, told or syntax) != meant:
        return None
    if not _shows(kind_of(leading), meant, syntax or told):
        return None
    if meant not in _SHOWN and not _is_told(form, said.name, told):
        return None
    is_exact = said.name == wanted.name and (told or not syntax)
    return label if is_exact else form.removesuffix(";transfer-syntax=*")


def _allowed(form: str) -> frozenset[str]:
    """The transfer syntaxes that a form without one stands for."""
    return UNCOMPRESSED if form == OCTETS else SYNTAXES[form.partition(";")[0]]


def _family(name: str, syntax: str) -> str:
    """The media type of codestreams; empty for pixels that are not compressed."""
    if name == OCTETS:
        names = (each for each, syntaxes in SYNTAXES.items() if each != OCTETS and syntax in syntaxes)
        name = next(names, "")
    return _ALIKE.get(name, name)


def _shows(kind: str, meant: str, syntax: str) -> bool:
    """True if the first bytes, which show a `kind` of codestream, can be of that family and syntax."""
    shown = kind.partition(";")[0]
    if meant not in _SHOWN:
        return not shown
    seen = parse_media_type(kind).parameters.get("transfer-syntax", "")
    return shown == meant and (not (seen and syntax) or seen in (syntax, *_FITTING.get(syntax, ())))


def _is_told(form: str, name: str, told: str) -> bool:
    """True if an origin names what the bytes do not show: pixels, RLE, JPEG XL."""
    if name != OCTETS or told:
        return True
    # Without a parameter, octet-stream means Explicit VR Little Endian (PS3.18 8.7.3.5).
    return (syntax_of(form) or transfer_syntax_of(form)) == EXPLICIT_LITTLE_ENDIAN
