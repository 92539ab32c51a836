from dataclasses import replace
from hashlib import blake2b
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.cache.memory import MemoryStore
from proxy.frame.frame import PIECE, Frame, cut, frame_of
from proxy.frame.identity import IDENTIFYING, Claim, Condition, Lease, identify
from proxy.frame.key import FrameKey
from proxy.telemetry.telemetry import Telemetry
from proxy.wire.media import Envelope
from proxy.wire.resource import FrameResource

FAST = settings(deadline=None, database=None)
HOUR = 3600.0
BUDGET = 1000


class Cache:
    """A store with its telemetry, and frames by number: a first piece of so many bytes, a rest of so many."""

    def __init__(self, budget: int = BUDGET, first_share: float = 0.5, ttl: float = HOUR) -> None:
        self.telemetry = Telemetry()
        self.budget = budget
        self.store = MemoryStore(budget, first_share, ttl, self.telemetry, overhead=0)

    def put(self, number: int, first: int, rest: int = 0) -> Frame:
        frame = frame_with(number, first, rest)
        self.store.put(key(number), frame)
        self.check()
        return frame

    def held(self, number: int) -> int:
        frame = self.store.get(key(number))
        return frame.size if frame else 0

    def metric(self, name: str, part: str) -> float:
        value = self.telemetry.metrics.registry.get_sample_value(
            f"progressive_proxy_cache_{name}", {"part": part}
        )
        assert value is not None
        return value

    def evicted(self) -> tuple[float, float]:
        return self.metric("evictions_total", "first"), self.metric("evictions_total", "rest")

    def check(self) -> None:
        assert 0 <= self.store.size <= self.budget
        assert self.metric("bytes", "first") + self.metric("bytes", "rest") == self.store.size


def key(number: int) -> FrameKey:
    return FrameKey("pacs", b"", FrameResource("1.2", "1.3", "1.4", number))


def frame_with(number: int, first: int, rest: int = 0, total: int = 0) -> Frame:
    body = bytes([number % 256]) * (first + rest)
    claim = Claim("image/jphc", total or len(body), f'"{number}"')
    return frame_of(identify(claim, body), [body], first)


def test_a_frame_is_held_whole_until_it_is_dropped() -> None:
    cache = Cache()
    frame = cache.put(1, 100, 300)
    assert cache.store.get(key(1)) == frame
    assert cache.store.get(key(2)) is None
    assert (cache.metric("bytes", "first"), cache.metric("bytes", "rest")) == (100, 300)
    cache.store.drop(key(1))
    cache.store.drop(key(1))
    assert cache.store.get(key(1)) is None
    assert cache.store.size == cache.metric("bytes", "first") == cache.metric("bytes", "rest") == 0
    assert cache.evicted() == (0, 0)


def test_keys_differ_by_partition_origin_and_query() -> None:
    resource = FrameResource("1.2", "1.3", "1.4", 1)
    keys = [
        FrameKey("pacs", b"", resource),
        FrameKey("pacs", b"a", resource),
        FrameKey("other", b"", resource),
        FrameKey("pacs", b"", resource, "accept=x"),
    ]
    cache = Cache()
    for number, each in enumerate(keys):
        cache.store.put(each, frame_with(number, 10))
    assert [cache.store.get(each) for each in keys] == [frame_with(number, 10) for number in range(4)]


def test_a_frame_that_grows_is_counted_anew() -> None:
    cache = Cache()
    for rest in (0, 100, 300, 300, 50):
        frame = cache.put(1, 100, rest)
        assert cache.store.size == 100 + rest
        assert cache.store.get(key(1)) == frame
    assert cache.evicted() == (0, 0)


def test_rests_go_before_first_pieces_the_least_recently_used_one_first() -> None:
    cache = Cache()
    cache.put(1, 100, 300)
    cache.put(2, 100, 300)
    assert cache.held(1) == 400  # now 2 is the least recently used
    cache.put(3, 100, 300)
    assert [cache.held(number) for number in (1, 2, 3)] == [400, 100, 400]
    assert cache.evicted() == (0, 1)


def test_first_pieces_outlive_every_rest() -> None:
    cache = Cache()
    for number in range(5):
        cache.put(number, 100, 300)
    assert all(cache.held(number) >= 100 for number in range(5))
    assert cache.evicted()[0] == 0


