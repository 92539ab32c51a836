from proxy.cache.lacking import KEPT, MOST_KEPT, Lacking
from proxy.frame.key import FrameKey
from proxy.wire.resource import FrameResource


def key(instance: str = "1.4", number: int = 1, partition: bytes = b"a", path: str = "/jls/") -> FrameKey:
    return FrameKey("pacs", partition, FrameResource("1.2", "1.3", instance, number), frames_path=path)


def test_what_is_lacking_is_lacking_for_that_instance_and_that_caller_alone() -> None:
    lacking = Lacking(lambda: 0.0)
    lacking.note(key(), is_there=False)
    assert key() in lacking
    assert key(number=9) in lacking
    for other in (key(instance="1.5"), key(partition=b"b"), key(partition=b""), key(path="/htj2k/")):
        assert other not in lacking


def test_it_is_forgotten_after_a_short_time_however_often_it_is_looked_up() -> None:
    now = [0.0]
    lacking = Lacking(lambda: now[0])
    lacking.note(key(), is_there=False)
    now[0] = KEPT - 1
    assert key() in lacking
    now[0] = KEPT
    assert key() not in lacking


def test_the_next_answer_that_brings_it_unlearns_it() -> None:
    lacking = Lacking(lambda: 0.0)
    for is_there in (True, False, True):
        lacking.note(key(), is_there=is_there)
        assert (key() in lacking) is not is_there


def test_no_more_is_remembered_than_the_limit() -> None:
    lacking = Lacking(lambda: 0.0)
    for number in range(MOST_KEPT + 1):
        lacking.note(key(instance=f"1.{number}"), is_there=False)
    assert sum(key(instance=f"1.{number}") in lacking for number in range(MOST_KEPT + 1)) == MOST_KEPT
