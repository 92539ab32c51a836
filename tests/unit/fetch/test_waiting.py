"""The order of fetches that wait: fair between callers, by rank within one caller."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from proxy.fetch.turns import Rank, Turn
from proxy.fetch.waiting import LEAST_COST, MOST_SPARE, Waiting

FIRST, COMPLETION, PLAN = Turn.VIEWER_FIRST, Turn.VIEWER_COMPLETION, Turn.PLAN_FIRST


@dataclass(eq=False)
class Fetch:
    """A fetch whose callers are named by one letter each."""

    callers: str
    rank: Rank = Rank(FIRST)  # noqa: RUF009  # it is frozen
    size: int = LEAST_COST
    number: int = 0
    entry: int = 0
    queued: int = 0
    persons: dict[bytes, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.persons = dict.fromkeys(name.encode() for name in self.callers)


def placed(*fetches: Fetch) -> Waiting[Fetch]:
    waiting: Waiting[Fetch] = Waiting()
    for number, fetch in enumerate(fetches, 1):
        fetch.number = number
        waiting.place(fetch)
    return waiting


def going(waiting: Waiting[Fetch], most: int = 100) -> list[Fetch]:
    """The fetches that go out, in order."""
    gone: list[Fetch] = []
    while len(gone) < most and (fetch := waiting.first()) is not None:
        waiting.go(fetch, fetch.size)
        gone.append(fetch)
    return gone


def callers(fetches: Iterable[Fetch]) -> str:
    return "".join(fetch.callers for fetch in fetches)


def of(names: str, turn: Turn = FIRST, size: int = LEAST_COST) -> list[Fetch]:
    return [Fetch(name, Rank(turn), size) for name in names]


@pytest.mark.parametrize(
    ("came", "order"),
    [
        pytest.param(of("aaaa"), "aaaa", id="one caller"),
        pytest.param(of("aaaab"), "abaaa", id="who asks for one waits for one"),
        pytest.param(of("aaabbb"), "ababab", id="in rotation"),
        pytest.param(of("aaabbbc"), "abcabab", id="three"),
        pytest.param(of("aaa", size=3 * LEAST_COST) + of("bbbbbb"), "abbbabbba", id="by bytes"),
        pytest.param(of("aaa", size=1) + of("bbb"), "ababab", id="a seat costs something too"),
        pytest.param(of("aa", COMPLETION) + of("bbb"), "bbbaa", id="turns go first"),
        pytest.param(of("bb") + of("aab", COMPLETION), "bbaba", id="each turn has dues of its own"),
        pytest.param(of("aaab", PLAN), "abaa", id="plans"),
    ],
)
def test_the_caller_that_had_less_goes_first(came: list[Fetch], order: str) -> None:
    assert callers(going(placed(*came))) == order


def test_within_one_caller_the_rank_decides_and_then_the_arrival() -> None:
    ranks = [Rank(PLAN, 2), Rank(PLAN, 1, 1), Rank(PLAN, 1, 0, 5), Rank(PLAN, 1, 0, -5), Rank(PLAN, 1, 0, 5)]
    fetches = [Fetch("a", rank) for rank in ranks]
    others = [Fetch("b", Rank(PLAN, 9)), Fetch("b", Rank(PLAN, 3))]
    gone = going(placed(*fetches, *others))
    assert [fetch.number for fetch in gone if fetch.callers == "a"] == [4, 3, 5, 2, 1]
    assert [fetch.number for fetch in gone if fetch.callers == "b"] == [7, 6]
    assert callers(gone) == "ababaaa"


def test_who_comes_late_goes_next_and_does_not_catch_up() -> None:
    waiting = placed(*of("a" * 40))
    assert callers(going(waiting, 20)) == "a" * 20
    for fetch in of("bbbb"):
        waiting.place(fetch)
    assert callers(going(waiting, 8)) == "babababa"


def test_who_comes_anew_goes_before_one_that_was_served_at_once_and_comes_again() -> None:
    waiting = placed(*of("a"))
    assert callers(going(waiting)) == "a"
    for fetch in of("aab"):
        waiting.place(fetch)
    assert callers(going(waiting)) == "baa"


def test_newcomers_do_not_starve_a_caller_that_waits() -> None:
    waiting = placed(*of("aaaa"))
    gone = callers(going(waiting, 1))
    for name in "bcdefgh":
        waiting.place(Fetch(name))
        gone += callers(going(waiting, 1))
    assert gone == "abacdaef"


def test_who_waits_for_one_at_a_time_does_not_go_before_one_that_waits_for_many() -> None:
    waiting, gone = placed(*of("aab" + "b" * 20)), ""
    while "bb" not in gone and len(gone) < 20:
        gone += callers(going(waiting, 1))
        if gone.endswith("a"):
            waiting.place(Fetch("a"))  # comes back as soon as it is served
    assert gone == "ab" * 10


def test_a_frame_for_two_callers_goes_out_with_the_first_of_them_and_that_one_pays() -> None:
    shared = Fetch("a")
    waiting = placed(*of("aaa"), shared, *of("bb"))
    shared.persons[b"b"] = None
    waiting.join(shared)
    assert len(waiting) == 6
    gone = going(waiting)
    assert gone[1] is shared  # it is older than the others for which `b` waits
    assert callers(gone) == "aaabab"


def test_a_fetch_whose_rank_changes_keeps_only_its_new_place() -> None:
    moved = Fetch("a", Rank(COMPLETION))
    waiting = placed(moved, *of("ab", COMPLETION), *of("b"))
    moved.rank = Rank(FIRST)
    waiting.place(moved)
    assert len(waiting) == 4
    gone = going(waiting)
    assert gone.index(moved) == 1
    assert len(gone) == 4
    assert waiting.first() is None


def test_who_leaves_takes_no_turn() -> None:
    fetches = of("abab")
    waiting = placed(*fetches)
    for fetch in fetches[:2]:
        waiting.leave(fetch)
        waiting.leave(fetch)
    assert (len(waiting), going(waiting)) == (2, fetches[2:])


def test_more_bytes_than_were_expected_are_paid_later() -> None:
    waiting = placed(*of("aaabbb"))
    first = waiting.first()
    assert first is not None
    waiting.go(first, LEAST_COST).due += 2 * LEAST_COST
    assert callers(going(waiting)) == "bbbaa"


def test_the_longest_waiting_is_let_go_of_each_caller_in_rotation() -> None:
    fetches = [*of("aaa"), *of("bb", COMPLETION), *of("c")]
    waiting, gone = placed(*fetches), list[Fetch]()
    while (fetch := waiting.longest(lambda each: each.rank.turn is FIRST or len(gone) > 1)) is not None:
        waiting.go(fetch, fetch.size)
        gone.append(fetch)
    assert callers(gone) == "acbaba"


def test_callers_that_were_here_are_forgotten() -> None:
    waiting = placed()
    for number in range(20 * MOST_SPARE):
        waiting.place(Fetch(chr(200 + number)))
        assert len(going(waiting)) == 1
        assert len(waiting._queues) <= 2 * MOST_SPARE
    assert not waiting._by_person