def test_first_pieces_may_fill_all_of_the_budget_while_there_are_no_rests() -> None:
    cache = Cache()
    for number in range(10):
        cache.put(number, 100)
    assert [cache.held(number) for number in range(10)] == [100] * 10
    cache.put(10, 100)
    assert [cache.held(number) for number in range(11)] == [0] + [100] * 10
    assert cache.evicted() == (1, 0)


def test_above_their_share_first_pieces_go_and_rests_stay() -> None:
    cache = Cache()
    cache.put(0, 100, 300)
    for number in range(1, 7):
        cache.put(number, 100)
    assert cache.held(0) == 400
    cache.put(7, 100)  # seven first pieces are more than half of the budget
    assert cache.held(0) == 400
    assert [cache.held(number) for number in range(1, 8)] == [0] + [100] * 6
    assert cache.evicted() == (1, 0)


def test_a_first_piece_takes_its_rest_along() -> None:
    cache = Cache()
    cache.put(0, 100, 300)
    for number in range(1, 7):
        cache.put(number, 100)
    cache.put(7, 100)  # 0 is the least recently used
    assert cache.held(0) == 0
    assert (cache.metric("bytes", "first"), cache.metric("bytes", "rest")) == (700, 0)
    assert cache.evicted() == (1, 1)


def test_below_their_share_first_pieces_push_out_rests() -> None:
    cache = Cache(first_share=1.0)
    cache.put(0, 100, 300)
    for number in range(1, 10):
        cache.put(number, 100)
    assert [cache.held(number) for number in range(10)] == [100] * 10
    assert cache.evicted() == (0, 1)


def test_without_a_share_the_least_recently_used_frame_goes_as_a_whole() -> None:
    cache = Cache(first_share=0.0)
    cache.put(0, 100, 300)
    cache.put(1, 100, 300)
    cache.put(2, 100, 300)
    assert [cache.held(number) for number in range(3)] == [0, 400, 400]
    assert cache.evicted() == (1, 1)


def test_of_a_frame_larger_than_the_budget_the_first_piece_is_kept() -> None:
    cache = Cache()
    cache.put(1, 100, 300)
    frame = cache.put(2, 100, BUDGET)
    assert cache.store.get(key(2)) == frame.prefix
    assert cache.held(1) == 400
    assert cache.evicted() == (0, 1)


def test_a_first_piece_larger_than_the_budget_is_not_kept_and_pushes_nothing_out() -> None:
    cache = Cache()
    cache.put(1, 100, 300)
    cache.put(2, BUDGET + 1)
    assert [cache.held(1), cache.held(2)] == [400, 0]
    cache.put(1, BUDGET + 1)  # what was held of it is another version
    assert cache.held(1) == 0


def test_a_frame_of_the_size_of_the_budget_fits() -> None:
    cache = Cache()
    cache.put(1, 100, 300)
    cache.put(2, 400, 600)
    assert [cache.held(1), cache.held(2)] == [0, BUDGET]


def test_an_old_frame_is_forgotten() -> None:
    cache = Cache(ttl=1e-9)  # over before the next call
    cache.store.put(key(1), frame_with(1, 100, 300))
    assert cache.store.get(key(1)) is None
    assert cache.store.size == 0
    for number in range(20):
        cache.store.put(key(number), frame_with(number, 400, 600))
    assert cache.evicted() == (0, 0)


puts = st.tuples(st.just("put"), st.integers(0, 6), st.integers(1, 600), st.integers(0, 700))
gets = st.tuples(st.just("get"), st.integers(0, 6), st.just(0), st.just(0))
drops = st.tuples(st.just("drop"), st.integers(0, 6), st.just(0), st.just(0))


@settings(FAST, max_examples=150)
@given(st.lists(puts | puts | gets | drops, max_size=40), st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_whatever_is_done_the_budget_holds_and_no_wrong_byte_is_held(
    steps: list[tuple[str, int, int, int]], first_share: float
) -> None:
    cache = Cache(first_share=first_share)
    last: dict[int, Frame] = {}
    for what, number, first, rest in steps:
        if what == "put":
            frame = last[number] = cache.put(number, first, rest)
            assert cache.store.get(key(number)) == (frame if frame.size <= BUDGET else frame.prefix)
        elif what == "drop":
            last.pop(number, None)
            cache.store.drop(key(number))
            assert cache.store.get(key(number)) is None
        else:
            held = cache.store.get(key(number))
            assert held is None or held in (last[number], last[number].prefix)
        cache.check()
    in_store = [cache.store.get(key(number)) for number in range(7)]
    assert cache.store.size == sum(frame.size for frame in in_store if frame)
    assert cache.metric("bytes", "first") == sum(len(frame.pieces[0]) for frame in in_store if frame)


chunked = st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=8)
IDENTITY = identify(Claim("image/jphc", 1, None), b"x")


