"""The bytes of a fill that have arrived, shared with the cache and counted in its budget.

    shared   the cache was given them as a frame; the fill has the frame's own pieces
    own      the cache does not have them
    stale    the cache has them, and the supplier is asked whether they are still right

Small pieces keep memory whole: chunks of a network's size would leave holes in it, and a fill can let go of
small pieces one by one. A frame in the cache has larger ones, which are faster to send. If room is not short,
small pieces are joined as soon as they are enough. To join all of them at the end would hold up the loop.

If room is short, bytes that every reader has passed are let go, except the first piece. Then the fill can't
give the cache a longer frame any more, and nobody else may join it.
"""

from collections.abc import Iterator

from proxy.cache.room import Room
from proxy.frame.frame import PIECE, SMALL_ONES, SMALL_PIECE, Frame, cut, frame_of, pieces_of
from proxy.frame.identity import Claim, Identity


class Arrived:
    """Bytes from 0, to which others are appended."""

    def __init__(self, room: Room, stale: Frame | None) -> None:
        self.stale = stale
        """A frame in the cache that the supplier may revalidate; None once a response is in."""
        self.pieces: list[bytes] = []
        """The bytes that are held, in order."""
        self.size = 0
        """End of the bytes, exclusive."""
        self.gone = 0
        """Number of bytes after the first piece that were let go."""
        self._room = room
        self._shared: Frame | None = None
        self._packed = self._loose = 0  # number of pieces as they stay, and bytes of the chunks after them
        self._joined = 1  # number of pieces that are no longer small, the first one among them
        if stale is not None:
            room.borrow(stale)

    def append(self, chunk: bytes, first: int) -> None:
        """Adds the next bytes. Chunks become small pieces, after a first piece of `first` bytes.

        A chunk that is a piece as the cache has them, as from a tier, stays as it is.
        """
        is_piece = len(chunk) == PIECE and self._fits_as_piece(first)
        self.pieces.append(chunk)
        self.size += len(chunk)
        if is_piece:
            self._packed = self._joined = len(self.pieces)
        else:
            self._loose += len(chunk)
        if self._loose >= 2 * SMALL_PIECE and self.size > first:
            self._pack(first)
        self._count()

    def views(self, start: int, stop: int) -> Iterator[memoryview]:
        """Yields the bytes of `[start, stop)` that are in. Bytes that were let go can't be read."""
        pieces = (memoryview(piece) for piece in self.pieces)
        if not self.gone:
            return cut(pieces, start, stop)
        first = len(self.pieces[0])
        if start < first:
            return cut(pieces, start, min(stop, first))
        return cut(pieces, start - self.gone, stop - self.gone)

    def frame(self, identity: Identity, first: int) -> Frame | None:
        """The bytes as a frame; None if some were let go."""
        return None if self.gone else frame_of(identity, self.pieces, first)

    def share(self, frame: Frame) -> None:
        """The cache is given these bytes as a frame."""
        self._room.borrow(frame)
        self._have(frame)

    @property
    def stale_claim(self) -> Claim | None:
        """The version of the stale frame."""
        return self.stale.identity.claim if self.stale is not None else None

    def renew(self) -> Frame:
        """Takes the bytes of the stale frame, and returns it."""
        stale, self.stale = self.stale, None
        assert stale is not None
        self._have(stale)
        return stale

    def drop_stale(self) -> None:
        """The supplier has another version than the stale one, or nobody waits for it."""
        if self.stale is not None:
            self._room.give_back(self.stale)
            self.stale = None

    def _have(self, frame: Frame) -> None:
        """Has exactly the bytes of a frame that is borrowed already."""
        self._unshare()
        self._shared = frame
        self.pieces, self.size = list(frame.pieces), frame.size
        self._packed = self._joined = len(self.pieces)
        self._loose = 0
        self._count()

    def let_go(self, stop: int, first: int) -> None:
        """Lets go of whole pieces between the first piece and `stop`."""
        self._pack(first)
        while len(self.pieces) > 1 and len(self.pieces[0]) + self.gone + len(self.pieces[1]) <= stop:
            self.gone += len(self.pieces.pop(1))
            self._packed = max(1, self._packed - 1)
        self._measure()
        if self.gone and self._shared is not None:
            prefix = self._shared.prefix
            self._unshare()
            self._room.borrow(prefix)
            self._shared = prefix
        self._count()

    def release(self) -> None:
        """Nobody reads these bytes any more."""
        self.drop_stale()
        self._unshare()
        self.pieces = []
        self._room.hold(self, 0)

    def _unshare(self) -> None:
        if self._shared is not None:
            self._room.give_back(self._shared)
            self._shared = None

    def _fits_as_piece(self, first: int) -> bool:
        """True if a large piece may follow here, so that the frame has it as it is."""
        is_packed = self._packed == self._joined == len(self.pieces)
        return is_packed and not (self._room.is_short or (self.size - first) % PIECE)

    def _pack(self, first: int) -> None:
        """Makes pieces of the chunks. The last one may be short, so it is packed again with later chunks."""
        if chunks := self.pieces[self._packed :]:
            self.pieces[self._packed :] = pieces_of(chunks, 0 if self._packed else first, SMALL_PIECE)
            self._packed = max(1, len(self.pieces) - 1)
            if not (self.gone or self._room.is_short):
                self._join()
            self._measure()

    def _join(self) -> None:
        """Makes pieces as the cache has them of small ones that are whole."""
        while len(small := self.pieces[self._joined : self._packed][:SMALL_ONES]) == SMALL_ONES:
            self.pieces[self._joined : self._joined + SMALL_ONES] = [b"".join(small)]
            self._packed -= SMALL_ONES - 1
            self._joined += 1

    def _measure(self) -> None:
        self._loose = sum(map(len, self.pieces[self._packed :]))

    def _count(self) -> None:
        shared = self._shared.size if self._shared is not None else 0
        self._room.hold(self, self.size - self.gone - shared)
