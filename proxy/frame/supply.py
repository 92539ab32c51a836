"""What a supplier is asked for one frame, and what it answers, as values."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal

from proxy.frame.identity import Claim
from proxy.frame.key import FrameKey

Headers = Sequence[tuple[str, str]]
Validators = Literal["strict", "length", "off"] | None


@dataclass(frozen=True, slots=True)
class OriginRequest:
    """What every fetch of one frame asks for, and for whom."""

    key: FrameKey
    """The frame, or what is made of it."""
    credentials: Headers
    """The caller's own headers that prove who asks; never logged, never part of a key."""
    trace: Headers = ()
    """Headers by which the viewer's request is followed: its trace, and the proxies that it came through."""
    validators: Validators = None
    """What must agree before a completion is appended; None is strict if there is a strong validator."""

    @property
    def path(self) -> str:
        """Path and query below the base of the origin."""
        return self.key.path


@dataclass(frozen=True, slots=True)
class Answer:
    """A response that was believed, with its body still to come."""

    claim: Claim
    """What it says of the codestream."""
    start: int
    """First byte of the body in the codestream."""
    stop: int
    """One past its last byte."""
    chunks: AsyncIterator[bytes]
    """The body as it arrives, exactly `stop - start` bytes; raises `OriginHungUp` if it is shorter."""
