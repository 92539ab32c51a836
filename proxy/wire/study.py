"""Finds the study that the first bytes of a request name, before a parser reads them. Pure."""

import re

MOST = 1024
"""Bytes within which a request names its study, if it does."""

_NAMED = re.compile(rb"[A-Z]+ (?:https?://[^/\s]*)?/(?:[^/?\s]+/)?studies/([^/?#\s]+)[/?#\s]")


def study_in(begun: bytes) -> bytes | None:
    """The study in the path of a request that begins so. Empty if it names none, None if more is needed.

    >>> study_in(b"GET /pacs/studies/1.2/series HTTP/1.1"), study_in(b"GET /studies?a HTTP/1.1" + bytes([10]))
    (b'1.2', b'')
    >>> study_in(b"GET /studies/1.2") is None
    True
    """
    named = _NAMED.match(begun, 0, MOST)
    if named is not None:
        return named[1]
    return b"" if len(begun) >= MOST or b"\n" in begun else None
