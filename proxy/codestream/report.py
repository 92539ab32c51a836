"""Summarizes a codestream: its form, where its resolutions end, and whether it is complete."""

from dataclasses import dataclass

from proxy.codestream.layout import Method, read_layout
from proxy.codestream.whole import fault_of
from proxy.errors import CodestreamError

FIRST = 65536
"""Bytes of the first fetch by default."""


@dataclass(frozen=True, slots=True)
class ReportedResolution:
    """One resolution of the report."""

    reduce: int
    """The decoder's reduction; 0 is full size."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    end: int | None
    """Bytes from 0 that hold the resolution; None if unknown."""


@dataclass(frozen=True, slots=True)
class Report:
    """A summary of a codestream, as far as its bytes reveal it."""

    width: int
    """Pixels of the full size."""
    height: int
    """Pixels of the full size."""
    components: int
    """1 is grey, 3 is colour."""
    bit_depth: int
    """Bits of the first component, sign included."""
    decompositions: int
    """Wavelet decompositions; there is one more resolution than that."""
    progression: str
    """LRCP, RLCP, RPCL, PCRL or CPRL."""
    tiles: int
    """Number of tiles; usually 1."""
    tile_parts: int | None
    """Tile-parts in TLM; None without TLM."""
    have: int
    """Bytes that were read."""
    total: int | None
    """Bytes of the whole codestream; None if unknown."""
    fault: str
    """Why the codestream is not complete; empty if it is."""
    method: Method
    """How the ends were found."""
    reason: str
    """Why some ends can't be found; empty if they can."""
    reasons: tuple[str, ...]
    """Why it is not HTJ2K Lossless RPCL, 1.2.840.10008.1.2.4.202 (PS3.5 10.18); empty if it is."""
    resolutions: tuple[ReportedResolution, ...]
    """The smallest first."""

    def shown_by(self, have: int) -> ReportedResolution | None:
        """Returns the finest resolution known to be in the first `have` bytes; None if there is none."""
        held = [each for each in self.resolutions if each.end is not None and each.end <= have]
        return held[-1] if held else None


def report(codestream: bytes) -> Report:
    """Summarizes a codestream or a prefix of one. Raises `CodestreamError` if it is neither."""
    layout = read_layout(codestream)
    if layout is None:
        raise CodestreamError("it ends in its main header")
    fault, header = fault_of(codestream), layout.header
    total = layout.total or (None if fault else len(codestream))
    return Report(
        width=header.width,
        height=header.height,
        components=header.components,
        bit_depth=header.bit_depth,
        decompositions=header.decompositions,
        progression=header.progression,
        tiles=header.tiles,
        tile_parts=len(header.tile_parts) or None,
        have=len(codestream),
        total=total,
        fault=fault,
        method=layout.method,
        reason=layout.reason,
        reasons=header.reasons,
        resolutions=tuple(
            ReportedResolution(header.decompositions - number, width, height, end)
            for number, ((width, height), end) in enumerate(zip(layout.sizes, layout.ends, strict=True))
        ),
    )
