"""Finds where the resolutions of a codestream end, as far as its first bytes tell.

There are three methods, cheapest first. TLM has the lengths of tile-parts, if there is one per resolution.
PLT has the lengths of packets. Otherwise each packet's header has its own length. An oddity in tile-parts or
packets leaves ends unknown and is not an error, because a frame can be delivered without them. A known end
does not change when more bytes arrive. The work is bounded by `proxy.codestream.limits.MAX_WORK`.
"""

from dataclasses import dataclass
from typing import Literal

from proxy.codestream.header import Header, describe
from proxy.codestream.markers import POC, PPM, MainHeader, read_main_header
from proxy.codestream.packets import HT, MIXED
from proxy.codestream.segments import Style, read_size, read_style
from proxy.codestream.walk import Walk

Method = Literal["tlm", "plt", "walk", "unknown"]


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of a codestream, as far as a prefix reveals it."""

    header: Header
    """The main header: form of the picture, decompositions, progression, tiles."""
    total: int | None
    """Bytes of the whole codestream, from TLM or tile-parts, else as given; None if not known yet."""
    sizes: tuple[tuple[int, int], ...]
    """For each resolution, smallest first: width and height in pixels."""
    ends: tuple[int | None, ...]
    """For each resolution, smallest first: the bytes from 0 that hold it; None if not known yet."""
    method: Method
    """How the ends are found; "unknown" if they can't be."""
    reason: str
    """Why some ends stay unknown, however many bytes arrive; empty if more bytes can help."""

    def finest(self, have: int) -> int | None:
        """Returns the finest resolution known to be in the first `have` bytes; None if there is none."""
        held = [number for number, end in enumerate(self.ends) if end is not None and end <= have]
        return held[-1] if held else None


def read_layout(prefix: bytes, total: int | None = None) -> Layout | None:
    """Reads the layout from a prefix; None if the main header is not complete yet.

    `total` is the length of the codestream in bytes, if known from elsewhere. Raises `CodestreamError` if the
    main header is invalid (T.800 annexes A and B).
    """
    main = read_main_header(prefix)
    if main is None:
        return None
    size = read_size(main)
    style = read_style(main, size.components)
    header = describe(main, size, style)
    sizes = tuple(size.reduced(reduce) for reduce in range(header.decompositions, -1, -1))
    if header.resolution_ends:
        return Layout(header, header.total, sizes, header.resolution_ends, "tlm", "")
    reason = _why_not(main, style)
    if reason:
        return Layout(header, header.total or total, sizes, (None,) * len(sizes), "unknown", reason)
    walk = Walk(prefix, size, style, main.length)
    reason = walk.run()
    method: Method = "plt" if walk.has_lengths else "walk"
    if reason and walk.ends[0] is None:
        method = "unknown"
    return Layout(header, header.total or walk.total or total, sizes, tuple(walk.ends), method, reason)


def _why_not(main: MainHeader, style: Style) -> str:
    """Explains why packets can't be walked; empty if they can."""
    kinds = {coding.block_style & MIXED for coding in style.codings}
    found = (
        (main.first(POC) is not None, "its order of packets changes (POC)"),
        (main.first(PPM) is not None, "its packet headers are packed (PPM)"),
        (kinds - {0, HT}, "its code-blocks are of both kinds"),
        (HT in kinds and style.layers > 1, "its high-throughput code-blocks have several layers"),
    )
    return next((reason for is_so, reason in found if is_so), "")
