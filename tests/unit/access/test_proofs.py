import gc
import weakref

import pytest

from proxy.access.caller import ASKED
from proxy.access.proofs import Name, Proofs
from proxy.errors import OriginRefused

ANNE: Name = (b"anne", "pacs", "1.2")
OTHERS: list[Name] = [(b"bob", "pacs", "1.2"), (b"anne", "cloud", "1.2"), (b"anne", "pacs", "1.3")]
FORBIDDEN = OriginRefused(403, "Bearer", location="/login")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_yes_counts_for_its_time_and_for_nobody_else(clock: Clock) -> None:
    book = Proofs(60, clock)
    assert book.yes(ANNE) is None
    book.allow(ANNE)
    clock.now += 59.9
    assert book.yes(ANNE) is not None
    assert [book.yes(other) for other in OTHERS] == [None, None, None]
    clock.now += 0.1
    assert book.yes(ANNE) is None


def test_a_yes_is_due_in_its_last_third(clock: Clock) -> None:
    book = Proofs(60, clock)
    yes = book.allow(ANNE)
    clock.now += 39.9
    assert not book.is_due(yes)
    clock.now += 0.2
    assert book.is_due(yes)


def test_without_time_a_yes_counts_for_nothing_more(clock: Clock) -> None:
    book = Proofs(0, clock)
    assert book.allow(ANNE).partition == ASKED
    assert book.yes(ANNE) is None


def test_a_refusal_ends_the_yes_of_that_caller_and_study(clock: Clock) -> None:
    book = Proofs(60, clock)
    for name in (ANNE, *OTHERS):
        book.allow(name)
    book.refuse(ANNE, "frame", FORBIDDEN)
    assert book.yes(ANNE) is None
    assert all(book.yes(other) for other in OTHERS)


@pytest.mark.parametrize("status", [400, 404, 406, 410, 415])
def test_what_is_about_the_frame_or_its_form_tells_nothing_of_the_caller(status: int, clock: Clock) -> None:
    book = Proofs(60, clock)
    book.allow(ANNE)
    book.refuse(ANNE, "frame", OriginRefused(status))
    assert book.yes(ANNE) is not None
    book.check(b"anne", "frame")


def test_a_refusal_is_repeated_in_the_origins_words_for_a_few_seconds(clock: Clock) -> None:
    book = Proofs(60, clock)
    book.refuse(ANNE, "frame", FORBIDDEN)
    with pytest.raises(OriginRefused) as refused:
        book.check(b"anne", "frame")
    again = refused.value
    assert (again.status, again.challenge, again.location) == (403, "Bearer", "/login")
    assert (again.is_repeated, str(again)) == (True, str(FORBIDDEN))
    book.check(b"anne", "other frame")
    book.check(b"bob", "frame")
    clock.now += 3
    book.check(b"anne", "frame")


def test_a_partition_of_its_own_stays_its_own_while_the_yes_counts(clock: Clock) -> None:
    book = Proofs(60, clock)
    book.allow(ANNE, b"anne")
    clock.now += 59
    assert book.allow(ANNE).partition == b"anne"
    clock.now += 61
    assert book.allow(ANNE).partition == ASKED


def test_a_yes_that_a_refusal_has_overtaken_does_not_count(clock: Clock) -> None:
    book = Proofs(60, clock)
    refusals = book.refusals
    book.refuse(ANNE, "frame", FORBIDDEN)
    assert book.allow(ANNE, ASKED, refusals).partition == ASKED
    assert book.yes(ANNE) is None
    for name in OTHERS:
        book.allow(name, ASKED, refusals)
        assert book.yes(name) is not None
    book.allow(ANNE, ASKED, book.refusals)
    assert book.yes(ANNE) is not None


def test_the_only_reader_of_a_study_is_compared_with_nobody(clock: Clock) -> None:
    book = Proofs(60, clock)
    anne = book.allow(ANNE)
    assert book.may_read_others(ANNE, anne)
    bob = book.allow(OTHERS[0])
    assert not book.may_read_others(ANNE, anne)
    assert not book.may_read_others(OTHERS[0], bob)
    assert book.may_read_others(OTHERS[0], book.allow(OTHERS[0], is_compared=True))
    assert book.allow(OTHERS[0]).is_compared
    clock.now += 60
    assert not book.allow(OTHERS[0]).is_compared


def test_the_book_has_a_bound(clock: Clock) -> None:
    book = Proofs(60, clock, most_kept=10)
    names: list[Name] = [(b"%d" % number, "pacs", "1") for number in range(30)]
    for name in names:
        book.allow(name)
        book.refuse((name[0], "pacs", "2"), "frame", FORBIDDEN)
    assert len(book) == 31
    assert book.yes(names[0]) is None
    assert book.yes(names[-1]) is not None


def test_a_refusal_keeps_nothing_alive_and_goes_when_it_is_over(clock: Clock) -> None:
    class Large:
        pass

    def refused(frame: int) -> weakref.ref[Large]:
        large = Large()  # in the traceback, as a response would be
        try:
            raise OriginRefused(401)
        except OriginRefused as error:
            book.refuse(ANNE, frame, error)
        return weakref.ref(large)

    book = Proofs(60, clock)
    kept = [refused(frame) for frame in range(10)]
    gc.collect()
    assert not any(each() for each in kept)
    many = len(book)
    clock.now += book.refused_for
    for frame in range(10, 20):
        refused(frame)
    assert len(book) == many
