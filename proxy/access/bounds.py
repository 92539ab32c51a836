"""Bounds: how many of a thing may be under way, in all and for each caller.

A request takes a place before any work begins, and gives it back when it ends. If no place is free, the
request is refused at once. Callers without a credential are not told apart, and hundreds of viewers may come
that way through one server. For them only the bound in all counts.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from proxy.errors import ServiceFull, TooMany


def _uncounted(bound: str) -> None:
    """Counts nothing."""


class Bound:
    """The places for one kind of work."""

    def __init__(
        self, name: str, in_all: int, per_caller: int, count: Callable[[str], None] = _uncounted
    ) -> None:
        """`count` gets the name of the setting that refused something."""
        self._name = name
        self._in_all = in_all
        self._per_caller = per_caller
        self._count = count
        self.taken = 0
        """Places that are taken by all callers."""
        self._by_person: dict[bytes, int] = {}

    @property
    def most(self) -> int:
        """Places that all callers together may take."""
        return self._in_all

    @property
    def by_person(self) -> Mapping[bytes, int]:
        """Places that are taken by each caller with a credential."""
        return self._by_person

    def check(self, person: bytes, number: int = 1) -> None:
        """Raises `TooMany` or `ServiceFull` if so many places are not free for a caller."""
        if person and self._by_person.get(person, 0) + number > self._per_caller:
            self._count(f"{self._name}_per_caller")
            raise TooMany(f"bounds.{self._name}_per_caller: {self._per_caller} at most")
        if self.taken + number > self._in_all:
            self._count(self._name)
            raise ServiceFull(f"bounds.{self._name}: {self._in_all} at most")

    def take(self, person: bytes, number: int = 1) -> None:
        """Takes places for a caller. Raises `TooMany`, `ServiceFull`."""
        self.check(person, number)
        self.taken += number
        if person:
            self._by_person[person] = self._by_person.get(person, 0) + number

    def give_back(self, person: bytes, number: int = 1) -> None:
        """Gives places back that were taken for a caller."""
        self.taken -= number
        if person:
            left = self._by_person.pop(person) - number
            if left:
                self._by_person[person] = left

    @contextmanager
    def place(self, person: bytes) -> Iterator[None]:
        """Holds one place. Raises `TooMany`, `ServiceFull`."""
        self.take(person)
        try:
            yield
        finally:
            self.give_back(person)
