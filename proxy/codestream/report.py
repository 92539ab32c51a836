"""What there is to say of one codestream: its form, where its resolutions end, whether it is whole."""

from dataclasses import dataclass

from proxy.codestream.layout import Method, read_layout
from proxy.codestream.whole import fault_of
from proxy.errors import CodestreamError

FIRST = 65536
"""Bytes of the first fetch where nothing else is said."""


@dataclass(frozen=True, slots=True)
class ReportedResolution:
    """One resolution."""

    reduce: int
    """The decoder's reduction; 0 is full size."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    end: int | None
    """So many bytes from 0 hold it; None where that can't be told."""


@dataclass(frozen=True, slots=True)
class Report:
    """A codestream, as far as its bytes tell."""

    width: int
    """Pixels of the full size."""
    height: int
    """Pixels of the full size."""
    components: int
    """1 is grey, 3 is colour."""
    bit_depth: int
    """Bits of the first component, sign included."""
    decompositions: int
    """Wavelet decompositions; there is one resolution more."""
    progression: str
    """LRCP, RLCP, RPCL, PCRL or CPRL."""
    tiles: int
    """1 where the picture is one tile."""
    tile_parts: int | None
    """As many as TLM names; None where there is no TLM."""
    have: int
    """Bytes that were read."""
    total: int | None
    """Bytes of the whole; None where that can't be told."""
    fault: str
    """Why it is not whole; empty where it is."""
    method: Method
    """How the ends were found."""
    reason: str
    """Why ends can't be told; empty where they can."""
    reasons: tuple[str, ...]
    """Why it is no HTJ2K Lossless RPCL, 1.2.840.10008.1.2.4.202 (PS3.5 10.18); empty where it is."""
    resolutions: tuple[ReportedResolution, ...]
    """The smallest first."""

    def shown_by(self, have: int) -> ReportedResolution | None:
        """The finest resolution that the first `have` bytes hold; None where none is, or it can't be told."""
        held = [each for each in self.resolutions if each.end is not None and each.end <= have]
        return held[-1] if held else None


def report(codestream: bytes) -> Report:
    """What a codestream, or a prefix of one, has to say of itself. Raises `CodestreamError`."""
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
