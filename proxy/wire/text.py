"""Text that is labelled as a frame: the login page of something between, or an error in words; pure.

No codec's bytes begin like that. Raw pixels can be letters by chance, so of them only markup at the start
counts, or an answer that is shorter than any picture and all text.
"""

import codecs
import re

from proxy.wire.media import parse_media_type

SHORT = 1024
"""Bytes; raw pixels of fewer, which are a text from end to end, are no picture."""

_PAGE = re.compile(rb"\s*<(?:!doctype|\?xml|html|head|body|title|script)\b", re.I)
"""A beginning that pixels do not have by chance, whatever follows."""
_MARKUP = re.compile(rb"\s*(?:<(?:[a-z][\w:.-]*[\s/>]|!--)|[\[{]\s*[\"{])", re.I)
_NO_TEXT = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_WIDE = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def is_text(label: str, leading: bytes, total: int) -> bool:
    """Whether a frame of `total` bytes, of which these are the first, is a text under another label.

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
