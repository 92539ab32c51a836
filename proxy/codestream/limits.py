"""Bounds for reading a codestream: the end of the prefix, and a budget of work."""

from proxy.errors import CodestreamError

MAX_WORK = 32768
"""Code-blocks to visit in one codestream; a precinct or a marker segment counts as one."""
PACKET_WORK = 4
"""Cost of a packet, in code-blocks."""
RESOLUTION_WORK = 8
"""Cost of one resolution of one component in one tile, in code-blocks."""


class NeedMore(Exception):
    """The prefix ends before the answer; never leaves this package."""


class Budget:
    """The work that is left for one codestream. It bounds time and memory."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = MAX_WORK

    def spend(self, units: int) -> None:
        """Call it before the work. Raises `CodestreamError` if `units` exceeds what is left."""
        self._left -= units
        if self._left < 0:
            raise CodestreamError(f"reading it takes too much work, more than {MAX_WORK} code-blocks")
