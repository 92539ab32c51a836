"""Cuts a smaller picture out of a prefix without decoding.

If each resolution is complete before the next begins, a prefix with one resolution is nearly a codestream of
its own. It lacks only one thing: a main header for fewer decompositions, or empty packets in place of the
missing ones. The result has TLM and one tile-part per resolution. It is RPCL if the packets are in that
order, and then HTJ2K Lossless RPCL if the source is (PS3.5 10.18).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from proxy.codestream.geometry import packets_of, resolutions_of
from proxy.codestream.layout import Layout, Method, read_layout
from proxy.codestream.limits import Budget, NeedMore
from proxy.codestream.markers import EOC, EPH, Segment, read_main_header
from proxy.codestream.rewriting import in_order, reduced, write_main_header, write_sot
from proxy.codestream.segments import Size, Style, read_size, read_style
from proxy.codestream.tileparts import read_tile_part
from proxy.errors import CodestreamError

MAX_EMPTY = 65536
"""Empty packets that are added for missing ones, at most."""

_FEW = 4096  # packets that are compared to tell if the order is RPCL

Piece = bytes | tuple[int, int]
"""New bytes, or a half-open span of the source codestream."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A codestream that is assembled from pieces of another."""

    pieces: tuple[Piece, ...]
    """In output order; no span starts before an earlier one stops."""

    @property
    def length(self) -> int:
        """Bytes of the assembled codestream."""
        return sum(len(each) if isinstance(each, bytes) else each[1] - each[0] for each in self.pieces)

    def of(self, prefix: bytes) -> bytes:
        """Assembles the codestream. Raises `CodestreamError` if the prefix is too short."""
        found = [each if isinstance(each, bytes) else prefix[each[0] : each[1]] for each in self.pieces]
        result = b"".join(found)
        if len(result) != self.length:
            raise CodestreamError("the prefix does not hold the resolution")
        return result


def cut_reduced(prefix: bytes, resolution: int, layout: Layout | None = None) -> bytes:
    """Returns a codestream of the picture at one resolution, from a prefix that holds it.

    It decodes to the same pixels as the source at that reduction. Pass `layout` if you have read the prefix's
    layout already. Raises `CodestreamError` if the source can't be cut, and `ValueError` if it has no such
    resolution.
    """
    return _needed(plan_reduced(prefix, resolution, layout)).of(prefix)


def cut_full(prefix: bytes, resolution: int, layout: Layout | None = None) -> bytes:
    """Returns a codestream of full size with no detail above one resolution; otherwise like `cut_reduced`."""
    return _needed(plan_full(prefix, resolution, layout)).of(prefix)


def reduced_length(prefix: bytes, resolution: int, layout: Layout | None = None) -> int | None:
    """Returns the length of what `cut_reduced` returns; None if that takes a longer prefix."""
    cut = plan_reduced(prefix, resolution, layout)
    return None if cut is None else cut.length


def _needed(cut: Cut | None) -> Cut:
    if cut is None:
        raise CodestreamError("the prefix does not hold the resolution")
    return cut


def plan_reduced(prefix: bytes, resolution: int, layout: Layout | None = None) -> Cut | None:
    """Returns the pieces for `cut_reduced`; None if that takes a longer prefix. Raises like `cut_reduced`."""
    source = _open(prefix, resolution, layout)
    if source is None:
        return None
    reduce = source.style.decompositions - resolution
    if 0 in source.size.reduced(reduce):
        raise CodestreamError("it can't be cut: the picture has no pixels at that resolution")
    segments = (reduced(segment, source.size, resolution, reduce) for segment in source.segments)
    return _join(segments, source.parts)


