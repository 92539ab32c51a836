"""Computes when a slice of a volume is visible: at a quarter of its width and height, or more. Pure."""

from proxy.codestream.header import read_header
from proxy.errors import CodestreamError
from proxy.measure.picture import FIRST

HALVINGS = 2
"""Halvings of width and height: a slice of 512x512 is visible at 128x128."""


def quarter_end(codestream: bytes) -> int:
    """Returns the bytes from 0 that hold the quarter-size picture of a complete codestream.

    Without TLM these are the 64 KiB after which a viewer decodes, or all bytes if there are fewer.

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
