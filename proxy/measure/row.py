"""One row of the table. Values only."""

from dataclasses import dataclass
from enum import StrEnum

from proxy.measure.network import Network
from proxy.measure.series import Subject


class Link(StrEnum):
    """The place of the shaped link."""

    ORIGIN = "origin"
    """Before the origin; the proxy is close to the viewer."""
    VIEWER = "viewer"
    """Before the viewer; the proxy is close to the origin."""


class Cache(StrEnum):
    """State of the proxy's cache when the load began."""

    NONE = "none"
    """There was no proxy."""
    COLD = "cold"
    """The cache held none of the frames."""
    HOT = "hot"
    """The cache held all of the frames."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One load."""

    first_ms: float
    """Milliseconds until the bytes of a first picture had arrived."""
    final_ms: float
    """Milliseconds until every byte had arrived."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table. Milliseconds are medians of the samples; a limit is None without a link."""

    subject: Subject
    """The frames that were loaded."""
    way: str
    """How the viewer requested the frames."""
    is_plan: bool
    """True if the proxy loaded the frames by a plan, without a viewer."""
    cache: Cache
    """State of the proxy's cache; none is directly from the origin."""
    link: Link
    """The place of the link."""
    network: Network
    """The network that the link simulated."""
    first_bytes: int
    """Bytes of the first picture."""
    size: int
    """Bytes of all frames."""
    first_resolution: str | None
    """The picture that the first bytes hold; None if decoding does not tell."""
    first_ms: float
    """Until the bytes of a first picture had arrived."""
    seen_ms: float | None
    """Until every slice had at least a quarter-size picture. None for a stack."""
    final_ms: float
    """Until every byte of every frame had arrived."""
    first_limit_ms: float | None
    """The least time that the link allows for `first_bytes`."""
    seen_limit_ms: float | None
    """The least time that the link allows for the bytes of all quarter-size pictures."""
    final_limit_ms: float | None
    """The least time that the link allows for `size`."""
    samples: tuple[Sample, ...]
    """All loads."""

    @property
    def via(self) -> str:
        """`direct`, `proxy` or `plan`."""
        if self.cache is Cache.NONE:
            return "direct"
        return "plan" if self.is_plan else "proxy"
