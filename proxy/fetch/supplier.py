"""Suppliers of a frame's bytes: its origin, or a maker of forms that the origin lacks."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from proxy.errors import UnknownName
from proxy.fetch.account import FetchSize
from proxy.fetch.demand import Demand
from proxy.fetch.gate import Gate, Seat
from proxy.frame.identity import Claim
from proxy.frame.key import FrameKey
from proxy.frame.supply import Answer, OriginRequest
from proxy.telemetry.traces import Traces, context_in
from proxy.wire.ranges import Span

GATE = "wait at the gate"
"""The name of the span of a fetch that waits."""


class Supplier(Protocol):
    """An origin, or a maker of alternates or rendered pictures."""

    @property
    def keeps_labels(self) -> bool:
        """True if HTJ2K keeps the media type that the supplier gave it."""

    @property
    def has_validators(self) -> bool | None:
        """True if its frames have strong validators; None if that is not known yet."""

    @property
    def has_ranges(self) -> bool | None:
        """True if it answers a range with a range; None if that is not known yet."""

    def may_ask_again(self) -> bool:
        """Counts a retry, and returns True if a failed request may be retried now."""

    def fetch(
        self,
        asked: OriginRequest,
        span: Span,
        held: Claim | None,
        stage: str,
        demand: Demand,
        stale: Claim | None = None,
    ) -> AbstractAsyncContextManager[Answer]:
        """Fetches a span of a codestream, of the version in `held` if given. Raises `ProxyError`.

        If the supplier still has the version in `stale`, it may answer that instead.
        """


@dataclass(frozen=True, slots=True)
class GatedSupplier:
    """A supplier with its gate."""

    supplier: Supplier
    """The supplier to which fetches go."""
    gate: Gate
    """The gate that decides when each fetch goes out."""
    stall: float = 30.0
    """Seconds for which a response that has begun waits if the supplier is busy."""
    traces: Traces | None = None
    """Makes a span for each wait at the gate; None if traces are off."""

    def seat(
        self, asked: OriginRequest, demand: Demand, size: Callable[[], FetchSize], *, is_first: bool
    ) -> AbstractAsyncContextManager[Seat]:
        """Waits for a seat at the gate. See `Gate.seat`."""
        context = context_in(asked.trace) if self.traces is not None else ()
        waited = self.gate.seat(demand, size, is_first=is_first)
        return _traced(waited, self.traces, context, is_first=is_first) if self.traces and context else waited


@asynccontextmanager
async def _traced(
    waited: AbstractAsyncContextManager[Seat],
    traces: Traces,
    context: tuple[tuple[str, str], ...],
    *,
    is_first: bool,
) -> AsyncIterator[Seat]:
    stage = "first" if is_first else "completion"
    span = traces.span("internal", GATE, context, {"progressive_proxy.stage": stage})
    async with AsyncExitStack() as stack:
        try:
            seat = await stack.enter_async_context(waited)
        except BaseException as error:
            span.end(type(error).__name__)
            raise
        span.end()
        yield seat


class Suppliers:
    """Finds the supplier of a frame by its key."""

    def __init__(self, origins: Mapping[str, GatedSupplier]) -> None:
        """`origins` has the suppliers by the names of their origins."""
        self._origins = origins
        self._makers: dict[str, GatedSupplier] = {}

    def register(self, frames_path: str, maker: GatedSupplier) -> None:
        """Registers the maker of frames with this path segment."""
        self._makers[frames_path] = maker

    def of(self, key: FrameKey, *, is_made: bool = False) -> GatedSupplier:
        """The maker if the frame `is_made` here, else the origin. Raises `UnknownName`."""
        found = self._makers.get(key.frames_path) if is_made else self._origins.get(key.origin)
        if found is None:
            raise UnknownName("no origin of that name")
        return found
