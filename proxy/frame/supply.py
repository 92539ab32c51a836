"""What is asked for one frame and what is answered, as values; whoever gives it."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from proxy.frame.frame import Claim

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Asked:
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
