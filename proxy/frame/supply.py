"""What is asked for one frame and what is answered, as values; whoever gives it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from proxy.frame.identity import Claim
from proxy.wire.ranges import Span

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class OriginRequest:
    """What is asked of an origin for one frame, the same in each of its fetches."""

    path: str
    """Below the origin's base, with its query."""
    credentials: Headers
    """The viewer's own headers that prove who asks; never logged, never part of a key."""
    trace: Headers = ()
    """By what the request that made the fetch is followed: its trace, and the proxies before us."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was believed, with its body still to come."""

    claim: Claim
    """What it says of the codestream."""
    start: int
    """First byte of the body in the codestream."""
    stop: int
    """One past its last byte."""
    chunks: AsyncIterator[bytes]
    """The body as it arrives, exactly `stop - start` bytes; raises `OriginHungUp` where it is shorter."""


class Supplier(Protocol):
    """Who gives the bytes of frames: an origin, or whoever makes an alternate."""

    @property
    def keeps_labels(self) -> bool:
        """Whether HTJ2K is handed on under the label that it came with."""

    @property
    def has_validators(self) -> bool | None:
        """Whether its frames have strong validators; None where that is not known yet."""

    def may_ask_again(self) -> bool:
        """Whether one request that failed may be asked again; counts it."""

    def fetch(
        self, asked: OriginRequest, span: Span, held: Claim | None, stage: str
    ) -> AbstractAsyncContextManager[Answer]:
        """A span of a codestream; `held` guards it against another version. Raises `ProxyError`."""
