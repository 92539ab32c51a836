from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.cache.memory import MOST_SPARED, OVERHEAD, MemoryStore
from proxy.cache.room import STRETCH
from proxy.frame.frame import Frame
from proxy.telemetry.telemetry import Telemetry
from tests.unit.cache.test_memory import frame_with, key

FAST = settings(deadline=None, database=None)
BUDGET = 10_000


def store_of(budget: int = BUDGET, first_share: float = 0.5) -> MemoryStore:
    return MemoryStore(budget, first_share, 3600.0, Telemetry(), overhead=0)


def kept(store: MemoryStore, number: int, first: int, rest: int = 0) -> Frame:
    frame = frame_with(number, first, rest)
    store.put(key(number), frame)
    return frame


def held(store: MemoryStore, number: int) -> int:
    frame = store.get(key(number))
    return frame.size if frame else 0


def test_a_fill_that_grows_evicts_what_nobody_reads() -> None:
    store = store_of()
    kept(store, 1, 100, 3900)
    kept(store, 2, 100, 3900)
    store.room.hold("fill", 3000)
    assert (held(store, 1), held(store, 2)) == (100, 4000)
    assert store.counted == 3000 + 100 + 4000
    store.room.hold("fill", 0)
    assert store.counted == 4100


def test_a_frame_in_use_stays_and_another_goes() -> None:
    store = store_of()
    frame = kept(store, 1, 100, 3900)
    kept(store, 2, 100, 3900)
    store.room.borrow(frame)
    store.room.hold("fill", 3000)
    assert (held(store, 1), held(store, 2)) == (4000, 100)
    assert (store.room.in_use, store.room.lent) == (4000, 0)


def test_many_frames_in_use_end_the_search_for_room() -> None:
    store = store_of()
    frames = [kept(store, number, 100) for number in range(MOST_SPARED + 2)]
    for frame in frames:
        store.room.borrow(frame)
    store.room.hold("fill", BUDGET)
    assert [held(store, number) for number in range(len(frames))] == [100] * len(frames)
    for frame in frames:
        store.room.give_back(frame)
    store.room.hold("fill", BUDGET + 1)
    assert store.size == 0


def test_a_dropped_frame_counts_until_the_last_reader_gives_it_back() -> None:
    store = store_of()
    frame = kept(store, 1, 100, 3900)
    store.room.borrow(frame)
    store.room.borrow(frame)
    store.drop(key(1))
    assert (store.size, store.room.lent) == (0, 4000)
    store.room.give_back(frame)
    assert store.room.lent == 4000
    store.room.give_back(frame)
    assert (store.room.lent, store.room.in_use, store.counted) == (0, 0, 0)


def test_a_frame_that_grows_while_it_is_read_counts_once() -> None:
    store = store_of()
    whole = frame_with(1, 100, 3900)
    store.room.borrow(whole.prefix)
    store.put(key(1), whole.prefix)
    store.room.borrow(whole)
    store.put(key(1), whole)
    assert (store.counted, store.room.in_use, store.room.lent) == (4000, 4000, 0)
    store.room.give_back(whole.prefix)
    store.room.give_back(whole)
    assert (store.counted, store.room.in_use, store.room.lent) == (4000, 0, 0)


def test_a_frame_for_which_no_room_is_left_is_lent_as_long_as_it_is_read() -> None:
    store = store_of()
    store.room.hold("fill", 7000)
    frame = frame_with(1, 100, 3900)
    store.room.borrow(frame)
    store.put(key(1), frame)
    assert held(store, 1) == 100
    assert store.room.lent == 3900
    store.room.give_back(frame)
    assert store.counted == 7100


def test_the_overhead_of_small_frames_counts() -> None:
    store = MemoryStore(100 * OVERHEAD, 1.0, 3600.0, Telemetry())
    for number in range(200):
        kept(store, number, 10)
    assert 90 < store.size // 10 < 100
    assert store.counted <= 100 * OVERHEAD


def test_room_is_short_when_what_is_in_use_and_what_is_first_leave_no_piece() -> None:
    store = store_of(4 * STRETCH)
    assert not store.room.is_short
    kept(store, 1, 1000, 3 * STRETCH)
    assert not store.room.is_short  # the rest can be evicted
    frame = store.get(key(1))
    assert frame is not None
    store.room.borrow(frame)
    assert store.room.is_short


def test_fills_are_woken_one_after_another_when_there_is_room() -> None:
    store = store_of(4 * STRETCH)
    woken: list[str] = []
    store.room.hold("large", 4 * STRETCH)
    for name in ("one", "two"):
        store.room.wait(name, lambda name=name: woken.append(name))  # type: ignore[misc]  # a loop's name
    store.room.wake()
    assert woken == []
    store.room.hold("large", 0)
    assert woken == ["one"]
    store.room.leave("one")
    assert woken == ["one", "two"]
    assert store.room.waiting == 0


@FAST
@given(st.lists(st.tuples(st.sampled_from("pdbgh"), st.integers(0, 5), st.integers(2, 4000)), max_size=60))
def test_the_counts_are_right_after_any_steps(steps: list[tuple[str, int, int]]) -> None:
    store = store_of()
    borrowed: list[Frame] = []
    for step, number, size in steps:
        frame = store.get(key(number))
        if step == "p":
            kept(store, number, min(size, 50), size)
        elif step == "d":
            store.drop(key(number))
        elif step == "b" and frame is not None:
            store.room.borrow(frame)
            borrowed.append(frame)
        elif step == "g" and borrowed:
            store.room.give_back(borrowed.pop(number % len(borrowed)))
        elif step == "h":
            store.room.hold(number, size)
        assert min(store.room.filling, store.room.lent, store.room.in_use) >= 0
        by_size = sorted(borrowed, key=lambda each: each.size)
        in_use = sum({id(each.pieces[0]): each.size for each in by_size}.values())
        assert store.room.lent <= store.room.in_use <= in_use
        assert store.counted <= BUDGET + store.room.filling + store.room.in_use
    for frame in borrowed:
        store.room.give_back(frame)
    for number in range(6):
        store.room.hold(number, 0)
    assert (store.room.filling, store.room.lent, store.room.in_use) == (0, 0, 0)
    assert store.size <= BUDGET
