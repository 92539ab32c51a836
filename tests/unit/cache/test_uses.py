"""A use by a mark counts as a look-up does: the same frames stay, and the same ones leave."""

import random
from dataclasses import replace

import pytest

from proxy.cache.memory import MemoryStore
from proxy.cache.uses import MOST_NOTED, NO_MARK, Mark
from proxy.frame.frame import Frame
from proxy.frame.identity import Claim, identify
from proxy.frame.key import FrameKey
from proxy.telemetry.telemetry import Telemetry
from proxy.wire.resource import FrameResource

TTL = 100.0


def key_of(number: int) -> FrameKey:
    return FrameKey("pacs", b"", FrameResource("1", "2", "3", number + 1))


def frame_of(number: int, size: int = 100) -> Frame:
    first, rest = bytes([number]) * 20, bytes(size - 20)
    return Frame(identify(Claim("image/jphc", size, f'"{number}"'), first), (first, rest), size)


class Cache:
    """A store of ten whole frames, and its clock."""

    def __init__(self, *, has_marks: bool) -> None:
        self.now = 0.0
        self.store = MemoryStore(1000, 0.5, TTL, Telemetry(), lambda: self.now, overhead=0)
        self._has_marks = has_marks
        self._marks: dict[FrameKey, tuple[Mark, Frame | None]] = {}
        self.short = 0

    def read(self, number: int) -> Frame | None:
        """The frame, as a reader gets it that makes a mark if it may."""
        key = key_of(number)
        mark, frame = self._marks.get(key, (NO_MARK, None))
        if self._has_marks and self.store.use(key, mark):
            self.short += 1
            return frame
        frame = self.store.get(key)
        self._marks[key] = self.store.mark(key), frame
        return frame


@pytest.mark.parametrize("seed", range(20))
def test_with_marks_or_without_the_same_frames_are_held(seed: int) -> None:
    chance, plain, marked = random.Random(seed), Cache(has_marks=False), Cache(has_marks=True)
    for step in range(600):
        number, what = chance.randrange(14), chance.random()
        for each in (plain, marked):
            each.now = float(step // 20)
            if what < 0.08:
                each.store.put(key_of(number), replace(frame_of(number)))
            elif what < 0.1:
                each.store.drop(key_of(number))
            elif what < 0.3:
                each.store.get(key_of(number))
        if what >= 0.3:
            assert (found := plain.read(number)) == marked.read(number), step
            assert found is None or found.pieces[0] == bytes([number]) * 20
    assert marked.short > 50
    assert [plain.store.get(key_of(n)) for n in range(14)] == [marked.store.get(key_of(n)) for n in range(14)]


def test_a_mark_ends_with_the_lease() -> None:
    cache = Cache(has_marks=True)
    cache.store.put(key_of(1), frame_of(1))
    assert cache.read(1) == cache.read(1) == frame_of(1)
    assert cache.short == 1
    cache.now = TTL
    assert cache.read(1) is None


def test_a_frame_that_is_not_held_has_no_mark() -> None:
    cache = Cache(has_marks=True)
    mark = cache.store.mark(key_of(1))
    assert not cache.store.use(key_of(1), mark)


def test_few_uses_are_noted_at_a_time() -> None:
    cache = Cache(has_marks=True)
    cache.store.put(key_of(1), frame_of(1))
    for _ in range(MOST_NOTED * 3):
        cache.read(1)
        assert len(cache.store._uses._noted) < MOST_NOTED


def test_a_frame_that_was_used_by_a_mark_outlives_one_that_was_looked_up_before() -> None:
    cache = Cache(has_marks=True)
    for number in range(9):
        cache.store.put(key_of(number), frame_of(number))
    cache.read(0)
    for number in range(1, 9):
        cache.store.get(key_of(number))
    assert cache.read(0) == frame_of(0)
    assert cache.short == 1
    cache.store.put(key_of(9), frame_of(9))
    cache.store.put(key_of(10), frame_of(10))
    whole = [number for number in range(11) if cache.store.get(key_of(number)) == frame_of(number)]
    assert 0 in whole
    assert 1 not in whole
