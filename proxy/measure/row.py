"""One line of the table; values only."""

from dataclasses import dataclass
from enum import StrEnum

from proxy.measure.network import Network
from proxy.measure.series import Subject


class Link(StrEnum):
    """Where the shaped link is."""

    ORIGIN = "origin"
    """Before the origin: the proxy stands near the viewer."""
    VIEWER = "viewer"
    """Before the viewer: the proxy stands near the origin."""


class Cache(StrEnum):
    """What the proxy held when the load began."""

    NONE = "none"
    """There was no proxy."""
    COLD = "cold"
    """Nothing of these frames."""
    HOT = "hot"
    """All of them."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One load."""

    first_ms: float
    """Milliseconds until the bytes of a first picture were there."""
    final_ms: float
    """Milliseconds until every byte was there."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. Milliseconds are medians of the samples; a limit is None where there is none."""

    subject: Subject
    """What was loaded."""
    way: str
    """How it was asked for."""
    is_plan: bool
    """Whether the proxy loaded it by itself, by a plan, and no viewer."""
    cache: Cache
    """What the proxy held; none is directly from the origin."""
    link: Link
    """Where the link was."""
    network: Network
    """What the link was shaped as."""
    first_bytes: int
    """Bytes that the first picture takes."""
    size: int
    """Bytes of all frames."""
    first_resolution: str | None
    """The picture that the first bytes hold; None where decoding does not tell."""
    first_ms: float
    """Until the bytes of a first picture are there."""
    seen_ms: float | None
    """Until every slice is seen: it has at least a quarter-size picture. None for a stack."""
    final_ms: float
    """Until every byte of every frame is there."""
    first_limit_ms: float | None
    """What the link allows for it."""
    seen_limit_ms: float | None
    """What the link allows for the bytes of these pictures alone."""
    final_limit_ms: float | None
    """What the link allows for it."""
    samples: tuple[Sample, ...]
    """Each load."""

    @property
    def via(self) -> str:
        """`direct`, `proxy` or `plan`."""
        if self.cache is Cache.NONE:
            return "direct"
        return "plan" if self.is_plan else "proxy"
