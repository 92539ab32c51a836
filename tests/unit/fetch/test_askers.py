import pytest

from proxy.errors import OriginRefused
from proxy.fetch.askers import Askers
from proxy.frame.key import FrameKey
from proxy.frame.supply import OriginRequest
from proxy.wire.resource import FrameResource

KEY = FrameKey("pacs", b"asked", FrameResource("1", "2", "3", 4))
ANNE, BOB, CARL = (OriginRequest(KEY, (), identity=name) for name in (b"anne", b"bob", b"carl"))
NOBODY = OriginRequest(KEY, ())
NO = OriginRefused(403)


def test_the_next_caller_is_asked_for_if_the_first_is_refused() -> None:
    askers = Askers(ANNE)
    for asked in (BOB, ANNE, BOB, CARL):
        askers.join(asked)
    assert askers.pass_on(ANNE, NO)
    assert askers.now is BOB
    assert askers.pass_on(BOB, NO)
    assert askers.now is CARL
    assert not askers.pass_on(CARL, NO)


def test_a_refusal_is_for_the_one_who_was_refused() -> None:
    askers, gone = Askers(ANNE), OriginRefused(404)
    askers.join(BOB)
    askers.pass_on(ANNE, NO)
    askers.pass_on(BOB, gone)
    for asked, error in ((ANNE, NO), (BOB, gone)):
        with pytest.raises(OriginRefused) as refused:
            askers.check(asked.identity)
        assert refused.value.status == error.status
    askers.check(b"carl")


def test_two_fetches_that_are_refused_at_once_pass_on_once() -> None:
    askers = Askers(ANNE)
    for asked in (BOB, CARL):
        askers.join(asked)
    assert askers.pass_on(ANNE, NO)
    assert askers.pass_on(ANNE, NO)
    assert askers.now is BOB


def test_a_caller_who_lacks_the_frame_is_not_asked_for_again() -> None:
    askers = Askers(ANNE)
    askers.join(BOB)
    askers.pass_on(ANNE, OriginRefused(404))
    askers.join(ANNE)
    assert not askers.pass_on(BOB, NO)
    with pytest.raises(OriginRefused):
        askers.check(b"anne")


def test_a_caller_who_may_read_again_reads_the_same_fill() -> None:
    askers = Askers(ANNE)
    askers.join(BOB)
    askers.pass_on(ANNE, NO)
    askers.join(ANNE)
    askers.check(b"anne")
    assert askers.pass_on(BOB, NO)
    assert askers.now is ANNE


def test_a_form_that_is_refused_is_refused_for_all() -> None:
    askers = Askers(ANNE)
    askers.join(BOB)
    assert not askers.pass_on(ANNE, OriginRefused(406))
    askers.check(b"anne")


def test_without_an_identity_nothing_is_passed_on() -> None:
    askers = Askers(NOBODY)
    askers.join(NOBODY)
    assert not askers.pass_on(NOBODY, NO)
    askers.check(b"")
