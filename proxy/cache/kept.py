"""Tables of what is remembered beside frames, such as lists of frames and proofs, under one count of bytes.

All tables share one ledger, which has a share of the cache's budget. When they exceed it, the largest table
drops the entry that was put into it longest ago. So a caller that fills one table pushes out its like, and no
table that is smaller than the others loses anything.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from itertools import islice
from sys import getsizeof, maxsize
from typing import Generic, Protocol, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")

ENTRY = 200
"""Bytes of an entry beside its key and value: its place in the table, its size, and a time."""
NAME = 400
"""Bytes of a key with three UIDs that were parsed from a request."""


class _Table(Protocol):
    @property
    def size(self) -> int:
        """Bytes of all entries."""

    def __len__(self) -> int: ...

    def drop_oldest(self) -> None:
        """Drops the entry that was put longest ago."""


class Ledger:
    """Counts the bytes of all tables."""

    def __init__(self, most: int = maxsize, on_grown: Callable[[], None] = lambda: None) -> None:
        """The tables have at most `most` bytes. `on_grown` is called when they have more than before."""
        self.size = 0
        """Bytes of all tables."""
        self.most = most
        """Bytes that all tables may have."""
        self._on_grown = on_grown
        self._tables: list[_Table] = []

    def add(self, table: _Table) -> None:
        """Counts one more table."""
        self._tables.append(table)

    def change(self, size: int) -> None:
        """A table has `size` bytes more. The only entry of the largest table stays, even if too large."""
        self.size += size
        if size <= 0:
            return
        while self.size > self.most:
            largest = max(self._tables, key=lambda table: table.size)
            if len(largest) == 1:
                break
            largest.drop_oldest()
        self._on_grown()


class Kept(Generic[Key, Value]):
    """A table with a bound, in entries and in bytes. An entry that is put again counts as new."""

    def __init__(
        self,
        ledger: Ledger | None,
        most: int,
        size_of: Callable[[Key, Value], int] = lambda _key, _value: NAME,
        kind_of: Callable[[Key], str] = lambda _key: "",
    ) -> None:
        """`most` is the number of entries; `size_of` returns the bytes of a key and its value.

        `kind_of` returns the kind of a key, of which there are few.
        """
        self.size = 0
        """Bytes of all entries."""
        self.sizes = Counter[str]()
        """Bytes of the entries of each kind."""
        self.lost: Value | None = None
        """The value of the entry that was dropped last to make room; None if there was none."""
        self._ledger = ledger or Ledger()
        self._most = most
        self._size_of = size_of
        self._kind_of = kind_of
        self._entries: dict[Key, tuple[Value, int]] = {}
        self._ledger.add(self)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[Key]:
        """The keys, oldest first. The table may change meanwhile."""
        return iter(tuple(self._entries))

    def oldest(self, most: int | None = None) -> list[tuple[Key, Value]]:
        """The keys and values that were put longest ago, oldest first; None is all."""
        return [(key, value) for key, (value, _) in islice(self._entries.items(), most)]

    def get(self, key: Key) -> Value | None:
        """The value of a key; None if there is none."""
        entry = self._entries.get(key)
        return None if entry is None else entry[0]

    def put(self, key: Key, value: Value) -> None:
        """Adds or replaces an entry."""
        self.pop(key)
        while len(self._entries) >= self._most:
            self.drop_oldest()
        size = ENTRY + self._size_of(key, value)
        self._entries[key] = value, size
        self._change(key, size)

    def pop(self, key: Key) -> Value | None:
        """Removes an entry, and returns its value; None if there is none."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return None
        self._change(key, -entry[1])
        return entry[0]

    def drop_oldest(self) -> None:
        """Drops the entry that was put longest ago."""
        self.lost = self.pop(next(iter(self._entries)))

    def _change(self, key: Key, size: int) -> None:
        self.size += size
        self.sizes[self._kind_of(key)] += size
        self._ledger.change(size)


def size_of(value: object) -> int:
    """Bytes of a value of frozen dataclasses, tuples, texts and numbers, each counted once."""
    seen: set[int] = set()
    left, size = [value], 0
    while left:
        each = left.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        size += getsizeof(each)
        if isinstance(each, tuple):
            left.extend(each)
        elif is_dataclass(each):
            left.extend(getattr(each, field.name) for field in fields(each))
    return size
