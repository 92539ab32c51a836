"""Text that is labelled as a frame: the login page of something between, or an error in words; pure.

No codec's bytes begin like that. Raw pixels can be letters by chance, so of them only markup at the start
counts, or an answer that is shorter than any picture and all text.
"""

import codecs
import re

from proxy.wire.media import parse_media_type

SHORT = 1024
"""Bytes; raw pixels of fewer, which are a text from end to end, are no picture."""

_MARKUP = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<(?:!doctype|\?xml|html|head|body|title|script)\b|<!--|[\[{]\s*[\"{])", re.I
)
_NO_TEXT = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")


def is_text(label: str, leading: bytes, total: int) -> bool:
    """Whether a frame of `total` bytes, of which these are the first, is a text under another label.

    >>> is_text("image/jphc", b"Please log in", 13), is_text("image/jphc", b"\\xff\\x4f\\xff\\x51", 900)
    (True, False)
    """
    if not leading or _NO_TEXT.search(leading):
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(leading, final=len(leading) == total)
    except UnicodeDecodeError:
        return False
    if _MARKUP.match(leading):
        return True
    is_raw = parse_media_type(label).name == "application/octet-stream"
    return total < SHORT if is_raw else True
