"""The record of a frame in a tier: its identity and its lease as bytes, with the wall clock's times. Pure.

A lease is dated by the monotonic clock, which begins anew with the machine. A record has the time of the wall
clock instead. If the wall clock was set back in between, the frame seems to come from the future. Its age is
not known then, so the record is not used.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from time import monotonic, time

from proxy.cache.tier import Wrong
from proxy.frame.frame import Frame
from proxy.frame.identity import Claim, Condition, Identity, Lease

VERSION = 2
"""Raised when a record of an older release would be misread. It is part of every name in a tier."""
SAME = 1.0
"""Seconds by which the times of two records may differ that say the same."""
AHEAD = 5.0
"""Seconds that the wall clock may be set back without a frame seeming to come from the future."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """The two clocks, for one process."""

    monotonic: Callable[[], float] = monotonic
    """Seconds since some time of this machine."""
    wall: Callable[[], float] = time
    """Unix time."""

    def wall_of(self, at: float) -> float:
        """The Unix time of a time on the monotonic clock."""
        return self.wall() - (self.monotonic() - at)

    def monotonic_of(self, at: float) -> float:
        """The time on the monotonic clock of a Unix time. Raises `Wrong` if that is still to come."""
        age = self.wall() - at
        if age < -AHEAD:
            raise Wrong("a frame from the future")
        return self.monotonic() - max(0.0, age)


@dataclass(frozen=True, slots=True)
class Record:
    """The facts about a frame that a tier keeps beside its bytes."""

    identity: Identity
    """The version, with a lease that is dated by the monotonic clock."""
    first: int
    """Bytes of the first piece."""

    @classmethod
    def of(cls, frame: Frame) -> "Record":
        """The record of a frame."""
        return cls(frame.identity, len(frame.pieces[0]))

    def since(self, clocks: Clocks) -> float:
        """The Unix time at which the origin made the response."""
        lease = self.identity.claim.lease.dated(clocks.monotonic())
        return clocks.wall_of(lease.after(0.0, 0.0))

    def is_like(self, other: "Record") -> bool:
        """True if two records say the same; the wall clock may have moved a little between them."""
        one, two = self.identity.claim.lease.since, other.identity.claim.lease.since
        is_as_old = one is not None and two is not None and abs(one - two) < SAME
        return is_as_old and _undated(self) == _undated(other)

    def to_bytes(self, clocks: Clocks) -> bytes:
        """The record as JSON."""
        said = asdict(self)
        said["identity"]["claim"]["lease"]["since"] = self.since(clocks)
        return json.dumps(said, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, content: bytes, clocks: Clocks) -> "Record":
        """Reads a record. Raises `Wrong`."""
        try:
            said = json.loads(content)
            named, claim = said["identity"], said["identity"]["claim"]
            lease, condition = claim["lease"], claim["lease"]["condition"]
            claim["lease"] = Lease(**lease | {"condition": Condition(*condition) if condition else None})
            named |= {"claim": Claim(**claim), "ends": tuple(named["ends"])}
            record = cls(Identity(**named), said["first"])
        except (ValueError, TypeError, KeyError) as error:
            raise Wrong("no record of this release") from error
        return record.dated_anew(clocks)

    def dated_anew(self, clocks: Clocks) -> "Record":
        """The record with its time on the monotonic clock."""
        claim = self.identity.claim
        since = clocks.monotonic_of(claim.lease.since or 0.0)
        claim = replace(claim, lease=replace(claim.lease, since=since))
        return replace(self, identity=replace(self.identity, claim=claim))


def _undated(record: Record) -> Record:
    claim = record.identity.claim
    claim = replace(claim, lease=replace(claim.lease, since=None))
    return replace(record, identity=replace(record.identity, claim=claim))
