"""Reads a codestream's main header: the picture's form, and where its resolutions end.

The offsets come only from TLM. A codestream is taken to have one tile-part per resolution if it has one tile,
an order by resolution, and as many tile-parts as resolutions. A TLM with a single tile-part conforms to the
standard but reveals no offsets, so none are reported.
"""

from dataclasses import dataclass
from itertools import accumulate

from proxy.codestream.markers import COC, EOC_LENGTH, POC, PPM, MainHeader, read_main_header
from proxy.codestream.segments import Size, Style, has_ht_blocks, read_size, read_style, read_tile_parts

MAX_BASE = 64
"""Pixels that the shorter side of the smallest resolution may have in `.202` (PS3.5 10.18)."""


@dataclass(frozen=True, slots=True)
class Header:
    """The main header of a codestream."""

    width: int
    """Pixels of the full size."""
    height: int
    """Pixels of the full size."""
    components: int
    """1 is grey, 3 is colour."""
    bit_depth: int
    """Bits of the first component, sign included."""
    is_signed: bool
    """True if the first component is signed."""
    decompositions: int
    """Wavelet decompositions that every component has; there is one more resolution than that."""
    progression: str
    """LRCP, RLCP, RPCL, PCRL or CPRL."""
    tiles: int
    """Number of tiles; usually 1."""
    is_htj2k: bool
    """True if the code-blocks are high-throughput."""
    is_reversible: bool
    """True if all wavelets are reversible."""
    tile_parts: tuple[int, ...]
    """Bytes of each tile-part, from TLM; empty without TLM."""
    length: int
    """Bytes of the main header, up to the first SOT."""
    total: int | None
    """Bytes of the whole codestream, from TLM; None without TLM."""
    resolution_ends: tuple[int, ...]
    """For each resolution, smallest first: the bytes from 0 that hold it. Empty if TLM does not tell."""
    reasons: tuple[str, ...]
    """Why this is not HTJ2K Lossless RPCL, 1.2.840.10008.1.2.4.202; empty if it is."""


def read_header(prefix: bytes) -> Header | None:
    """Reads the main header from a prefix; None if more bytes are needed.

    Raises `CodestreamError` if the bytes are not a codestream (T.800 annex A).
    """
    main = read_main_header(prefix)
    if main is None:
        return None
    size = read_size(main)
    return describe(main, size, read_style(main, size.components))


def describe(main: MainHeader, size: Size, style: Style) -> Header:
    """Summarizes a parsed main header. Raises `CodestreamError` if its TLM is malformed."""
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
    # COC, a change of progression or packed packet headers can break "one tile-part per resolution".
    is_plain = not any(segment.marker in (COC, POC, PPM) for segment in main.segments)
    is_divided = size.tiles == 1 and style.goes_by_resolution and len(parts) == style.decompositions + 1
    if not is_plain or not is_divided:
        return ()
    return tuple(accumulate(parts, initial=main.length))[1:]


def _reasons(size: Size, style: Style, is_htj2k: bool, has_tlm: bool) -> tuple[str, ...]:
    """Lists the requirements of PS3.5 10.18 that are not met."""
    width, height = size.reduced(style.decompositions)
    found = (
        (not is_htj2k, "its blocks are not HTJ2K"),
        (not all(coding.is_reversible for coding in style.codings), "its wavelet is not the reversible one"),
        (style.progression != "RPCL", f"its progression is {style.progression}, not RPCL"),
        (min(width, height) > MAX_BASE, f"its smallest resolution is {width}x{height}, above {MAX_BASE}"),
        (not has_tlm, "it has no TLM"),
    )
    return tuple(reason for is_so, reason in found if is_so)
