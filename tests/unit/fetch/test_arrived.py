"""The bytes of a fill: packed into small pieces, read without copies, and let go of piece by piece."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.cache.memory import MemoryStore
from proxy.fetch.arrived import Arrived
from proxy.frame.frame import PIECE, SMALL_PIECE, frame_of
from proxy.telemetry.telemetry import Telemetry
from tests.unit.cache.test_memory import IDENTITY

FAST = settings(deadline=None, database=None, max_examples=50)
FIRST = 65536
BODY = bytes(range(256)) * 8192
"""2 MiB."""


@dataclass(frozen=True)
class Fetched:
    """Bytes of a fill, in chunks of a network's size."""

    arrived: Arrived
    store: MemoryStore

    def add(self, start: int, stop: int, size: int) -> None:
        for at in range(start, stop, size):
            self.arrived.append(BODY[at : min(stop, at + size)], FIRST)

    def read(self, start: int, stop: int) -> bytes:
        return b"".join(self.arrived.views(start, stop))


def fetched() -> Fetched:
    store = MemoryStore(1 << 30, 0.5, 3600.0, Telemetry())
    return Fetched(Arrived(store.room, None), store)


@FAST
@given(st.integers(10_000, 400_000), st.integers(0, len(BODY)), st.integers(0, len(BODY)))
def test_every_byte_that_was_not_let_go_can_be_read(size: int, passed: int, stop: int) -> None:
    fill = fetched()
    fill.add(0, stop, size)
    if stop:
        fill.arrived.let_go(passed, FIRST)
    first = len(fill.arrived.pieces[0]) if stop else 0
    start = first + fill.arrived.gone
    assert start <= max(first, passed)
    fill.add(stop, len(BODY), size)
    assert fill.read(0, first) == BODY[:first]
    assert fill.read(start, len(BODY)) == BODY[start:]
    assert fill.store.room.filling == len(BODY) - fill.arrived.gone


def test_a_reader_that_passed_all_leaves_the_first_piece_only() -> None:
    fill = fetched()
    fill.add(0, len(BODY), 50_000)
    fill.arrived.let_go(len(BODY), FIRST)
    assert [len(piece) for piece in fill.arrived.pieces] == [FIRST]
    assert fill.arrived.frame(IDENTITY, FIRST) is None


def test_small_pieces_are_joined_as_they_come_and_the_frame_has_these_very_pieces() -> None:
    fill = fetched()
    fill.add(0, FIRST + PIECE - SMALL_PIECE, 50_000)
    assert {len(piece) for piece in fill.arrived.pieces[1:7]} == {SMALL_PIECE}
    fill.add(FIRST + PIECE - SMALL_PIECE, len(BODY), 50_000)
    assert [len(piece) for piece in fill.arrived.pieces[:3]] == [FIRST, PIECE, SMALL_PIECE]
    frame = fill.arrived.frame(IDENTITY, FIRST)
    assert frame is not None
    assert [len(piece) for piece in frame.pieces] == [FIRST, PIECE, len(BODY) - FIRST - PIECE]
    assert frame.pieces[1] is fill.arrived.pieces[1]


def test_pieces_stay_small_if_room_is_short() -> None:
    store = MemoryStore(1 << 20, 0.5, 3600.0, Telemetry())
    store.room.hold("another fill", 1 << 20)
    fill = Fetched(Arrived(store.room, None), store)
    fill.add(0, len(BODY), 50_000)
    assert {len(piece) for piece in fill.arrived.pieces[1:10]} == {SMALL_PIECE}


def test_a_held_frame_is_not_copied_when_more_bytes_come() -> None:
    fill = fetched()
    held = frame_of(IDENTITY, [BODY[: FIRST + PIECE]], FIRST)
    fill.arrived.share(held)
    fill.add(held.size, len(BODY), 50_000)
    assert fill.arrived.pieces[0] is held.pieces[0]
    frame = fill.arrived.frame(IDENTITY, FIRST)
    assert frame is not None
    assert frame.pieces[1] is held.pieces[1]


def test_a_large_piece_of_a_tier_stays_the_very_same() -> None:
    fill, piece = fetched(), BODY[FIRST : FIRST + PIECE]
    fill.add(0, FIRST, FIRST)
    fill.arrived.let_go(0, FIRST)  # packs the first piece
    fill.arrived.append(piece, FIRST)
    assert fill.arrived.pieces[1] is piece
    fill.add(FIRST + PIECE, len(BODY), 50_000)
    frame = fill.arrived.frame(IDENTITY, FIRST)
    assert frame is not None
    assert frame.pieces[1] is piece
    assert fill.read(0, len(BODY)) == BODY
