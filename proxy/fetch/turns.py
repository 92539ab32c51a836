"""The order of fetches at an origin: the turns, and the rank within a turn."""

from enum import IntEnum
from typing import NamedTuple


class Turn(IntEnum):
    """The purpose of a fetch; a lower turn goes first."""

    VIEWER_FIRST = 0
    """A viewer waits for the first bytes."""
    VIEWER_WHOLE = 1
    """A viewer waits for a whole frame: its first bytes, and the rest if it is short."""
    VIEWER_COMPLETION = 2
    """A viewer reads on."""
    LEFT_COMPLETION = 3
    """A viewer began the frame, and no viewer reads it now."""
    PLAN_FIRST = 4
    """No viewer has asked yet."""
    PLAN_COMPLETION = 5
    """No viewer has asked yet, and the first bytes are in already."""


class Rank(NamedTuple):
    """The place of a fetch in the queue. The lowest goes first; equal ranks go in order of arrival."""

    turn: Turn
    """The purpose of the fetch."""
    came: int = 0
    """Number of the plan, or of the viewer that reads on; a lower number is older."""
    request_type: int = 0
    """The place of its requestType: interaction 0, thumbnail 1, prefetch 2, compute 3."""
    priority: float = 0
    """The priority of its stage."""
