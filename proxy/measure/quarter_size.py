"""When a slice of a volume is seen: once it has a quarter of its width and height, or more; pure."""

from proxy.codestream.header import read_header
from proxy.errors import CodestreamError
from proxy.measure.picture import FIRST

HALVINGS = 2
"""Of width and height: a slice of 512x512 is seen at 128x128."""


def quarter_end(codestream: bytes) -> int:
    """So many bytes from 0 of a whole codestream hold its quarter-size picture.

    Where TLM does not tell: the 64 KiB after which a viewer decodes, or all there is.

    >>> quarter_end(bytes(100_000)), quarter_end(bytes(100))
    (65536, 100)
    """
    try:
        header = read_header(codestream)
    except CodestreamError:
        header = None
    if header is None or not header.resolution_ends:
        return min(FIRST, len(codestream))
    resolution = max(0, header.decompositions - HALVINGS)  # the smallest may be larger than a quarter
    return min(header.resolution_ends[resolution], len(codestream))
