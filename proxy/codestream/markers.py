"""Splits a codestream's main header into marker segments, without reading them (T.800 annex A).

A codestream starts with SOC and SIZ. Marker segments follow in nearly any order until the first SOT, which
ends the main header. All functions work on a prefix: None means "more bytes are needed".
"""

from collections.abc import Iterator
from dataclasses import dataclass

from proxy.errors import CodestreamError

SOC, CAP, SIZ, COD, COC, TLM, PLM, PLT, QCD, QCC, RGN, POC, PPM, PPT, SOT, SOP, EPH, SOD, EOC = (
    0xFF4F, 0xFF50, 0xFF51, 0xFF52, 0xFF53, 0xFF55, 0xFF57, 0xFF58, 0xFF5C, 0xFF5D,
    0xFF5E, 0xFF5F, 0xFF60, 0xFF61, 0xFF90, 0xFF91, 0xFF92, 0xFF93, 0xFFD9,
)  # fmt: skip
"""Markers by the names of T.800 table A.2; CAP is T.814 A.3's."""

EOC_LENGTH = 2
"""Bytes of the marker that ends a codestream."""

MAX_MAIN_HEADER = 131072
"""Bytes up to the first SOT; a longer header is refused. Real ones have a few hundred."""

_BARE = range(0xFF30, 0xFF40)  # markers without a segment (T.800 A.1.1); none belongs in a main header
_MISPLACED = frozenset({SOC, PLT, PPT, SOP, EPH, SOD, EOC})


@dataclass(frozen=True, slots=True)
class Segment:
    """One marker segment."""

    marker: int
    """The two bytes of the marker, as a number."""
    body: bytes
    """The bytes after the length."""


@dataclass(frozen=True, slots=True)
class MainHeader:
    """The main header, split into segments."""

    segments: tuple[Segment, ...]
    """In codestream order; the first is SIZ."""
    length: int
    """Bytes from SOC to the first SOT."""

    def first(self, marker: int) -> bytes | None:
        """Returns the body of the first segment with this marker; None if there is none."""
        return next(self.every(marker), None)

    def every(self, marker: int) -> Iterator[bytes]:
        """Returns the bodies of all segments with this marker."""
        return (segment.body for segment in self.segments if segment.marker == marker)


def read_main_header(prefix: bytes) -> MainHeader | None:
    """Reads the main header from a prefix; None if it is not complete yet.

    Raises `CodestreamError` if it can't become a main header, as early as the bytes tell.
    """
    if not prefix.startswith(b"\xff\x4f\xff\x51"[: len(prefix)]):
        raise CodestreamError("not a codestream: it does not start with SOC and SIZ")  # T.800 A.3
    segments: list[Segment] = []
    at = 2
    while len(prefix) >= at + 2:
        marker = int.from_bytes(prefix[at : at + 2], "big")
        if marker == SOT:
            return MainHeader(tuple(segments), at)
        stop = _segment_stop(prefix, at, marker)
        if stop is None or stop > len(prefix):
            return None
        segments.append(Segment(marker, prefix[at + 4 : stop]))
        at = stop
    return None


def _segment_stop(prefix: bytes, at: int, marker: int) -> int | None:
    if marker < 0xFF00 or marker in _BARE or marker in _MISPLACED:
        raise CodestreamError(f"the main header has an invalid marker at byte {at}")
    if len(prefix) < at + 4:
        return None
    length = int.from_bytes(prefix[at + 2 : at + 4], "big")  # counts itself, not the marker (T.800 A.1.2)
    if length < 2:
        raise CodestreamError(f"the marker segment at byte {at} is shorter than its own length field")
    if at + 2 + length > MAX_MAIN_HEADER:
        raise CodestreamError(f"the main header has more than {MAX_MAIN_HEADER} bytes")
    return at + 2 + length
