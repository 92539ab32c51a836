"""Orders: how to fetch one frame, and how much of it first."""

from dataclasses import dataclass

from proxy.codestream.reach import PROBE, UNTOLD, ResolutionTarget, Stop
from proxy.fetch.learned import Learned
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
    is_stale: bool = False
    """True if the bytes that the cache holds may be used only once the supplier has revalidated them."""

    @property
    def key(self) -> FrameKey:
        """The key under which the frame is stored."""
        return self.asked.key

    @property
    def named_first(self) -> int:
        """Bytes that count as first, unless the first fetch is smaller."""
        return max(self.first, IDENTIFYING) if isinstance(self.first, int) else DEFAULT_FIRST


def first_fetch(order: FillOrder, stop: Stop | None, learned: Learned) -> tuple[int | None, bool]:
    """Returns the bytes of the first fetch, and True if they were learned from other frames.

    None instead of the bytes is one plain request for the whole frame.
    """
    is_unguarded = order.asked.validators == "strict" and order.source.supplier.has_validators is False
    if order.first is None or is_unguarded or learned.is_apart(order.key):
        return None, False
    if isinstance(order.first, int):
        return _in_time(order, max(order.first, order.least), learned), False
    guess = learned.guess(order.key, order.first)
    # If the whole frame is wanted, the completion follows at once. It would bring the bytes that a small
    # probe lacks, but only after the first fetches of other frames.
    size = (UNTOLD if stop is None else PROBE) if guess is None else guess
    return _in_time(order, max(size, order.least), learned), guess is not None


def _in_time(order: FillOrder, first: int, learned: Learned) -> int | None:
    """Returns the bytes of the first fetch, enough to keep the link busy until the completion begins.

    If the viewer wants the whole frame and the first bytes would take less than a round trip, returns None
    for one plain request. A frame only a little longer than its first bytes also takes one request.
    """
    window = order.source.gate.window
    if not order.is_whole:
        return first
    if first <= window.in_one_round_trip:
        return None
    total = learned.guess(order.key, None)
    return max(first, total) if total is not None and total - first < window.size else first
