"""A frame in the cache: immutable bytes from offset 0, complete or a prefix, and their identity.

A frame never mixes two versions. All of its bytes were fetched under one `Claim`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import TypeVar

from proxy.codestream.layout import Layout
from proxy.codestream.reach import MOST_READ, ResolutionTarget, TargetEnd, locate, read_layout_leniently
from proxy.frame.identity import Identity

Bytes = TypeVar("Bytes", bytes, memoryview)

SMALL_PIECE = 128 * 1024 - 64
"""Largest piece, in bytes, of a frame while it is being fetched. With its headers it fills whole pages."""
SMALL_ONES = 8
"""Small pieces that become one."""
PIECE = SMALL_ONES * SMALL_PIECE
"""Largest piece, in bytes, after the first piece of a frame."""


@dataclass(frozen=True)
class Frame:
    """Bytes of one version of a frame, contiguous from offset 0."""

    identity: Identity
    """The version that the bytes belong to."""
    pieces: tuple[bytes, ...]
    """The bytes in order. No piece is empty. The first piece holds the bytes of the first fetch."""
    size: int
    """Bytes held."""
    is_rest_near: bool = field(default=False, compare=False)
    """True if a tier of this machine had the rest when it gave these bytes."""

    @property
    def is_whole(self) -> bool:
        """True if the frame holds every byte of the codestream."""
        return self.size == self.identity.claim.total

    @property
    def can_be_revalidated(self) -> bool:
        """True if the origin can say whether it still has this version.

        A prefix needs a strong validator for that, because a weak ETag could not guard its completion.
        """
        claim = self.identity.claim
        return claim.lease.condition is not None and (self.is_whole or claim.validator is not None)

    @cached_property
    def layout(self) -> Layout | None:
        """The end of each resolution, as far as the bytes held show. None if they are not a codestream."""
        return read_layout_leniently(b"".join(cut(self.pieces, 0, MOST_READ)), self.identity.claim.total)

    def told(self, reach: ResolutionTarget) -> TargetEnd:
        """The number of bytes that a resolution takes, as far as the bytes held show."""
        return locate(reach, self.layout, self.size, self.identity.claim.total)

    @property
    def coarser(self) -> "Frame | None":
        """The same frame without its finest resolution. None if only the first piece would be left."""
        first = len(self.pieces[0])
        stop = max((end for end in self.identity.ends[:-1] if end < self.size), default=0)
        if stop <= first:
            return None
        return replace(self, pieces=tuple(cut(self.pieces, 0, stop)), size=stop)

    @property
    def prefix(self) -> "Frame":
        """The same frame with only its first piece."""
        return replace(self, pieces=self.pieces[:1], size=len(self.pieces[0]))


def frame_of(identity: Identity, chunks: Sequence[bytes], first: int) -> Frame:
    """Builds a frame from chunks in order of arrival."""
    return Frame(identity, pieces_of(chunks, first), sum(map(len, chunks)))


def pieces_of(chunks: Sequence[bytes], first: int, most: int = PIECE) -> tuple[bytes, ...]:
    """The same bytes in a first piece of at most `first` bytes, and others of at most `most` bytes.

    A chunk that is such a piece already is not copied.
    """
    size = sum(map(len, chunks))
    bounds = [0, *range(min(first, size), size, most), size]
    pairs = ((a, b) for a, b in pairwise(bounds) if a < b)
    return tuple(_joined(list(cut(chunks, a, b))) for a, b in pairs)


def _joined(parts: list[bytes]) -> bytes:
    return parts[0] if len(parts) == 1 else b"".join(parts)


def cut(pieces: Iterable[Bytes], start: int, stop: int) -> Iterator[Bytes]:
    """Yields the bytes `[start, stop)` of pieces that are contiguous from 0, or fewer if the pieces end."""
    at = 0
    for piece in pieces:
        if at >= stop:
            return
        if at + len(piece) > start:
            # Slicing all of a bytes object returns the object itself, so a whole piece is not copied.
            yield piece[max(0, start - at) : min(len(piece), stop - at)]
        at += len(piece)
