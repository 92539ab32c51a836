"""Where looking into a codestream ends: its bytes do, or it is more than anybody sends."""

from proxy.errors import CodestreamError

MAX_WORK = 32768
"""Precincts, packets, code-blocks and marker segments that are looked at in one codestream."""


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
                f"there are more than {MAX_WORK} precincts, packets and code-blocks to look at"
            )
