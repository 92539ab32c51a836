"""A request to a supplier for one frame, and its response, as values."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal

from proxy.frame.identity import Claim
from proxy.frame.key import FrameKey

Headers = Sequence[tuple[str, str]]
Validators = Literal["strict", "length", "off"] | None


@dataclass(frozen=True, slots=True)
class OriginRequest:
    """The request that all fetches of one frame share, on behalf of one caller."""

    key: FrameKey
    """The frame, alternate or picture to fetch."""
    credentials: Headers
    """The caller's authentication headers. They are never logged and never part of a key."""
    trace: Headers = ()
    """Tracing headers of the viewer's request, and the list of proxies that it came through."""
    validators: Validators = None
    """The check that a completion must pass. None means strict if there is a strong validator."""
    identity: bytes = b""
    """The caller by a digest, if the origin has to let it read first; else empty."""
    person: bytes = b""
    """The name of the caller for its fair share."""

    @property
    def path(self) -> str:
        """Path and query below the origin's base URL."""
        return self.key.path


@dataclass(frozen=True, slots=True)
class Answer:
    """A response that passed all checks. Its body has not arrived yet."""

    claim: Claim
    """The response's claim about the codestream."""
    start: int
    """Offset of the body's first byte in the codestream."""
    stop: int
    """One past the offset of the body's last byte."""
    chunks: AsyncIterator[bytes]
    """The body as it arrives, exactly `stop - start` bytes. Raises `OriginHungUp` if it is shorter."""
    is_unchanged: bool = False
    """True if the supplier still has the stale version that it was asked about. The body is empty then."""
