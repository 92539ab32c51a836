"""One part of the store: the order of use, and ends that do not pile up."""

from dataclasses import replace

from proxy.cache.parts import LEFT, Kept, Part, first_size
from proxy.frame.frame import Frame
from proxy.frame.identity import Claim, identify
from proxy.frame.key import FrameKey
from proxy.wire.resource import FrameResource


def key(number: int) -> FrameKey:
    return FrameKey("pacs", b"", FrameResource("1", "2", "3", number))


def kept(size: int, expires: float) -> Kept:
    body = bytes(size)
    frame = Frame(identify(Claim("image/jls", size, '"1"'), body), (body,), size)
    return Kept(frame, 0.0, 0.0, expires, "frame", b"")


def part_at(now: list[float]) -> Part:
    return Part(lambda: now[0], first_size)


def test_the_entry_that_was_used_longest_ago_goes_first() -> None:
    part = part_at([0.0])
    for number in range(3):
        part.put(key(number), kept(10, 5.0))
    assert part.get(key(0)) is not None
    assert key(1) in part  # is no use
    assert [part.pop_oldest()[0] for _ in range(3)] == [key(1), key(2), key(0)]
    assert (part.size, len(part)) == (0, 0)


def test_what_has_expired_is_of_no_use_and_counts_until_it_is_dropped() -> None:
    now = [0.0]
    part = part_at(now)
    for number, end in enumerate((3.0, 1.0, 2.0, 1.0)):
        part.put(key(number), kept(10, end))
    part.put(key(3), kept(10, 9.0))
    now[0] = 2.0
    assert [part.get(key(number)) is None for number in range(4)] == [False, True, True, False]
    assert part.size == 40
    assert [name for name, _ in part.drop_expired()] == [key(1), key(2)]
    assert part.size == 20
    assert part.drop_expired() == []


def test_ends_of_entries_that_left_do_not_pile_up() -> None:
    now = [0.0]
    part, entry = part_at(now), kept(10, 1e6)
    for number in range(4 * LEFT):
        part.put(key(number % 3), replace(entry, expires=1e6 + number))
        assert len(part._ends) <= 2 * 3 + LEFT + 1
    now[0] = 1e6 + 4 * LEFT - 2
    assert [name for name, _ in part.drop_expired()] == [key((4 * LEFT - 3) % 3), key((4 * LEFT - 2) % 3)]
