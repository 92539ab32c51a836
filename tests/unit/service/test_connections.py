"""Connections have so many places; one that is idle makes room for another."""

import pytest

from proxy.errors import ServiceFull, TooMany
from proxy.service.connections import LOOKED_AT, REFUSED_AT_ONCE, Connections, Place


class Line:
    """A connection that can be closed at once, unless its viewer still reads."""

    def __init__(self, connections: Connections, address: str = "a", *, is_read: bool = True) -> None:
        place = connections.enter(address)
        assert place is not None
        self.place: Place = place
        self.is_read = is_read
        self.is_closed = False
        self.place.close = self._close
        self.place.idle()

    def _close(self, is_cut: bool) -> bool:
        self.is_closed = is_cut or self.is_read
        return self.is_closed


def test_the_one_that_was_idle_for_longest_makes_room() -> None:
    closed: list[str] = []
    connections = Connections(3, count_closed=closed.append)
    first, second, third = (Line(connections) for _ in range(3))
    first.place.busy()
    second.place.busy()
    second.place.idle()
    assert Line(connections).place.refusal is None
    assert [line.is_closed for line in (first, second, third)] == [False, False, True]
    assert Line(connections).place.refusal is None
    assert [line.is_closed for line in (first, second)] == [False, True]
    assert closed == ["room", "room"]


def test_if_none_is_idle_the_new_one_is_refused() -> None:
    refused: list[str] = []
    connections = Connections(1, count_refused=refused.append)
    line = Line(connections)
    line.place.busy()
    assert isinstance(Line(connections).place.refusal, ServiceFull)
    assert refused == ["connections"]
    line.place.leave()
    assert Line(connections).place.refusal is None


def test_only_so_many_are_told_of_their_refusal() -> None:
    connections = Connections(1)
    Line(connections).place.busy()
    told = [connections.enter("a") for _ in range(REFUSED_AT_ONCE + 1)]
    assert told[-1] is None
    assert told[0] is not None
    told[0].leave()
    assert connections.enter("a") is not None


@pytest.mark.parametrize("readers", [1, LOOKED_AT, LOOKED_AT + 1])
def test_a_viewer_that_still_reads_its_last_answer_is_passed_over(readers: int) -> None:
    connections = Connections(readers + 1)
    reading = [Line(connections, is_read=False) for _ in range(readers)]
    idle = Line(connections)
    for _ in range(2):  # those that were looked at are last from then on
        if connections.make_room():
            break
    assert idle.is_closed
    assert not any(line.is_closed for line in reading)


def test_at_the_admin_listener_it_is_cut() -> None:
    connections = Connections(1, cuts_readers=True)
    line = Line(connections, is_read=False)
    assert Line(connections).place.refusal is None
    assert line.is_closed


def test_a_bound_for_each_address() -> None:
    connections = Connections(per_address=1)
    line = Line(connections, "a")
    assert isinstance(Line(connections, "a").place.refusal, TooMany)
    assert Line(connections, "b").place.refusal is None
    line.place.leave()
    line.place.leave()
    assert Line(connections, "a").place.refusal is None


def test_a_connection_that_has_left_is_no_more_idle() -> None:
    connections = Connections(1)
    line = Line(connections)
    line.place.leave()
    line.place.idle()
    Line(connections).place.busy()
    assert not line.is_closed
    assert isinstance(Line(connections).place.refusal, ServiceFull)
