"""The rights to what is held of a study beside its frames: the origin's yes to each caller, by kind.

A yes to metadata says nothing about pixels, and one to a list of series nothing about metadata. So these are
kept apart from each other and from the yes to frames (`proxy.fetch.permits`).

A caller without a yes asks the origin itself, for the very resource that it wants. If the origin confirms the
copy that others fetched, or sends the same bytes, the caller may read what others fetched of this kind in the
study. If it sends other bytes, the caller reads a partition of its own as long as the yes counts.
"""

from dataclasses import dataclass

from proxy.access.caller import ASKED, Caller
from proxy.access.proofs import Name, Proofs
from proxy.frame.scope import FrameScope
from proxy.wire.dicomweb import Kind, StudyResource


@dataclass(frozen=True, slots=True)
class Right:
    """The right of a caller to one kind of resources in a study, now."""

    caller: bytes
    """The caller by a digest; empty if nobody has to be asked."""
    partition: bytes
    """The partition that it reads."""
    name: Name | None = None
    """The name under which the yes is noted; None if nobody has to be asked."""
    has_yes: bool = False
    """True if a yes of the origin counts now."""
    reads_others: bool = False
    """True if it may read what others fetched."""

    def covers(self, fetched_by: bytes) -> bool:
        """True if it may read what this caller fetched, without a request of its own."""
        return self.name is None or self.reads_others or (self.has_yes and fetched_by == self.caller)


class Rights:
    """The rights of all callers."""

    def __init__(self, proofs: Proofs) -> None:
        """`proofs` is a book of its own."""
        self.proofs = proofs
        """The yes of each caller."""

    @property
    def refusals(self) -> int:
        """Number of refusals so far; a request notes it when the head of its response is in."""
        return self.proofs.refusals

    def of(self, caller: Caller, resource: StudyResource) -> Right:
        """The right of a caller to a resource."""
        if not resource.study:  # each caller has a list of studies of its own
            return Right(b"", caller.identity or caller.partition)
        if not caller.identity:
            return Right(b"", caller.partition)
        name = caller.identity, caller.origin, _book(resource.study, resource.kind)
        yes = self.proofs.yes(name)
        if yes is None:
            return Right(caller.identity, ASKED, name)
        reads_others = yes.is_compared or yes.partition != ASKED
        return Right(caller.identity, yes.partition, name, has_yes=True, reads_others=reads_others)

    def allow(self, right: Right, refusals: int) -> None:
        """The origin let the caller read."""
        if right.name is not None:
            self.proofs.allow(right.name, right.partition, refusals)

    def compared(self, right: Right, refusals: int, *, is_same: bool) -> bytes:
        """The same, and its bytes were compared. Returns the partition that the caller reads from now on."""
        if right.name is None:
            return right.partition
        partition = ASKED if is_same else right.caller
        return self.proofs.allow(right.name, partition, refusals, is_compared=True).partition

    def refuse(self, right: Right) -> None:
        """The origin refused the caller."""
        if right.name is not None:
            self.proofs.revoke(right.name)

    def forget(self, named: FrameScope) -> None:
        """Forgets each yes for a study."""
        for kind in Kind:
            self.proofs.forget(named.origin, _book(named.study, kind), is_held=False)

    def doubt(self) -> None:
        """Ends each yes."""
        self.proofs.doubt()


def _book(study: str, kind: Kind) -> str:
    return f"{study} {kind}"
