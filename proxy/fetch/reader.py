"""One reader of a fill: how far it is, and how far it needs the fill to go now.

If room is short, a fill goes on only for a reader that is close behind it.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from math import inf

from proxy.cache.room import STRETCH
from proxy.codestream.layout import Layout
from proxy.codestream.reach import ResolutionTarget, TargetEnd
from proxy.fetch.fill import Fill
from proxy.frame.identity import Identity


class FillReader:
    """A source whose bytes come from a fill."""

    def __init__(self, fill: Fill) -> None:
        self._fill = fill
        self.at = 0
        """The reader needs no byte before this offset any more."""
        self.until: float = 0
        """The reader needs the bytes before this offset soon."""
        fill.pace.join(self)

    def leave(self) -> None:
        """Needs no more bytes."""
        self._fill.pace.readers.discard(self)
        self._fill.reader_moved()

    async def describe(self) -> Identity:
        """Returns the identity once the leading bytes are in. Raises the error that ended the fill."""
        while self._fill.identity is None:
            await self._fill.changed()
        return self._fill.identity

    async def settle(self) -> Identity:
        """Returns an identity that no other version has. It may be known only when the whole frame is in.

        Raises the error that ended the fill.
        """
        with self._needs(inf):
            while self._fill.identity is None or not self._fill.identity.is_vouched:
                await self._fill.changed()
        return self._fill.identity

    async def take(self, start: int, stop: int) -> Sequence[memoryview]:
        """Returns the bytes of `[start, stop)` that are in, at least one, if no byte was read by `read`."""
        with self._needs(stop):
            await self._fill.reached(start + 1)
        return tuple(self._fill.arrived.views(start, stop))

    async def read(self, start: int, stop: int) -> AsyncIterator[memoryview]:
        """Yields the bytes of `[start, stop)` as they come. Nothing before the last piece is read again.

        Raises the error that ended the fill.
        """
        while start < stop:
            self.at, self.until = start, min(stop, start + STRETCH)
            self._fill.reader_moved()
            await self._fill.reached(start + 1)
            piece = next(self._fill.arrived.views(start, stop))
            start += len(piece)
            yield piece

    async def reached(self, start: int) -> None:
        """Waits until all bytes before `start` are in. Raises the error that ended the fill."""
        with self._needs(start):
            await self._fill.reached(start)

    async def told(self, reach: ResolutionTarget) -> TargetEnd:
        """Returns the end of a target, once the bytes show it. Raises the error that ended the fill."""
        with self._needs(inf):
            self._fill.want(reach)
            while (told := self._fill.reaches.told(reach)) is None:
                await self._fill.changed()
        return told

    def sending(self, start: int, stop: int | None) -> AbstractContextManager[None]:
        """A response is being sent, which begins with the byte at `start`. See `Demand.sending`."""
        return self._fill.demand.sending(start, stop)

    @property
    def size(self) -> int:
        """Bytes that are in."""
        return self._fill.size

    @property
    def layout(self) -> Layout | None:
        """None while the frame is being fetched. To cut a smaller picture, read the layout from the bytes."""
        return None

    @contextmanager
    def _needs(self, stop: float) -> Iterator[None]:
        self.until = stop
        self._fill.reader_moved()
        try:
            yield
        finally:
            self.until = 0
