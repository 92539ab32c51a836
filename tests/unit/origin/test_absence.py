"""A 404 is believed at once if it can't be meant for the form of the request."""

import pytest

from proxy.origin.absence import MOST_FRAMES, Absence

KEPT = 600.0


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("refused", "has_worked", "is_first", "is_certain"),
    [
        ([], True, False, True),
        ([], False, False, False),
        ([], False, True, False),
        ([400], False, False, False),
        ([406], False, False, True),
        ([415], False, False, True),
        ([406], False, True, False),
        ([404], True, False, False),
        ([406, 404], True, False, False),
    ],
)
def test_it_is_certain_where_the_form_has_worked_or_forms_are_refused_otherwise(
    refused: list[int], has_worked: bool, is_first: bool, is_certain: bool
) -> None:
    absence = Absence(KEPT, Clock())
    absence.note(refused)
    assert absence.is_certain("a", has_worked=has_worked, is_first=is_first) is is_certain


def test_a_frame_that_is_asked_for_once_more_is_looked_for_in_the_other_forms_once() -> None:
    clock = Clock()
    absence = Absence(KEPT, clock)

    def is_certain(path: str) -> bool:
        return absence.is_certain(path, has_worked=True, is_first=False)

    assert [is_certain("a") for _ in range(4)] == [True, False, True, True]
    assert is_certain("b")
    clock.now += KEPT
    assert [is_certain("a"), is_certain("a")] == [True, False]


def test_refusals_are_forgotten() -> None:
    clock = Clock()
    absence = Absence(KEPT, clock)
    absence.note([404])
    clock.now += KEPT
    assert absence.is_certain("a", has_worked=True, is_first=False)


def test_frames_are_bounded_in_number() -> None:
    absence = Absence(KEPT, Clock())
    for number in range(MOST_FRAMES + 1):
        absence.is_certain(str(number), has_worked=True, is_first=False)
    assert absence.is_certain("0", has_worked=True, is_first=False)  # counts anew
    assert not absence.is_certain(str(MOST_FRAMES), has_worked=True, is_first=False)
