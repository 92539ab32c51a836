"""A probe: asks the origin for the first bytes of a frame, and compares them with the version that is held.

A probe is a fill of its own, which nobody joins. So a caller who is refused can't tell a probe from a fetch:
they wait at the same gate, with the same rank and patience, and count in the same metrics.
"""

from collections.abc import Iterable
from contextlib import suppress

from proxy.cache.store import Store
from proxy.errors import ProxyError
from proxy.fetch.fills import Fills
from proxy.fetch.order import DEFAULT_FIRST, FillOrder
from proxy.fetch.reader import FillReader
from proxy.fetch.supplier import GatedSupplier
from proxy.frame.frame import cut
from proxy.frame.identity import IDENTIFYING, Claim
from proxy.frame.supply import OriginRequest


async def is_other_version(
    source: GatedSupplier, store: Store, fills: Fills, asked: OriginRequest, stop: int | None
) -> bool:
    """True if the origin shows this caller another version than the one held. Raises `OriginError`."""
    is_first = isinstance(stop, int) and stop <= DEFAULT_FIRST
    # As a fetch would: if the origin refuses a range that it may not know, it is asked without it.
    is_ranged = is_first or source.supplier.has_ranges
    order = FillOrder(source, asked, IDENTIFYING if is_ranged else None, is_alone=True)
    fill = fills.start(order, None, IDENTIFYING)
    number = next(source.gate.numbers)
    fill.demand.view(asked.person, number, is_first_enough=is_first, is_early=is_first, has_first=False)
    reader = FillReader(fill)
    try:
        claim = (await reader.describe()).claim
        leading = _joined(fill.arrived.views(0, IDENTIFYING))
    finally:
        reader.leave()
        fills.tasks.cancel(fill)  # the rest is left unread
    held = await _held(store, fills, asked)
    return held is not None and not _is_same(*held, claim, leading)


async def _held(store: Store, fills: Fills, asked: OriginRequest) -> tuple[Claim, bytes] | None:
    """The version that others read, and its first bytes; None if there is none."""
    fill = fills.get(asked.key)
    if fill is None:
        frame = store.get(asked.key)
        return None if frame is None else (frame.identity.claim, _joined(cut(frame.pieces, 0, IDENTIFYING)))
    fill.demand.join(asked.person)
    with suppress(ProxyError):
        while fill.identity is None:
            await fill.changed()
    if fill.identity is None:
        return None
    return fill.identity.claim, _joined(fill.arrived.views(0, IDENTIFYING))


def _joined(pieces: Iterable[bytes | memoryview]) -> bytes:
    return b"".join(pieces)


def _is_same(known: Claim, first: bytes, claim: Claim, leading: bytes) -> bool:
    """True if an answer with this claim and these leading bytes can be of the version held."""
    is_named = known.form == claim.form and None not in (known.validator, claim.validator)
    if known.total != claim.total or (is_named and known.validator != claim.validator):
        return False
    size = min(len(first), len(leading))
    return first[:size] == leading[:size]
