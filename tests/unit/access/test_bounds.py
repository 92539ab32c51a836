"""A bound has so many places in all and for each caller, and a place that is given back is free again."""

import pytest

from proxy.access.bounds import Bound
from proxy.errors import ServiceFull, TooMany

NOBODY = b""


def bound(refused: list[str] | None = None) -> Bound:
    return Bound("waiting", 3, 2, (refused if refused is not None else []).append)


def test_a_caller_has_a_bound_of_its_own() -> None:
    refused: list[str] = []
    places = bound(refused)
    places.take(b"a", 2)
    with pytest.raises(TooMany, match=r"bounds\.waiting_per_caller: 2 at most"):
        places.take(b"a")
    places.take(b"b")
    assert refused == ["waiting_per_caller"]


def test_all_callers_together_have_one() -> None:
    refused: list[str] = []
    places = bound(refused)
    places.take(b"a", 2)
    places.take(b"b")
    with pytest.raises(ServiceFull, match=r"bounds\.waiting: 3 at most"):
        places.take(b"c")
    assert refused == ["waiting"]


def test_callers_without_a_credential_are_not_one_caller() -> None:
    places = bound()
    places.take(NOBODY, 3)
    with pytest.raises(ServiceFull):
        places.take(NOBODY)


def test_a_refusal_takes_no_place() -> None:
    places = bound()
    places.take(b"a")
    with pytest.raises(TooMany):
        places.take(b"a", 2)
    assert places.taken == 1


@pytest.mark.parametrize("person", [b"a", NOBODY])
def test_a_place_that_is_given_back_is_free(person: bytes) -> None:
    places = bound()
    for _ in range(5):
        places.take(person, 2)
        places.give_back(person, 2)
    with pytest.raises(ZeroDivisionError), places.place(person):
        1 / 0  # noqa: B018  # an error within the `with`
    assert places.taken == 0
    assert places._by_person == {}
