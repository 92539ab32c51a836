"""The book of proofs: which caller the origin let read which study, and for how long that counts. Pure.

A proof is for one credential, one origin and one study. The origin's yes counts for `ttl` seconds. Its no is
remembered for one frame and for a few seconds, so that a viewer that asks in a loop does not reach the
origin each time, and it ends the yes.

Most callers that ask now and then never come back, so the book has a bound. The oldest entry goes first. A
caller whose yes is gone is asked about again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from time import monotonic

from proxy.access.caller import ASKED
from proxy.cache.kept import NAME, Kept, Ledger
from proxy.errors import OriginRefused

MOST_KEPT = 65536
"""Most proofs that are kept, and most refusals."""
REFUSED_FOR = 3.0
"""Seconds for which a refusal is repeated without a request to the origin."""
RENEWED_FROM = 2 / 3
"""Share of its time after which a yes is renewed if the caller still asks."""
Name = tuple[bytes, str, str]
"""A caller by the digest of the credential, an origin by its name, and a study by its UID."""


@dataclass(frozen=True, slots=True)
class Yes:
    """The origin let a caller read a study."""

    until: float
    """Time on the book's clock from which the yes does not count."""
    renewed_from: float
    """Time on the book's clock from which the yes should be renewed."""
    partition: bytes = ASKED
    """The part of the cache that the caller reads: that of all, or one for this caller alone."""
    is_compared: bool = False
    """True if the origin showed the caller the same version of a frame as others."""


@dataclass(slots=True)
class Since:
    """The moment from which a response goes out to a caller who was let in."""

    refusals: int
    """Number of refusals up to then."""
    until: float
    """Time on the book's clock up to which the caller's yes counts."""


@dataclass(frozen=True, slots=True)
class _No:
    """The origin's refusal, in its own words. An exception would keep all that its traceback leads to."""

    study: tuple[str, str]
    until: float
    status: int
    challenge: str | None
    location: str | None


def is_of_caller(status: int) -> bool:
    """True if a refusal is about the caller: 401, 403, or a redirect, such as to a page to log in.

    Other statuses are about the frame or the form of the request.
    """
    return status in (401, 403) or 300 <= status < 400


