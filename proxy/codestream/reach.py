"""Targets in a codestream that are given as a resolution, so that only the codestream tells their bytes."""

from collections.abc import Sequence
from dataclasses import dataclass

from proxy.codestream.layout import Layout, read_layout
from proxy.errors import CodestreamError

UNTOLD = 65536
"""Bytes to fetch if the codestream does not reveal the end of the resolution."""
PROBE = 32768
"""Bytes of the first fetch that may reveal the end; usually it does before all of them have arrived."""
STEP = 16384
"""Bytes of each further fetch that may reveal the end, at least."""
AHEAD = 4096
"""Bytes after the end of a resolution in which the header of the next packet is expected."""
MOST_READ = 1 << 20
"""Bytes of a prefix that are read for its layout; reading more would cost more than it saves."""


@dataclass(frozen=True, slots=True)
class ResolutionTarget:
    """A target from byte 0 to the end of a resolution, which is given by its size.

    >>> str(ResolutionTarget(scale=16)), str(ResolutionTarget(covers=(256, 0)))
    ('1/16', '≥ 256')
    """

    scale: int = 1
    """Width and height are divided by this power of 2; 1 is the full size."""
    covers: tuple[int, int] | None = None
    """Replaces `scale`: the minimum width and height of the resolution in pixels."""

    def __str__(self) -> str:
        """Returns the target as written in a profile."""
        return f"1/{self.scale}" if self.covers is None else f"≥ {self.covers[0]}"

    def resolution(self, sizes: Sequence[tuple[int, int]]) -> int:
        """Selects the resolution, given the width and height of each, the smallest first.

        A scale beyond the smallest resolution selects the smallest; a size beyond the full size selects the
        full size.

        >>> sizes = [(16, 16), (32, 32), (64, 64), (128, 128), (256, 256), (512, 512)]
        >>> ResolutionTarget(scale=16).resolution(sizes), ResolutionTarget(covers=(250, 0)).resolution(sizes)
        (1, 4)
        """
        if self.covers is None:
            return max(0, len(sizes) - self.scale.bit_length())
        across, down = self.covers
        able = (r for r, (width, height) in enumerate(sizes) if width >= across and height >= down)
        return next(able, len(sizes) - 1)

    def exceeds(self, other: "ResolutionTarget") -> bool:
        """True if this target is finer than another, or if only a codestream can tell."""
        if self.covers is None and other.covers is None:
            return self.scale < other.scale
        return self.covers is None or other.covers is None or self.covers > other.covers


Stop = int | ResolutionTarget
"""A position in a codestream: bytes from 0, or the end of a resolution that is not located yet."""


@dataclass(frozen=True, slots=True)
class TargetEnd:
    """The end of a target, as far as a prefix reveals it."""

    stop: int
    """Fetch this many bytes from 0: the whole target, or enough to learn more."""
    is_final: bool
    """True if `stop` is the end of the target."""
    resolution: int | None
    """The resolution that the bytes then hold, 0 the smallest; None if unknown."""
    size: tuple[int, int]
    """Width and height of that resolution in pixels; zeros if unknown."""
    method: str
    """How the end was found: tlm, plt, walk or unknown."""


def read_layout_leniently(leading: bytes, total: int) -> Layout | None:
    """Reads the layout from the first of `total` bytes; None if they are not a codestream."""
    try:
        return read_layout(leading[:MOST_READ], total)
    except CodestreamError:
        return None


def locate(reach: ResolutionTarget, layout: Layout | None, have: int, total: int) -> TargetEnd:
    """Locates a target's end in a codestream of `total` bytes, given the layout of the first `have`.

    If the codestream can't reveal the end, the result is `UNTOLD` bytes and no resolution. Until it reveals
    the end, `stop` is beyond `have`.
    """
    if layout is None:
        is_header_cut = have < min(UNTOLD, total)
        return _more(UNTOLD, total) if is_header_cut else _untold(have, total)
    resolution = reach.resolution(layout.sizes)
    end = layout.ends[resolution]
    if resolution == len(layout.sizes) - 1:
        return TargetEnd(total, True, resolution, layout.sizes[resolution], layout.method)  # with its EOC
    if end is not None:
        return TargetEnd(min(end, total), True, resolution, layout.sizes[resolution], layout.method)
    if layout.reason or have >= min(total, MOST_READ):
        return _untold(have, total)
    # The next packet's header follows the last known end. It has to be fetched completely.
    known = max((known for known in layout.ends[:resolution] if known is not None), default=0)
    return _more(max(known + AHEAD, have + STEP if known <= have else 0), total)


def _more(stop: int, total: int) -> TargetEnd:
    return TargetEnd(min(stop, total), False, None, (0, 0), "")


def _untold(have: int, total: int) -> TargetEnd:
    return TargetEnd(min(max(have, UNTOLD), total), True, None, (0, 0), "unknown")
