"""Names HTJ2K as the transfer syntax of images in DICOM JSON, chunk by chunk. Pure.

A viewer that gets HTJ2K of frames which the archive stores in another form should read so in the metadata.
AvailableTransferSyntaxUID (0008,3002) then lists HTJ2K first, and the stored form behind it. The attribute
TransferSyntaxUID (0002,0010), which some archives add, is replaced. An instance stays as it is if it has no
pixels, if the proxy can't decode them, or if it does not tell how they are stored.

Only the instance that is being read is kept, and of a long one only its beginning.
"""

import re
from collections.abc import Iterator

from proxy.wire.media import HTJ2K, HTJ2K_RPCL, UNCOMPRESSED

LONGEST = 256 * 1024
"""Bytes of an instance that are kept. In order of their tags, the attributes that count come before."""
_UID = "1.2.840.10008.1.2"
CONVERTIBLE = (UNCOMPRESSED - {f"{_UID}.2"}) | {
    f"{_UID}.{last}" for last in ("1.99", "5", "4.50", "4.51", "4.57", "4.70", "4.80", "4.81", "4.90", "4.91")
}
"""Transfer syntaxes of frames that the proxy can decode, apart from HTJ2K."""

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}"]', re.DOTALL)
"""A string, a bracket, or the beginning of a string that is still open."""
_CLOSING = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
"""The rest of a string that was open."""
_SHORT = 64
"""Bytes of an open string that are looked at again. A tag has fewer, and a long text would take long."""
_AVAILABLE, _SYNTAX, _ALLOCATED = b'"00083002"', b'"00020010"', b'"00280100"'
_TAGS = frozenset({_AVAILABLE, _SYNTAX, _ALLOCATED})
_VALUES = re.compile(rb'"[0-9A-F]{8}"\s*:\s*\{[^{}\[\]]*"Value"\s*:\s*\[\s*([^\]]*)\]')
_BITS = frozenset({b"8", b"16"})
_IN_LIST = 1
_IN_INSTANCE = 2


class SyntaxNaming:
    """The naming in one text, a list of instances.

    >>> naming = SyntaxNaming()
    >>> jpeg = '{"00083002": {"vr": "UI", "Value": ["1.2.840.10008.1.2.4.50"]}'
    >>> naming.feed(f'[{jpeg}, "00280100": {{"vr": "US", "Value": [8]}}}}]'.encode())[:72]
    b'[{"00083002": {"vr": "UI", "Value": ["1.2.840.10008.1.2.4.202","1.2.840.'
    """

    def __init__(self) -> None:
        self._kept = b""
        """Bytes that were not given out: an instance, and an open string behind it."""
        self._seen = 0
        """Number of kept bytes that were looked at."""
        self._depth = 0
        self._found: dict[bytes, int] = {}
        """Offsets of attributes in the kept bytes."""
        self._is_passing = False
        """True within an instance that is too long."""
        self._is_open = False
        """True within a long string."""

    def feed(self, chunk: bytes) -> bytes:
        """The part of the text that is certain after this chunk."""
        self._kept += chunk
        done = list(self._finished())
        if self._depth < _IN_INSTANCE or self._is_passing:
            done.append(self._take(self._seen))
        elif len(self._kept) > LONGEST:
            done.append(self._instance(self._seen))
            self._is_passing = True
        return b"".join(done)

    def end(self) -> bytes:
        """The rest of the text."""
        return self._take(len(self._kept))

    def _finished(self) -> Iterator[bytes]:
        """Looks at the bytes that are new. Yields the instances that end in them, and the text before."""
        text, at, given = self._kept, self._seen, 0
        if self._is_open:
            closing = _CLOSING.match(text, at)
            if closing is None:
                self._seen = _end(text, at)
                return
            at, self._is_open = closing.end(), False
        rest = len(text)
        for match in _TOKEN.finditer(text, at):
            token, at = match[0], match.end()
            if token == b'"':
                rest = match.start()
                break
            if token in (b"{", b"["):
                if self._depth == _IN_LIST and token == b"{":
                    yield self._take(match.start() - given)
                    given = match.start()
                self._depth += 1
            elif token in (b"}", b"]"):
                self._depth -= 1
                if self._depth == _IN_LIST:
                    yield self._instance(at - given)
                    given, self._is_passing = at, False
            elif self._depth == _IN_INSTANCE and token in _TAGS and not self._is_passing:
                self._found.setdefault(token, match.start() - given)
        self._is_open = len(text) - rest > _SHORT
        self._seen = (_end(text, rest) if self._is_open else rest) - given

    def _take(self, size: int) -> bytes:
        """Gives out kept bytes."""
        taken, self._kept = self._kept[:size], self._kept[size:]
        self._seen = max(0, self._seen - size)
        return taken

    def _instance(self, size: int) -> bytes:
        """Gives out an instance."""
        found, self._found = self._found, {}
        text = self._take(size)
        bits = _VALUES.match(text, found[_ALLOCATED]) if _ALLOCATED in found else None
        if bits is None or bits[1].strip() not in _BITS:
            return text
        for tag, at in sorted(found.items(), key=lambda pair: -pair[1]):
            if tag != _ALLOCATED:
                text = _named(text, at, is_listed=tag == _AVAILABLE)
        return text


def _end(text: bytes, at: int) -> int:
    """The end of a text, but before a backslash that escapes the next byte. From `at` on it is a string."""
    string = text[at:]
    return len(text) - (len(string) - len(string.rstrip(b"\\"))) % 2


def _named(text: bytes, at: int, *, is_listed: bool) -> bytes:
    """The instance with HTJ2K in the attribute at an offset."""
    values = _VALUES.match(text, at)
    uids = re.findall(r'"([0-9.]+)"', values[1].decode("latin-1")) if values is not None else []
    if values is None or not uids or uids[0] not in CONVERTIBLE or HTJ2K & set(uids):
        return text
    begin, end = values.span(1)
    stored = b"," + text[begin:end] if is_listed else b""
    return text[:begin] + f'"{HTJ2K_RPCL}"'.encode() + stored + text[end:]
