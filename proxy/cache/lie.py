"""How a frame lies in a tier. Pure."""

from dataclasses import dataclass
from hashlib import sha256

from proxy.cache.record import Record
from proxy.cache.sealed import Name
from proxy.frame.frame import PIECE


@dataclass(frozen=True, slots=True)
class Lie:
    """How a frame lies in a tier: its first piece, and pieces of one size."""

    name: Name
    """Its names."""
    version: str
    """Digest of its version."""
    begin: int
    """Bytes of the first piece."""
    total: int
    """Bytes of the whole frame."""
    fences: bytes = b""
    """The fences that it lies behind, if the tier has any (`proxy.cache.fenced`)."""

    @classmethod
    def of(cls, name: Name, record: Record, fences: bytes = b"") -> "Lie":
        """How the frame of a record lies."""
        return cls(name, record.identity.digest, record.first, record.identity.claim.total, fences)

    @property
    def pieces(self) -> int:
        """Number of pieces of the rest."""
        return -(-(self.total - self.begin) // PIECE)

    def span(self, number: int) -> tuple[int, int]:
        """The bytes of the frame that a piece has."""
        start = self.begin + number * PIECE
        return start, min(start + PIECE, self.total)

    def about(self, what: str) -> bytes:
        """The facts that a seal is bound to."""
        about = (self.name.exact, self.version.encode(), what.encode())
        # Behind fences each value lies by itself, and may outlive a record with another first piece.
        return b"\n".join((*about, b"%d" % self.begin, self.fences) if self.fences else about)

    @property
    def mark(self) -> bytes:
        """Tells pieces from those of another version, of other fences, or of another first piece."""
        return sha256(self.about("rest")).hexdigest()[:8].encode()
