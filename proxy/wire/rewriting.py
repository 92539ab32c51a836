"""Replaces the base of URLs in a JSON text, chunk by chunk. Pure.

A URL is replaced only if a string of the text begins with it, and if the base ends there as a part of a URL:
`"http://pacs/dicom-web/studies/1"`, but neither `"see http://pacs/dicom-web/…"` nor
`"http://pacs/dicom-web2"`. JSON may write a slash as `\\/` (RFC 8259 7); the replacement is then written so
too. Only the end of a chunk in which a base may have begun is kept for the next one.
"""

import re
from collections.abc import Collection, Sequence
from typing import Protocol

_BEGIN = b"http"
"""The start of each base. With the quotation mark before it, it is found fast, as a literal."""
_ENDS = rb'(?=[/"?#\\])'
"""The next character after a base in a URL, or in a string that consists of it."""


class Rewriting(Protocol):
    """Rewrites one text."""

    def feed(self, chunk: bytes) -> bytes:
        """The part of the text that is certain after this chunk."""

    def end(self) -> bytes:
        """The rest of the text."""


class InSteps:
    """Several rewritings, one after the other."""

    def __init__(self, steps: Sequence[Rewriting]) -> None:
        self._steps = steps

    def feed(self, chunk: bytes) -> bytes:
        """The part of the text that is certain after this chunk."""
        for step in self._steps:
            chunk = step.feed(chunk)
        return chunk

    def end(self) -> bytes:
        """The rest of the text."""
        rest = b""
        for step in self._steps:
            rest = step.feed(rest) + step.end()
        return rest


class JsonBases:
    """The bases to replace, and what stands for them."""

    def __init__(self, bases: Collection[str], public: str) -> None:
        """Each of the `bases` is an absolute URL without a slash at its end, and so is `public`."""
        plain = sorted({base.encode() for base in bases}, key=len, reverse=True)
        forms = [_escaped(base) for base in plain], plain
        either = b"|".join(
            b"(" + b"|".join(re.escape(base.removeprefix(_BEGIN)) for base in form) + b")" for form in forms
        )
        self._pattern = re.compile(b'"' + _BEGIN + b"(?:" + either + b")" + _ENDS)
        self._longest = max(map(len, forms[0])) + len('"/')
        self._public = public.encode()

    def replaced(self, text: bytes, before: bytes = b"") -> bytes:
        """The text with each base replaced; `before` is the byte before it, if there is one."""

        def instead(match: re.Match[bytes]) -> bytes:
            at = match.start()
            if (text[at - 1 : at] if at else before) == b"\\":
                return match[0]  # this quotation mark is a character of a string
            return b'"' + (_escaped(self._public) if match[1] else self._public)

        return self._pattern.sub(instead, text)

    def keeps_from(self, text: bytes) -> int:
        """The offset of a quotation mark behind which a base may go on in the next chunk; else the end."""
        at = text.rfind(b'"', max(0, len(text) - self._longest))
        return len(text) if at < 0 else at


class JsonRewriting:
    """The rewriting of one text.

    >>> rewriting = JsonRewriting(JsonBases(["http://pacs/dicom-web"], "https://imaging.example"))
    >>> rewriting.feed(b'{"BulkDataURI": "http://pacs/dic')
    b'{"BulkDataURI": '
    >>> rewriting.feed(b'om-web/bulk/1"}') + rewriting.end()
    b'"https://imaging.example/bulk/1"}'
    """

    def __init__(self, bases: JsonBases) -> None:
        self._bases = bases
        self._kept = self._before = b""

    def feed(self, chunk: bytes) -> bytes:
        """The part of the text that is certain after this chunk."""
        text = self._kept + chunk
        at = self._bases.keeps_from(text)
        done = self._bases.replaced(text[: at + 1], self._before)  # with the byte that may end a base
        self._kept = text[at:]
        self._before = text[at - 1 : at] if at else self._before
        return done[:-1] if self._kept else done

    def end(self) -> bytes:
        """The rest of the text."""
        rest, self._kept = self._bases.replaced(self._kept, self._before), b""
        return rest


def _escaped(url: bytes) -> bytes:
    return url.replace(b"/", rb"\/")
