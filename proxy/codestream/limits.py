"""Where looking into a codestream ends: its bytes do, or it is more than anybody sends."""

from proxy.errors import CodestreamError

MAX_WORK = 32768
"""Code-blocks that are looked at in one codestream; a precinct or marker segment counts as one."""
PACKET_WORK = 4
"""A packet takes as long as so many code-blocks."""
RESOLUTION_WORK = 8
"""So does a resolution of one component in one tile."""


class NeedMore(Exception):
    """The prefix ends before the answer; never leaves this room."""


class Budget:
    """What may still be looked at, so that no codestream takes long or much memory."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = MAX_WORK

    def spend(self, units: int) -> None:
        """To be called before the work. Raises `CodestreamError` where that is more than is left."""
        self._left -= units
        if self._left < 0:
            raise CodestreamError(
                f"there is too much to look at, more than {MAX_WORK} code-blocks or the like"
            )