class Proofs:
    """The answers of the origins about callers."""

    def __init__(
        self,
        ttl: float,
        clock: Callable[[], float] = monotonic,
        most_kept: int = MOST_KEPT,
        ledger: Ledger | None = None,
    ) -> None:
        """A yes counts for `ttl` seconds; with 0 it counts for nothing but the request that asked."""
        self._ttl = ttl
        self._clock = clock
        self._yes: Kept[Name, Yes] = Kept(ledger, most_kept, _size_of_name)
        self._refused: Kept[tuple[bytes, object], _No] = Kept(ledger, most_kept, _size_of_no)
        self._ended: Kept[Name, int] = Kept(ledger, most_kept, _size_of_name)
        self._sole: Kept[tuple[str, str], bytes] = Kept(ledger, most_kept, _size_of_name)
        self._forgotten = 0
        self.refusals = 0
        """Number of refusals so far. A request notes it when the head of its answer is in."""
        self.on_revoked: Callable[[Name], None] = lambda _name: None
        """Called with each yes that a refusal ends."""
        self.refused_for = REFUSED_FOR
        """Seconds for which a refusal is repeated."""

    def __len__(self) -> int:
        return len(self._yes) + len(self._refused) + len(self._ended) + len(self._sole)

    def yes(self, name: Name) -> Yes | None:
        """The yes that counts now, if there is one."""
        yes = self._yes.get(name)
        return yes if yes is not None and self._clock() < yes.until else None

    def now(self) -> Since:
        """This moment, for a caller who is let in now."""
        return Since(self.refusals, self._clock() + self._ttl if self._ttl else inf)

    def stands(self, name: Name, since: Since) -> bool:
        """True if a caller who was let in at that moment still is, as far as is known; notes what it found.

        A yes that was ended, or that has ended, stands only if there is another one by now.
        """
        now = self._clock()
        if since.refusals == self.refusals and now < since.until:
            return True
        yes = self.yes(name)
        if yes is None and (self._ended_at(name) > since.refusals or now >= since.until):
            return False
        since.refusals, since.until = self.refusals, since.until if yes is None else yes.until
        return True

    def _ended_at(self, name: Name) -> int:
        """The number of the refusal that ended a caller's yes last."""
        return max(self._forgotten, self._ended.get(name) or self._ended.lost or 0)

    def is_due(self, yes: Yes) -> bool:
        """True if a yes should be renewed, since it is used and ends soon."""
        return self._clock() >= yes.renewed_from

    def may_read_others(self, name: Name, yes: Yes) -> bool:
        """True if the caller may read what others fetched of the study, or if there are no others."""
        return yes.is_compared or self._sole.get(name[1:]) == name[0]

    def allow(
        self,
        name: Name,
        partition: bytes = ASKED,
        refusals: int | None = None,
        *,
        is_compared: bool = False,
    ) -> Yes:
        """The origin let the caller read. A partition of its own stays its own while the yes counts.

        `refusals` is the number from when the answer came. If the caller was refused since, or proofs were
        forgotten, the yes counts for nothing but the request that asked.
        """
        if refusals is not None and self._ended_at(name) > refusals:
            return Yes(0.0, 0.0, partition)
        before, now = self._yes.get(name), self._clock()
        if before is not None and now < before.until:
            is_compared |= before.is_compared
            partition = partition if before.partition == ASKED else before.partition
        yes = Yes(now + self._ttl, now + self._ttl * RENEWED_FROM, partition, is_compared)
        self._yes.put(name, yes)
        if partition == ASKED:
            self._note_reader(name)
        return yes

    def _note_reader(self, name: Name) -> None:
        """Notes who is the only caller that ever read a study; empty if there were or may be several."""
        caller, study = name[0], name[1:]
        before = self._sole.get(study)
        is_sole = before == caller or (before is None and self._sole.lost is None)
        self._sole.put(study, caller if is_sole else b"")

    def note_others(self, origin: str, study: str) -> None:
        """Notes that something of a study is held that may be of any caller."""
        self._sole.put((origin, study), b"")

    def refuse(self, name: Name, what: object, error: OriginRefused) -> None:
        """The origin refused the caller; `what` is what was asked for. The yes for the study ends."""
        if not is_of_caller(error.status):
            return
        if self._yes.get(name) is not None:
            self.on_revoked(name)
        self.revoke(name)
        key, now = (name[0], what), self._clock()
        no = _No(name[1:], now + self.refused_for, error.status, error.challenge, error.location)
        self._refused.put(key, no)
        for old, said in self._refused.oldest(2):
            if said.until <= now:
                self._refused.pop(old)

    def revoke(self, name: Name) -> None:
        """Ends the yes of a caller; answers on their way count for nothing but their request."""
        self.refusals += 1
        self._yes.pop(name)
        self._ended.put(name, self.refusals)

    def doubt(self) -> None:
        """Ends each yes; answers on their way count for nothing but their request."""
        self.refusals += 1
        self._forgotten = self.refusals
        for name in self._yes:
            self._yes.pop(name)

    def forget(self, origin: str, study: str, *, is_held: bool) -> None:
        """Forgets each yes and no for a study; answers on their way count for nothing but their request.

        `is_held` says that some of the study is still held. Then it stays known if it had several readers.
        """
        self.refusals += 1
        self._forgotten = self.refusals
        for name in self._yes:
            if name[1:] == (origin, study):
                self._yes.pop(name)
        for key, no in self._refused.oldest():
            if no.study == (origin, study):
                self._refused.pop(key)
        if not is_held:
            self._sole.pop((origin, study))

    def check(self, identity: bytes, what: object) -> None:
        """Raises `OriginRefused` in the origin's own words if it refused the same a moment ago."""
        no = self._refused.get((identity, what)) if self._refused else None
        if no is not None and self._clock() < no.until:
            raise OriginRefused(no.status, no.challenge, location=no.location, is_repeated=True)


def _size_of_name(_name: object, _value: object) -> int:
    return NAME // 2  # one UID


def _size_of_no(_key: object, no: _No) -> int:
    return NAME + len(no.challenge or "") + len(no.location or "")
