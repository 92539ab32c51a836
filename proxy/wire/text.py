"""Recognises text that is labelled as a frame, such as a gateway's login page or an error message. Pure.

No codec's bytes start like text. Raw pixels can be letters by chance. They count as text only if they start
with markup, or if the whole response is text and shorter than any picture.
"""

import codecs
import re

from proxy.wire.media import parse_media_type

SHORT = 1024
"""Bytes; raw pixels that are shorter and entirely text are no picture."""

_MARKUP = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<(?:!doctype|\?xml|html|head|body|title|script)\b|<!--|[\[{]\s*[\"{])", re.I
)
_NO_TEXT = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")


def is_text(label: str, leading: bytes, total: int) -> bool:
    """True if a frame of `total` bytes that starts with `leading` is text under another label.

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
