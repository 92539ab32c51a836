"""What the main header of a codestream says: the picture's form, and where its resolutions end.

The offsets come from TLM alone: one tile whose tile-parts are as many as its resolutions, in an order
that goes by resolution, is taken to have one tile-part a resolution. A TLM of one tile-part satisfies
the standard and tells nothing, and then nothing is said.
"""

from dataclasses import dataclass
from itertools import accumulate

from proxy.codestream.markers import COC, EOC_LENGTH, POC, PPM, MainHeader, read_main_header
from proxy.codestream.segments import Size, Style, has_ht_blocks, read_size, read_style, read_tile_parts

MAX_BASE = 64
"""Pixels that the smallest resolution's width or height has at most in `.202` (PS3.5 10.18)."""


@dataclass(frozen=True, slots=True)
class Header:
    """The main header of one codestream."""

    width: int
    """Pixels of the full size."""
    height: int
    """Pixels of the full size."""
    components: int
    """1 is grey, 3 is colour."""
    bit_depth: int
    """Bits of the first component, sign included."""
    is_signed: bool
    """Whether the first component has a sign."""
    decompositions: int
    """Wavelet decompositions that every component has; there is one resolution more."""
    progression: str
    """LRCP, RLCP, RPCL, PCRL or CPRL."""
    tiles: int
    """1 where the picture is one tile."""
    is_htj2k: bool
    """Whether its blocks are high-throughput ones."""
    is_reversible: bool
    """Whether all its wavelets are the lossless ones."""
    tile_parts: tuple[int, ...]
    """Bytes of each tile-part, from TLM; empty where there is none."""
    length: int
    """Bytes of the main header, up to the first SOT."""
    total: int | None
    """Bytes of the whole codestream, from TLM; None where there is none."""
    resolution_ends: tuple[int, ...]
    """By resolution, 0 the smallest: so many bytes from 0 hold it. Empty where TLM can't tell."""
    reasons: tuple[str, ...]
    """Why this is no HTJ2K Lossless RPCL, 1.2.840.10008.1.2.4.202; empty where it is."""


def read_header(prefix: bytes) -> Header | None:
    """The main header of a codestream from a prefix; None where more bytes are needed.

    Raises `CodestreamError` for what is no codestream (T.800 annex A).
    """
    main = read_main_header(prefix)
    if main is None:
        return None
    size = read_size(main)
    return describe(main, size, read_style(main, size.components))


def describe(main: MainHeader, size: Size, style: Style) -> Header:
    """A main header that is read. Raises `CodestreamError` for what its TLM can't say."""
    parts = read_tile_parts(main)
    is_htj2k = bool(size.capabilities & 0x4000) and has_ht_blocks(main)  # T.814 A.2
    width, height = size.reduced(0)
    return Header(
        width=width,
        height=height,
        components=size.components,
        bit_depth=size.bit_depth,
        is_signed=size.is_signed,
        decompositions=style.decompositions,
        progression=style.progression,
        tiles=size.tiles,
        is_htj2k=is_htj2k,
        is_reversible=all(coding.is_reversible for coding in style.codings),
        tile_parts=parts,
        length=main.length,
        total=main.length + sum(parts) + EOC_LENGTH if parts else None,
        resolution_ends=_resolution_ends(main, size, style, parts),
        reasons=_reasons(size, style, is_htj2k, bool(parts)),
    )


def _resolution_ends(main: MainHeader, size: Size, style: Style, parts: tuple[int, ...]) -> tuple[int, ...]:
    # A component's own COC, changes of order and packed packet headers break "one tile-part a resolution".
    is_plain = not any(segment.marker in (COC, POC, PPM) for segment in main.segments)
    is_divided = size.tiles == 1 and style.goes_by_resolution and len(parts) == style.decompositions + 1
    if not is_plain or not is_divided:
        return ()
    return tuple(accumulate(parts, initial=main.length))[1:]


def _reasons(size: Size, style: Style, is_htj2k: bool, has_tlm: bool) -> tuple[str, ...]:
    """What PS3.5 10.18 demands and this has not."""
    width, height = size.reduced(style.decompositions)
    found = (
        (not is_htj2k, "its blocks are not HTJ2K"),
        (not all(coding.is_reversible for coding in style.codings), "its wavelet is not the reversible one"),
        (style.progression != "RPCL", f"its progression is {style.progression}, not RPCL"),
        (min(width, height) > MAX_BASE, f"its smallest resolution is {width}x{height}, above {MAX_BASE}"),
        (not has_tlm, "it has no TLM"),
    )
    return tuple(reason for is_so, reason in found if is_so)
