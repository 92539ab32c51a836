"""Accounts of the frames that each caller fetched: whose frames leave first when space runs out.

Each frame is charged to the account of the caller that fetched it. If an account has more than its share, its
frames leave before those of others; the one that was charged longest ago first. The share is an equal part
for each caller that fetched something lately, so one caller alone has the whole cache.

*Variants* have an account of their own with a small share. A variant is one more form of a frame that is held
already: with other arguments in the URL, or rendered in another size or window. So nobody gets more of the
cache by asking for one frame in many ways.
"""

from collections.abc import Container
from dataclasses import dataclass, field, replace
from itertools import islice, takewhile

from proxy.cache.kept import NAME, Kept, Ledger
from proxy.frame.key import FrameKey

VARIANTS = b"variants"
"""The account of variants. A caller's name is empty or a digest, which is longer."""
PART_OF_VARIANTS = 1 / 32
"""Share of the budget from which on variants leave first."""
LATELY = 600.0
"""Seconds after which a caller that fetched nothing does not count."""
MOST_COUNTED = 8
"""Most callers that count, so that nobody's share becomes tiny."""

MOST_FORMS = 65536
"""Most frames whose first form is remembered."""


@dataclass(slots=True)
class _Account:
    size: int = 0
    """Bytes of all frames that are charged to it."""
    latest: float = 0.0
    """Time of its last fetch."""
    charged: dict[FrameKey, int] = field(default_factory=dict)
    """Bytes of each frame; the one charged longest ago comes first."""


class Shares:
    """The accounts of one cache."""

    def __init__(self, budget: int, ledger: Ledger) -> None:
        self._budget = budget
        self._accounts: dict[bytes, _Account] = {}
        """The account that was charged last with a fetch comes last."""
        self._largest = b""
        self._first_forms: Kept[FrameKey, FrameKey] = Kept(ledger, MOST_FORMS, _size_of_form)

    def sizes(self) -> dict[bytes, int]:
        """Bytes that are charged to each account."""
        return {name: account.size for name, account in self._accounts.items()}

    def account_of(self, caller: bytes, key: FrameKey, held: Container[FrameKey]) -> bytes:
        """The account of a frame that a caller fetched; `held` has the keys of all frames in the cache."""
        if not key.query and key.picture is None:
            return caller
        plain = replace(key, query="", picture=None)
        first = self._first_forms.get(plain)
        if plain in held or (first is not None and first != key and first in held):
            return VARIANTS
        if first != key:
            self._first_forms.put(plain, key)
        return caller

    def fetched(self, name: bytes, key: FrameKey, size: int, now: float) -> None:
        """Charges a frame that was fetched now and is in the cache."""
        account = self._accounts.pop(name, None) or _Account()
        account.latest = now
        account.charged[key] = size
        account.size += size
        self._accounts[name] = account
        largest = self._accounts.get(self._largest)
        if name != VARIANTS and (largest is None or account.size > largest.size):
            self._largest = name

    def charge(self, name: bytes, key: FrameKey, size: int) -> None:
        """Charges a frame anew, as the newest one of its account; not so if it has been released."""
        account = self._accounts.get(name)
        if account is not None and key in account.charged:
            account.size += size - account.charged.pop(key)
            account.charged[key] = size

    def release(self, name: bytes, key: FrameKey) -> None:
        """A frame has left the cache."""
        account = self._accounts.get(name)
        if account is not None:
            account.size -= account.charged.pop(key, 0)
            if not account.charged:
                del self._accounts[name]

    def first_to_leave(self, now: float) -> tuple[bytes, FrameKey] | None:
        """An account that has more than its share, and its oldest frame; None if there is none."""
        for name, share in ((VARIANTS, PART_OF_VARIANTS), (self._largest, 1 / self._active(now))):
            account = self._accounts.get(name)
            if account is not None and account.size > share * self._budget:
                return name, next(iter(account.charged))
        return None

    def _active(self, now: float) -> int:
        """Number of callers that fetched something lately, at least 1."""
        lately = takewhile(lambda name: self._accounts[name].latest > now - LATELY, reversed(self._accounts))
        return max(1, sum(1 for _ in islice((name for name in lately if name != VARIANTS), MOST_COUNTED)))


def _size_of_form(_plain: FrameKey, key: FrameKey) -> int:
    return 2 * NAME + len(key.query)
