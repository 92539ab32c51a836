"""Where the resolutions of a codestream end, as far as its first bytes tell.

Three ways, the cheapest first: TLM names the lengths of tile-parts, and there is one a resolution; PLT names
the lengths of packets; or else every packet's header tells its own. Whatever is odd in tile-parts and
packets makes ends unknown and is no error: a frame can be delivered without. An end that is known does not
change when more bytes come. How much is looked at is bounded, see `proxy.codestream.limits.MAX_WORK`.
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
    """What the first bytes of a codestream tell of the rest."""

    header: Header
    """Its main header: form of the picture, decompositions, progression, tiles."""
    total: int | None
    """Bytes of the whole codestream, from TLM or tile-parts, else as given; None where not known yet."""
    sizes: tuple[tuple[int, int], ...]
    """By resolution, 0 the smallest: width and height in pixels."""
    ends: tuple[int | None, ...]
    """By resolution: so many bytes from 0 hold it; may be more than there are yet. None where not known."""
    method: Method
    """How the ends are found; "unknown" where they can't be."""
    reason: str
    """Why ends that are None stay unknown whatever comes; empty where more bytes will tell."""

    def finest(self, have: int) -> int | None:
        """The finest resolution that is known to be held by the first `have` bytes; None where none is."""
        held = [number for number, end in enumerate(self.ends) if end is not None and end <= have]
        return held[-1] if held else None


def read_layout(prefix: bytes, total: int | None = None) -> Layout | None:
    """The layout of a codestream from a prefix; None where its main header is not whole yet.

    `total` is the codestream's length in bytes, where it is known from elsewhere. Raises `CodestreamError`
    for a main header that is none (T.800 annexes A and B).
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
    """Why packets can't be walked over; empty where they can."""
    kinds = {coding.block_style & MIXED for coding in style.codings}
    found = (
        (main.first(POC) is not None, "its order of packets changes (POC)"),
        (main.first(PPM) is not None, "its packet headers are packed (PPM)"),
        (kinds - {0, HT}, "its code-blocks are of both kinds"),
        (HT in kinds and style.layers > 1, "its high-throughput code-blocks have several layers"),
    )
    return next((reason for is_so, reason in found if is_so), "")