@FAST
@given(chunked, st.integers(1, 60))
def test_a_frame_of_chunks_is_the_same_bytes_with_a_first_piece(chunks: list[bytes], first: int) -> None:
    whole = b"".join(chunks)
    frame = frame_of(IDENTITY, chunks, first)
    assert b"".join(frame.pieces) == whole
    assert frame.size == len(whole)
    assert all(frame.pieces)
    assert len(frame.pieces[0]) == min(first, len(whole))
    assert frame.prefix.pieces == frame.pieces[:1]
    assert frame.prefix.size == min(first, len(whole))


@pytest.mark.parametrize(
    ("size", "pieces"),
    [
        (1, [1]),
        (65536, [65536]),
        (65537, [65536, 1]),
        (65536 + PIECE, [65536, PIECE]),
        (65537 + 2 * PIECE, [65536, PIECE, PIECE, 1]),
    ],
)
def test_a_rest_is_kept_in_large_pieces(size: int, pieces: list[int]) -> None:
    body = bytes(size)
    frame = frame_of(IDENTITY, [body[at : at + 50_000] for at in range(0, size, 50_000)], 65536)
    assert [len(piece) for piece in frame.pieces] == pieces


@FAST
@given(chunked, st.data())
def test_a_cut_is_what_slicing_gives(chunks: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(chunks)
    start = data.draw(st.integers(0, len(whole) + 3))
    stop = data.draw(st.integers(0, len(whole) + 3))
    got = list(cut(chunks, start, stop))
    assert b"".join(got) == whole[start:stop]
    assert all(got) or start >= stop


def test_every_cut_of_a_few_pieces_is_what_slicing_gives() -> None:
    pieces = (b"ab", b"c", b"defg")
    for start in range(9):
        for stop in range(9):
            assert b"".join(cut(pieces, start, stop)) == b"abcdefg"[start:stop]


def test_a_piece_that_is_wanted_whole_is_not_copied() -> None:
    pieces = (b"a" * 100, b"b" * 100, b"c" * 100)
    got = list(cut(pieces, 100, 300))
    assert got[0] is pieces[1]
    assert got[1] is pieces[2]


def test_a_frame_is_whole_when_all_that_was_claimed_is_held() -> None:
    assert frame_with(1, 10, 20).is_whole
    assert not frame_with(1, 10, 20, total=31).is_whole
    assert not frame_with(1, 10, 20).prefix.is_whole
    assert frame_with(1, 10).prefix.is_whole


def test_an_identity_is_told_by_claim_and_leading_bytes_alone() -> None:
    leading = bytes(IDENTIFYING)
    claim = Claim("image/jphc", 9999, '"v"')
    same = [identify(claim, leading), identify(claim, leading + b"more"), identify(claim, leading)]
    assert same[0] == same[1] == same[2]
    others = [
        identify(claim, leading[1:] + b"x"),
        identify(Claim("image/jphc", 9998, '"v"'), leading),
        identify(Claim("image/jphc", 9999, '"w"'), leading),
        identify(Claim("image/jphc", 9999, None), leading),
        identify(Claim("image/jls", 9999, '"v"'), leading),
    ]
    digests = {identity.digest for identity in (same[0], *others)}
    assert len(digests) == 6
    etags = {identity.etag(envelope) for identity in (same[0], *others) for envelope in Envelope}
    assert len(etags) == 12
    assert all(etag.endswith('"') and etag.isascii() for etag in etags)
    is_weak = [identity.etag(Envelope.SINGLE).startswith("W/") for identity in (same[0], *others)]
    assert is_weak == [False, False, False, False, True, False]


def test_without_a_validator_of_the_origin_an_identity_is_of_one_copy_until_all_bytes_name_it() -> None:
    claim, leading = Claim("image/jls", 9999, None), bytes(IDENTIFYING)
    one, other = (identify(claim, leading, copy=copy) for copy in "ab")
    assert one.digest != other.digest
    assert (one.is_vouched, other.is_vouched) == (False, False)
    whole = [identity.vouched(blake2b(bytes(9999))) for identity in (one, other)]
    assert whole[0].digest == whole[1].digest != one.vouched(blake2b(bytes(9998))).digest
    assert whole[0].etag(Envelope.SINGLE).startswith('"')
    assert whole[0].is_named(one.etag(Envelope.SINGLE), Envelope.SINGLE)
    assert not whole[0].is_named(other.etag(Envelope.SINGLE), Envelope.SINGLE)
    again = whole[0].begun_anew("c")
    assert (again.is_vouched, again.is_named(whole[0].etag(Envelope.SINGLE), Envelope.SINGLE)) == (
        False,
        False,
    )
    assert identify(Claim("image/jls", 9999, '"v"'), leading).begun_anew("c").is_vouched


@FAST
@given(st.lists(st.integers(1, 30), min_size=2, max_size=6))
def test_a_frame_never_shrinks_as_chunks_come(sizes: list[int]) -> None:
    chunks = [bytes(size) for size in sizes]
    frames = [frame_of(IDENTITY, chunks[:count], 16) for count in range(1, len(sizes) + 1)]
    for one, other in pairwise(frames):
        assert b"".join(other.pieces).startswith(b"".join(one.pieces))
        assert other.size > one.size


def resolved(number: int, *ends: int) -> Frame:
    """A whole frame whose resolutions end there; its first piece is the smallest one."""
    body = bytes([number]) * (ends[-1] + 2)
    identity = replace(identify(Claim("image/jphc", len(body), None), body), ends=ends)
    return Frame(identity, frame_of(identity, [body], ends[0]).pieces, len(body))


def test_a_frame_loses_one_resolution_after_the_other() -> None:
    cache = Cache(budget=1500, first_share=1.0)
    cache.store.put(key(1), resolved(1, 50, 100, 250, 998))
    sizes = []
    for number in range(2, 17):
        cache.store.put(key(number), frame_with(number, 100))
        cache.check()
        sizes.append(cache.held(1))
    assert list(dict.fromkeys(sizes)) == [1000, 250, 100, 50]
    assert cache.metric("evictions_total", "finest") == 2
    frame = resolved(1, 50, 100, 250, 998)
    coarser = frame.coarser
    assert coarser is not None
    assert coarser.identity == frame.identity
    assert b"".join(coarser.pieces) == b"".join(frame.pieces)[:250]


def test_what_is_made_smaller_does_not_become_younger() -> None:
    now = [0.0]
    store = MemoryStore(1500, 0.9, 10.0, Telemetry(), lambda: now[0], overhead=0)
    store.put(key(1), resolved(1, 50, 100, 250, 998))
    now[0] = 6.0
    store.put(key(2), frame_with(2, 600))
    found = store.get(key(1))
    assert found is not None
    assert found.size == 250
    now[0] = 11.0
    assert store.get(key(1)) is None
    assert store.size == 600


CONDITION = Condition("if-none-match", '"1"')


def lent(lease: Lease, first: int = 100, rest: int = 200, *, is_strong: bool = True) -> Frame:
    body = bytes(first + rest)
    claim = Claim("image/jphc", len(body), '"1"' if is_strong else None, lease)
    return frame_of(identify(claim, body), [body], first)


def test_a_stale_frame_is_kept_if_the_origin_can_revalidate_it() -> None:
    now = [0.0]
    store = MemoryStore(1000, 0.5, 10.0, Telemetry(), lambda: now[0], overhead=0)
    frame = lent(Lease(own=5.0, shared=5.0, condition=CONDITION))
    store.put(key(1), frame)
    assert store.get(key(1)) == frame
    now[0] = 5.0
    assert store.get(key(1)) is None
    assert store.stale(key(1)) == frame
    now[0] = 10.0
    assert store.stale(key(1)) is None
    assert store.size == 0


@pytest.mark.parametrize(
    "lease",
    [
        Lease(0.0, 0.0),
        Lease(0.0, 0.0, is_storable=False, condition=CONDITION),
        Lease(60.0, 0.0, is_personal=True, condition=CONDITION),
    ],
    ids=["no validator", "no-store", "private"],
)
def test_a_frame_that_may_not_be_stored_is_not_kept_as_stale(lease: Lease) -> None:
    cache = Cache()
    cache.store.put(key(1), lent(lease))
    assert cache.store.stale(key(1)) is None
    assert cache.store.size == 0


def test_a_prefix_is_stale_only_under_a_strong_validator() -> None:
    lease = Lease(0.0, 0.0, condition=CONDITION)
    for is_strong in (True, False):
        cache = Cache()
        cache.store.put(key(1), lent(lease, is_strong=is_strong))
        cache.put(2, 100, 800)  # evicts the rest of the first frame
        found = cache.store.stale(key(1))
        assert (found.size if found else 0) == (100 if is_strong else 0)
