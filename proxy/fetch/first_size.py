"""How many bytes the first fetch of a frame asks for."""

from proxy.codestream.reach import PROBE, UNTOLD, Stop
from proxy.fetch.learned import Learned
from proxy.fetch.order import FillOrder


def first_size(order: FillOrder, stop: Stop | None, learned: Learned) -> tuple[bool, int | None]:
    """Returns True if the size of the first fetch was learned, and that size in bytes.

    The size is None if the frame is fetched by one plain request.
    """
    is_unguarded = order.asked.validators == "strict" and order.source.supplier.has_validators is False
    if order.first is None or is_unguarded or learned.is_apart(order.key):
        return False, None
    if isinstance(order.first, int):
        return False, _in_time(order, max(order.first, order.least), learned)
    guess = learned.guess(order.key, order.first)
    # If the whole frame is wanted, the completion follows at once. It would bring the bytes that a small
    # probe lacks, but only after the first fetches of other frames.
    size = (UNTOLD if stop is None else PROBE) if guess is None else guess
    return guess is not None, _in_time(order, max(size, order.least), learned)


def _in_time(order: FillOrder, first: int, learned: Learned) -> int | None:
    """Returns the bytes of the first fetch, enough to keep the link busy until the completion begins.

    If the viewer wants the whole frame and the first bytes would take less than a round trip, returns
    None for one plain request. A frame only a little longer than its first bytes also takes one request.
    """
    window = order.source.gate.window
    if not order.is_whole:
        return first
    if first <= window.in_one_round_trip:
        return None
    total = learned.guess(order.key, None)
    return max(first, total) if total is not None and total - first < window.size else first
