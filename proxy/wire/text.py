"""Recognises text that is labelled as a frame, such as a gateway's login page or an error message. Pure.

No codec's bytes start like text. Raw pixels can be letters by chance. They count as text only if they start
with markup, or if the whole response is text and shorter than any picture.
"""

import codecs
import re

from proxy.wire.media import parse_media_type

SHORT = 1024
"""Bytes; raw pixels that are shorter and entirely text are no picture."""

_PAGE = re.compile(rb"\s*<(?:!doctype|\?xml|html|head|body|title|script)\b", re.I)
"""A beginning that pixels do not have by chance, whatever follows."""
_MARKUP = re.compile(rb"\s*(?:<(?:[a-z][\w:.-]*[\s/>]|!--)|[\[{]\s*[\"{])", re.I)
_NO_TEXT = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_WIDE = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def is_text(label: str, leading: bytes, total: int) -> bool:
    """True if a frame of `total` bytes that starts with `leading` is text under another label.

    >>> is_text("image/jphc", b"Please log in", 13), is_text("image/jphc", b"\\xff\\x4f\\xff\\x51", 900)
    (True, False)
    """
    begun = _narrow(leading).removeprefix(codecs.BOM_UTF8)
    if _PAGE.match(begun):
        return True
    if not leading or _NO_TEXT.search(leading):
        return False
    if parse_media_type(label).name != "application/octet-stream":
        return not leading.startswith(b"\xff")  # a codec's header has bytes that no text has, in any charset
    return (total < SHORT or _MARKUP.match(begun) is not None) and _is_utf8(
        leading, is_whole=len(leading) == total
    )


def _narrow(leading: bytes) -> bytes:
    """The same, if it is UTF-16, in a byte a character."""
    wide = _WIDE.get(leading[:2])
    return leading[2:].decode(wide, "replace").encode("latin-1", "replace") if wide else leading


def _is_utf8(leading: bytes, *, is_whole: bool) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(leading, final=is_whole)
    except UnicodeDecodeError:
        return False
    return True
