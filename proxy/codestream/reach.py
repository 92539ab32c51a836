"""How much of a codestream is wanted, where the codestream itself has to tell the bytes: a resolution."""

from collections.abc import Sequence
from dataclasses import dataclass

from proxy.codestream.layout import Layout, read_layout
from proxy.errors import CodestreamError

UNTOLD = 65536
"""Bytes that are taken where no resolution can be told."""
PROBE = 32768
"""Bytes from which a codestream is asked to tell; on a usual link the answer is there before they all are."""
STEP = 16384
"""Bytes that are fetched at least to know more."""
AHEAD = 4096
"""Bytes behind the end of a resolution in which the header of the next packet is looked for."""
MOST_READ = 1 << 20
"""Bytes of a prefix that are read for its layout; beyond, the reading would cost more than it saves."""


@dataclass(frozen=True, slots=True)
class ResolutionTarget:
    """From byte 0 to the end of a resolution, named by its size.

    >>> str(ResolutionTarget(scale=16)), str(ResolutionTarget(covers=(256, 0)))
    ('1/16', '≥ 256')
    """

    scale: int = 1
    """By so much width and height are divided, a power of 2; 1 is the full size."""
    covers: tuple[int, int] | None = None
    """Instead of a scale: pixels that the resolution has at least across and down."""

    def __str__(self) -> str:
        """As in a profile."""
        return f"1/{self.scale}" if self.covers is None else f"≥ {self.covers[0]}"

    def resolution(self, sizes: Sequence[tuple[int, int]]) -> int:
        """Which resolution that is of a picture, from the width and height of each, the smallest first.

        Beyond the smallest it is the smallest, and beyond the full size the full size.

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
        """Whether it is finer than another one; also where only a codestream could tell."""
        if self.covers is None and other.covers is None:
            return self.scale < other.scale
        return self.covers is None or other.covers is None or self.covers > other.covers


Stop = int | ResolutionTarget
"""A place in a codestream: bytes from 0, or the end of a resolution that is yet to be told."""


@dataclass(frozen=True, slots=True)
class TargetEnd:
    """What a prefix tells of a reach."""

    stop: int
    """So many bytes from 0 are to be fetched: all it takes, or enough to know more."""
    is_final: bool
    """Whether they are all it takes."""
    resolution: int | None
    """Which one they hold then, 0 the smallest; None where it can't be told."""
    size: tuple[int, int]
    """Its width and height in pixels; zeros where it can't be told."""
    method: str
    """By what: tlm, plt, walk or unknown."""


def read_layout_leniently(leading: bytes, total: int) -> Layout | None:
    """The layout of a codestream of `total` bytes, from its first ones; None where these are none of one."""
    try:
        return read_layout(leading[:MOST_READ], total)
    except CodestreamError:
        return None


def locate(reach: ResolutionTarget, layout: Layout | None, have: int, total: int) -> TargetEnd:
    """How many bytes a reach takes of a codestream that has `total`, by the layout of its first `have`.

    Where the codestream can't tell, it is `UNTOLD` bytes and no resolution. Until it can, `stop` is
    farther than `have`.
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
    # The next packet's header follows the end of the last one that is known, and all of it is wanted.
    known = max((known for known in layout.ends[:resolution] if known is not None), default=0)
    return _more(max(known + AHEAD, have + STEP if known <= have else 0), total)


def _more(stop: int, total: int) -> TargetEnd:
    return TargetEnd(min(stop, total), False, None, (0, 0), "")


def _untold(have: int, total: int) -> TargetEnd:
    return TargetEnd(min(max(have, UNTOLD), total), True, None, (0, 0), "unknown")
