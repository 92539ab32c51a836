"""Whose frames leave first: variants, then those of a caller that has more than its share."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.cache.memory import MemoryStore
from proxy.cache.shares import LATELY, PART_OF_VARIANTS
from proxy.frame.key import FrameKey
from proxy.telemetry.telemetry import Telemetry
from proxy.wire.picture import Picture
from tests.unit.cache.test_memory import frame_with, key

BUDGET = 100_000
ANNE, BOB = b"a" * 32, b"b" * 32
FAST = settings(deadline=None, database=None)


class Cache:
    """A store whose clock stands still, and frames of 1,000 bytes, a quarter of them in the first piece."""

    def __init__(self) -> None:
        self.now = 0.0
        self.store = MemoryStore(BUDGET, 0.5, 1e6, Telemetry(), lambda: self.now, overhead=0)

    def put(self, name: FrameKey, caller: bytes = b"") -> None:
        self.store.put(name, frame_with(name.resource.frame_number, 250, 750), caller)
        assert self.store.counted <= BUDGET

    def whole(self, names: list[FrameKey]) -> int:
        """Number of frames that are held whole."""
        held = [self.store.get(name) for name in names]
        return sum(frame is not None and frame.size == 1000 for frame in held)


def frames(start: int, stop: int) -> list[FrameKey]:
    return [key(number) for number in range(start, stop)]


def filled(names: list[FrameKey], caller: bytes = b"") -> Cache:
    cache = Cache()
    for name in names:
        cache.put(name, caller)
    return cache


def test_variants_of_a_frame_push_out_no_more_than_their_share() -> None:
    """A caller without a credential asks for one frame with hundreds of arguments, each twice."""
    theirs = frames(1, 96)
    cache = filled(theirs)
    variants = [replace(key(1), query=f"x={number}") for number in range(300)]
    for name in variants:
        cache.put(name)
        cache.store.get(name)
    assert cache.whole(theirs) >= len(theirs) - PART_OF_VARIANTS * BUDGET / 1000 - 1
    assert cache.store.get(variants[-1]) is not None


def test_pictures_in_many_sizes_are_variants_too_and_the_first_one_is_not() -> None:
    theirs = frames(1, 96)
    cache = filled(theirs)
    pictures = [
        replace(key(500), frames_path="/rendered/", picture=Picture("image/png", viewport=(number, number)))
        for number in range(1, 300)
    ]
    for name in pictures:
        cache.put(name)
    assert cache.whole(theirs) >= len(theirs) - PART_OF_VARIANTS * BUDGET / 1000 - 2
    assert cache.whole(pictures[:1]) == 1


def test_an_argument_that_all_frames_have_makes_no_variants() -> None:
    named = [replace(each, query="imageSetId=7") for each in frames(1, 80)]
    cache = filled(named)
    assert cache.whole(named) == len(named)
    cache.put(named[0])  # again, as after its lease has ended
    cache.put(key(1000), ANNE)
    assert cache.whole(named) == len(named)


def test_a_caller_beyond_its_share_pushes_out_its_own() -> None:
    cache = filled(frames(1, 46), ANNE)
    bobs = frames(1000, 1500)
    for name in bobs:
        cache.put(name, BOB)
    assert cache.whole(frames(1, 46)) == 45
    assert 30 <= cache.whole(bobs) <= 55


def test_one_caller_alone_has_the_whole_cache_and_loses_the_least_recently_used() -> None:
    cache = filled(frames(1, 91), ANNE)
    cache.store.get(key(1))
    for name in frames(1000, 1050):
        cache.put(name, ANNE)
    assert cache.whole(frames(1, 2)) == 1
    assert cache.whole(frames(2, 40)) == 0


def test_who_fetched_nothing_for_long_has_no_share() -> None:
    cache = filled(frames(1, 91), ANNE)
    cache.now += LATELY
    for name in frames(1000, 1090):
        cache.put(name, BOB)
    assert cache.whole(frames(1000, 1090)) > 70  # beside first pieces, which outlive rests


def test_of_the_frames_of_a_greedy_caller_those_in_use_by_anybody_stay_longest() -> None:
    cache = filled(frames(1, 81), ANNE)
    cache.store.get(key(1))
    for name in frames(1000, 1040):
        cache.put(name, BOB)
    assert cache.whole(frames(1, 2)) == 1
    assert cache.whole(frames(2, 20)) == 0


@FAST
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "get", "drop", "later", "borrow", "fill"]),
            st.integers(1, 12),
            st.sampled_from([b"", ANNE, BOB]),
            st.sampled_from(["", "x=1", "x=2", "x=3"]),
        ),
        max_size=80,
    )
)
def test_whatever_happens_the_accounts_hold_what_the_cache_holds(
    steps: list[tuple[str, int, bytes, str]],
) -> None:
    now, borrowed = [0.0], []
    store = MemoryStore(10_000, 0.3, 50.0, Telemetry(), lambda: now[0], overhead=10)
    for what, number, caller, query in steps:
        name = replace(key(number), query=query)
        if what == "put":
            store.put(name, frame_with(number, 100 * number, 150 * number), caller)
        elif what == "borrow" and (frame := store.get(name)) is not None:
            store.room.borrow(frame)
            borrowed.append(frame)
        elif what == "drop":
            store.drop(name)
        elif what == "later":
            now[0] += number
        elif what == "fill":
            store.room.hold("fill", 500 * number)
        else:
            store.get(name)
        accounts = store.shares._accounts.values()
        assert store.counted >= 0
        held = store.size + 10 * len(store._firsts)  # drops what has expired, before the accounts are read
        assert sum(each.size for each in accounts) == held
        assert all(each.size == sum(each.charged.values()) for each in accounts)
    for frame in borrowed:
        store.room.give_back(frame)
