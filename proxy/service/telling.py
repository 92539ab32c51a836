"""Tells the other workers of a service what happened in this one."""

from collections.abc import Callable
from dataclasses import dataclass

from proxy.frame.scope import FrameScope


def _nobody(*_: object) -> None:
    """There are no other workers."""


@dataclass
class Telling:
    """The orders for the other workers."""

    dropped: Callable[[FrameScope, bool], None] = _nobody
    """A scope was dropped here; True if it was a purge."""
    relearned: Callable[[str], None] = _nobody
    """The forms of request were forgotten that the origin of this name understands."""