def plan_full(prefix: bytes, resolution: int, layout: Layout | None = None) -> Cut | None:
    """Returns the pieces for `cut_full`; None if that takes a longer prefix. Raises like `cut_full`."""
    source = _open(prefix, resolution, layout)
    if source is None:
        return None
    missing = [0] * (source.style.decompositions + 1)
    for each in resolutions_of(source.size, source.style, 0, Budget()):
        missing[each.number] += each.wide * each.high * source.style.layers
    del missing[: resolution + 1]
    if sum(missing) > MAX_EMPTY:
        raise CodestreamError(f"it can't be cut: more than {MAX_EMPTY} packets are missing")
    empty = b"\0" + EPH.to_bytes(2, "big") * source.style.has_eph  # T.800 B.10.3
    return _join(source.segments, [*source.parts, *([empty * count] for count in missing)])


@dataclass(frozen=True, slots=True)
class _Source:
    """A codestream that can be cut: one tile, one resolution after another."""

    size: Size
    style: Style
    segments: tuple[Segment, ...]
    """The segments of the main header."""
    parts: list[list[Piece]]
    """The packets of each resolution that is kept."""


def _open(prefix: bytes, resolution: int, layout: Layout | None) -> _Source | None:
    main, layout = read_main_header(prefix), layout or read_layout(prefix)
    if main is None or layout is None:
        return None
    size = read_size(main)
    style = read_style(main, size.components)
    if not 0 <= resolution <= style.decompositions:
        raise ValueError(f"resolutions are 0 to {style.decompositions} here, not {resolution}")
    progression = _progression(size, style)
    ends = [end for end in layout.ends[: resolution + 1] if end is not None]
    if len(ends) <= resolution and layout.reason:
        raise CodestreamError(f"it can't be cut: {layout.reason}")
    try:
        parts = _packets(prefix, main.length, ends, layout.method) if len(ends) > resolution else None
    except NeedMore:
        parts = None
    return _Source(size, style, tuple(in_order(main, progression)), parts) if parts else None


def _progression(size: Size, style: Style) -> str:
    """Returns RPCL if the packets are in that order, else the progression in the header."""
    if size.tiles > 1:
        raise CodestreamError("it can't be cut: it has tiles")
    if any(coding.decompositions != style.decompositions for coding in style.codings):
        raise CodestreamError("it can't be cut: its components have different decompositions")
    if style.progression != "RPCL" and _is_rpcl(size, style):
        return "RPCL"
    if not style.goes_by_resolution:
        raise CodestreamError(f"it can't be cut: its packets go by {style.progression}")
    return style.progression


def _is_rpcl(size: Size, style: Style) -> bool:
    """True if the packets are few and their order is that of RPCL."""
    budget = Budget()
    resolutions = resolutions_of(size, style, 0, budget)
    if sum(each.wide * each.high for each in resolutions) * style.layers > _FEW:
        return False
    other = replace(style, progression="RPCL")
    return list(packets_of(style, resolutions, budget)) == list(packets_of(other, resolutions, budget))


def _packets(prefix: bytes, at: int, ends: Sequence[int], method: Method) -> list[list[Piece]]:
    """Returns the spans of each resolution's packets, without the headers of tile-parts."""
    stretches = []
    budget = Budget()
    while at < ends[-1]:
        part = read_tile_part(prefix, at, budget)
        at = part.stop or ends[-1]
        stretches.append((part.start, at))
    if method == "tlm" and [stop for _, stop in stretches] != list(ends):
        raise CodestreamError("its tile-parts do not match TLM")
    return [
        [(max(start, lo), min(stop, hi)) for start, stop in stretches if max(start, lo) < min(stop, hi)]
        for lo, hi in pairwise((0, *ends))
    ]


def _join(segments: Iterable[Segment], parts: Sequence[Sequence[Piece]]) -> Cut:
    lengths = [Cut(tuple(part)).length for part in parts]
    pieces: list[Piece] = [write_main_header(segments, lengths)]
    for number, (part, length) in enumerate(zip(parts, lengths, strict=True)):
        pieces += [write_sot(length, number, len(parts)), *part]
    return Cut((*pieces, EOC.to_bytes(2, "big")))
