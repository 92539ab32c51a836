"""A frame that an origin lacks is remembered by caller, for a while, and bounded in number."""

import pytest

from proxy.errors import OriginRefused
from proxy.frame.key import FrameKey
from proxy.frame.scope import FrameScope
from proxy.frame.supply import OriginRequest
from proxy.origin.missing import KEPT, MOST_KEPT, Missing
from proxy.wire.resource import FrameResource


def asked(number: int = 1, caller: str = "one") -> OriginRequest:
    key = FrameKey("pacs", b"", FrameResource("1", "2", "3", number))
    return OriginRequest(key, (("authorization", caller),))


def status(missing: Missing, request: OriginRequest) -> int:
    """The status that the proxy gives without asking. 0 if it asks."""
    try:
        missing.check(request)
    except OriginRefused as error:
        return error.status
    return 0


@pytest.mark.parametrize(("refused", "remembered"), [(404, 404), (410, 410), (403, 0), (406, 0), (401, 0)])
def test_only_a_missing_frame_is_remembered(refused: int, remembered: int) -> None:
    missing = Missing(lambda: 0.0)
    missing.note(asked(), refused, missing.changes)
    assert status(missing, asked()) == remembered


def test_each_caller_asks_for_itself_and_only_for_a_while() -> None:
    now = [0.0]
    missing = Missing(lambda: now[0])
    missing.note(asked(), 404, missing.changes)
    assert [status(missing, each) for each in (asked(), asked(2), asked(1, "two"))] == [404, 0, 0]
    now[0] += KEPT
    assert status(missing, asked()) == 0


def test_a_change_forgets_what_it_touches_and_what_is_on_its_way() -> None:
    missing = Missing(lambda: 0.0)
    before = missing.changes
    missing.note(asked(1), 404, before)
    missing.forget(FrameScope("pacs", "9"))
    assert status(missing, asked(1)) == 404
    missing.note(asked(2), 404, before)  # it was asked for before the change
    assert status(missing, asked(2)) == 0
    missing.forget(FrameScope("pacs", "1"))
    assert status(missing, asked(1)) == 0


def test_it_is_bounded() -> None:
    missing = Missing(lambda: 0.0)
    for number in range(1, MOST_KEPT + 2):
        missing.note(asked(number), 404, missing.changes)
    assert len(missing) == MOST_KEPT
    assert [status(missing, asked(number)) for number in (1, 2, MOST_KEPT + 1)] == [0, 404, 404]
