"""Until when a frame is fresh, usable if the origin fails, and held."""

from dataclasses import replace

import pytest

from proxy.cache.lifetimes import Lifetimes, Times
from proxy.cache.memory import MemoryStore
from proxy.frame.frame import Frame, frame_of
from proxy.frame.identity import Claim, Condition, Lease, identify
from proxy.frame.key import FrameKey
from proxy.telemetry.telemetry import Telemetry
from proxy.wire.resource import FrameResource

KEY = FrameKey("pacs", b"", FrameResource("1", "2", "3", 1))
CONDITION = Condition("if-none-match", '"1"')
MADE = Lease(since=1000.0)
HOUR = Lifetimes(fresh=60.0, revalidated=60.0, stale=3600.0)


def lent(lease: Lease, held: int = 300) -> Frame:
    body = bytes(300)
    return frame_of(identify(Claim("image/jphc", len(body), '"1"', lease), body), [body[:held]], 100)


CASES = {
    "nothing said": (MADE, HOUR, (1060, 4660, 4660)),
    "a shorter lease": (replace(MADE, shared=10), HOUR, (1010, 4610, 4610)),
    "stale at once": (replace(MADE, shared=0), HOUR, (1000, 4600, 4600)),
    "a limit": (replace(MADE, if_error=30), HOUR, (1060, 1090, 1090)),
    "a limit that is longer": (replace(MADE, if_error=9000), HOUR, (1060, 4660, 4660)),
    "forbidden": (replace(MADE, if_error=0), HOUR, (1060, 1060, 1060)),
    "off": (MADE, replace(HOUR, stale=0), (1060, 1060, 1060)),
    "not to be stored": (replace(MADE, shared=0, is_storable=False), HOUR, (1000, 1000, 1000)),
    "personal": (replace(MADE, shared=0, is_personal=True), HOUR, (1000, 1000, 1000)),
    "revalidated for longer": (
        replace(MADE, condition=CONDITION),
        replace(HOUR, revalidated=9000),
        (1060, 4660, 10_000),
    ),
    "revalidated for less": (replace(MADE, condition=CONDITION), HOUR, (1060, 4660, 4660)),
    "forbidden, revalidated": (
        replace(MADE, shared=0, if_error=0, condition=CONDITION),
        HOUR,
        (1000, 1000, 1060),
    ),
}


@pytest.mark.parametrize(("lease", "limits", "times"), CASES.values(), ids=CASES)
def test_the_strictest_limit_holds(lease: Lease, limits: Lifetimes, times: tuple[float, ...]) -> None:
    assert limits.times(lent(lease), 1005.0, is_shared=True) == Times(*times)


def test_what_is_personal_may_be_used_for_the_one_it_was_sent_to() -> None:
    lease = replace(MADE, own=10, shared=0, is_personal=True)
    assert HOUR.times(lent(lease), 1005.0, is_shared=False) == Times(1010, 4610, 4610)


def test_what_is_in_doubt_is_only_revalidated() -> None:
    lease = replace(MADE, condition=CONDITION)
    assert HOUR.times(lent(lease), 1010.0, is_shared=True, doubted=1005.0) == Times(1010, 1010, 1060)


def test_bytes_of_two_responses_are_used_as_long_as_both_may_be() -> None:
    assert Lease(if_error=5.0).within(Lease(if_error=60.0)).if_error == 5.0


def test_a_store_returns_it_until_its_time_is_over_and_says_how_old_it_is() -> None:
    now = [1000.0]
    store = MemoryStore(5000, 0.5, 60.0, Telemetry(), lambda: now[0], overhead=0, if_error=100.0)
    frame = lent(replace(MADE, age=5.0))
    store.put(KEY, frame)
    now[0] = 1070.0
    assert store.get(KEY) is None
    assert store.stale(KEY) is None  # nothing revalidates it
    stale = store.if_error(KEY)
    assert stale is not None
    assert (stale.frame, stale.age, stale.ended) == (frame, 70.0, 10.0)
    now[0] = 1160.0
    assert store.if_error(KEY) is None
    assert store.size == 0


def test_a_store_in_doubt_returns_nothing_and_keeps_it_for_a_revalidation() -> None:
    now = [1000.0]
    store = MemoryStore(5000, 0.5, 60.0, Telemetry(), lambda: now[0], overhead=0, if_error=100.0)
    store.put(KEY, lent(replace(MADE, condition=CONDITION)))
    now[0] = 1010.0
    store.doubt()
    assert store.if_error(KEY) is None
    assert store.stale(KEY) is not None


def test_a_frame_that_lost_its_rest_keeps_its_times() -> None:
    now = [1000.0]
    store = MemoryStore(450, 0.9, 60.0, Telemetry(), lambda: now[0], overhead=0, if_error=100.0)
    store.put(KEY, lent(MADE))
    store.put(replace(KEY, resource=FrameResource("1", "2", "3", 2)), lent(MADE))
    now[0] = 1070.0
    stale = store.if_error(KEY)
    assert stale is not None
    assert (stale.frame.size, stale.ended) == (100, 10.0)
