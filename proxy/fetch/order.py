"""How to fetch one frame."""

from dataclasses import dataclass

from proxy.codestream.reach import ResolutionTarget
from proxy.fetch.supplier import GatedSupplier
from proxy.frame.identity import IDENTIFYING
from proxy.frame.key import FrameKey
from proxy.frame.supply import OriginRequest

DEFAULT_FIRST = 65536
"""Bytes that count as first if a frame is fetched by one plain request."""


@dataclass(frozen=True, slots=True)
class FillOrder:
    """How to fetch one frame."""

    source: GatedSupplier
    """The supplier of the frame, with its gate."""
    asked: OriginRequest
    """The request to the supplier."""
    first: int | ResolutionTarget | None
    """How far the first fetch goes; None is one plain request for the whole frame."""
    least: int = IDENTIFYING
    """Minimum size of the first fetch, in bytes. Viewers get no response before the frame is identified."""
    is_whole: bool = False
    """True if the viewer that started the fill wants the whole frame."""
    is_alone: bool = False
    """True if no other request may join the fill, and its frame is not stored."""

    @property
    def key(self) -> FrameKey:
        """The key under which the frame is stored."""
        return self.asked.key
