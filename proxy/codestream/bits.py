"""Reads the bits and the tag trees of packet headers (T.800 B.10.1 and B.10.2)."""

from proxy.codestream.limits import NeedMore
from proxy.errors import CodestreamError


class Bits:
    """Reads bits, most significant first, and skips the bit that is stuffed after 0xFF."""

    __slots__ = ("_buffer", "_held", "_prefix", "_stop", "_width", "at")

    def __init__(self, prefix: bytes, at: int, stop: int) -> None:
        self._prefix, self._stop = prefix, stop
        self._buffer = self._held = 0
        self._width = 8
        self.at = at
        """The offset of the first unread byte."""

    def take(self, count: int) -> int:
        """Returns the next `count` bits as a number."""
        while self._held < count:
            self._pull()
        self._held -= count
        value = self._buffer >> self._held
        self._buffer &= (1 << self._held) - 1
        return value

    def zeros(self, limit: int) -> int:
        """Counts zeros up to the next one bit, which is consumed too; stops at `limit` zeros."""
        count = 0
        while True:
            zeros = self._held - self._buffer.bit_length()
            if count + zeros >= limit:
                self._held -= limit - count
                return limit
            count += zeros
            if self._buffer:
                self._held -= zeros + 1
                self._buffer &= (1 << self._held) - 1
                return count
            self._held = 0
            self._pull()

    def align(self) -> None:
        """Skips the rest of the byte, and the byte after 0xFF if it holds only stuffing."""
        if self._width == 7:
            self._pull()
        self._buffer = self._held = 0
        self._width = 8

    def _pull(self) -> None:
        if self.at >= self._stop:
            raise CodestreamError("a packet header extends past its tile-part")
        if self.at >= len(self._prefix):
            raise NeedMore
        byte = self._prefix[self.at]
        if byte >> self._width:
            raise CodestreamError(f"no packet header at byte {self.at}")
        self._buffer = self._buffer << self._width | byte
        self._held += self._width
        self._width = 7 if byte == 0xFF else 8
        self.at += 1


class TagTree:
    """Numbers on a grid, refined as bits arrive; a node has its children's lowest (T.800 B.10.2)."""

    __slots__ = ("_least", "_parents", "_settled")

    def __init__(self, parents: list[int]) -> None:
        self._parents = parents
        self._least = [0] * len(parents)
        self._settled = bytearray(len(parents))

    def reach(self, leaf: int, limit: int, bits: Bits) -> int:
        """Returns a leaf's number, or `limit` if the number is not below it."""
        least, settled, path, node = self._least, self._settled, [], leaf
        while node >= 0 and not settled[node]:
            path.append(node)
            node = self._parents[node]
        value = least[node] if node >= 0 else 0
        for node in reversed(path):
            value = max(value, least[node])
            if value < limit:
                value += bits.zeros(limit - value)
            least[node] = value
            if value >= limit:
                return limit
            settled[node] = 1
        return value


def tree_parents(wide: int, high: int) -> list[int]:
    """Returns the parent of each node of a tag tree over a grid; leaves come first, by row; the root has -1.

    >>> tree_parents(3, 1)
    [3, 3, 4, 5, 5, -1]
    """
    parents: list[int] = []
    while wide * high > 1:
        half, above = (wide + 1) // 2, len(parents) + wide * high
        parents += [
            above + (row >> 1) * half + (column >> 1) for row in range(high) for column in range(wide)
        ]
        wide, high = half, (high + 1) // 2
    return [*parents, -1]
