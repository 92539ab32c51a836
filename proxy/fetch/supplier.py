"""The suppliers of the bytes of frames: its origin, or a maker of what the origin lacks."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from proxy.errors import UnknownName
from proxy.fetch.demand import Demand
from proxy.fetch.gate import Gate
from proxy.frame.identity import Claim
from proxy.frame.key import FrameKey
from proxy.frame.supply import Answer, OriginRequest
from proxy.wire.ranges import Span


class Supplier(Protocol):
    """An origin, or a maker of alternates or rendered pictures."""

    @property
    def keeps_labels(self) -> bool:
        """True if HTJ2K is handed on under the label that it came with."""

    @property
    def has_validators(self) -> bool | None:
        """True if its frames have strong validators; None as long as that is not known."""

    def may_ask_again(self) -> bool:
        """True if one request that failed may be sent again; counts it."""

    def fetch(
        self, asked: OriginRequest, span: Span, held: Claim | None, stage: str, demand: Demand
    ) -> AbstractAsyncContextManager[Answer]:
        """A span of a codestream; `held` guards it against another version. Raises `ProxyError`."""


@dataclass(frozen=True, slots=True)
class GatedSupplier:
    """A supplier with its gate."""

    supplier: Supplier
    """Where fetches go."""
    gate: Gate
    """When each fetch may go."""


class Suppliers:
    """Finds the supplier of a frame by its key."""

    def __init__(self, origins: Mapping[str, GatedSupplier]) -> None:
        """`origins` are by name."""
        self._origins = origins
        self._makers: dict[str, GatedSupplier] = {}

    def register(self, frames_path: str, maker: GatedSupplier) -> None:
        """Lets a maker supply what has this path segment."""
        self._makers[frames_path] = maker

    def of(self, key: FrameKey, *, is_made: bool = False) -> GatedSupplier:
        """The maker for what `is_made` here, else the origin. Raises `UnknownName`."""
        found = self._makers.get(key.frames_path) if is_made else self._origins.get(key.origin)
        if found is None:
            raise UnknownName("no origin of that name")
        return found
