"""A frame as it is held: immutable bytes from 0, whole or a prefix, and what identifies them.

A frame never mixes two versions: everything in it was fetched under one `Claim`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from proxy.codestream.layout import Layout
from proxy.codestream.reach import MOST_READ, ResolutionTarget, TargetEnd, locate, read_layout_leniently
from proxy.frame.identity import Identity

PIECE = 1024 * 1024
"""Bytes of the largest piece in which a rest is kept."""


@dataclass(frozen=True)
class Frame:
    """Bytes of one version of a frame, contiguous from 0."""

    identity: Identity
    """Which version."""
    pieces: tuple[bytes, ...]
    """In order, none empty; the first is what the first fetch brought."""
    size: int
    """Bytes held."""

    @property
    def is_whole(self) -> bool:
        """Whether every byte is held."""
        return self.size == self.identity.claim.total

    @cached_property
    def layout(self) -> Layout | None:
        """Where its resolutions end, as far as the bytes held tell; None where it is no codestream."""
        return read_layout_leniently(b"".join(cut(self.pieces, 0, MOST_READ)), self.identity.claim.total)

    def told(self, reach: ResolutionTarget) -> TargetEnd:
        """How many bytes a reach takes, as far as the bytes held tell."""
        return locate(reach, self.layout, self.size, self.identity.claim.total)

    @property
    def coarser(self) -> "Frame | None":
        """The same frame without its finest resolution; None where that leaves its first piece alone."""
        first = len(self.pieces[0])
        stop = max((end for end in self.identity.ends[:-1] if end < self.size), default=0)
        if stop <= first:
            return None
        return Frame(self.identity, tuple(cut(self.pieces, 0, stop)), stop)

    @property
    def prefix(self) -> "Frame":
        """The same frame with its first piece alone."""
        return Frame(self.identity, self.pieces[:1], len(self.pieces[0]))


def frame_of(identity: Identity, chunks: Sequence[bytes], first: int) -> Frame:
    """A frame from chunks as they came: a first piece of at most `first` bytes, the rest in large pieces."""
    size = sum(map(len, chunks))
    bounds = [0, *range(min(first, size), size, PIECE), size]
    pairs = ((a, b) for a, b in pairwise(bounds) if a < b)
    return Frame(identity, tuple(b"".join(cut(chunks, a, b)) for a, b in pairs), size)


def cut(pieces: Sequence[bytes], start: int, stop: int) -> Iterator[bytes]:
    """The bytes `[start, stop)` of pieces that are contiguous from 0, as far as they reach."""
    at = 0
    for piece in pieces:
        if at >= stop:
            return
        if at + len(piece) > start:
            # A piece that is wanted whole is handed on as it is, not copied.
            yield piece[max(0, start - at) : min(len(piece), stop - at)]
        at += len(piece)
