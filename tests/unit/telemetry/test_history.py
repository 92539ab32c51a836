"""The last hour of deliveries, minute by minute."""

from proxy.telemetry.deliveries import BUCKETS, Deliveries
from proxy.telemetry.history import MINUTES, History


class Told:
    """Deliveries, and a clock that moves only if a test says so."""

    def __init__(self) -> None:
        self.now = 1_000_020.0  # a minute begins
        self.deliveries = Deliveries("test_")
        self.history = History(self.deliveries, lambda: self.now)

    def deliver(self, seconds: float, cache: str = "hit") -> None:
        self.deliveries.tally(200, "default", cache).note(10, seconds, 2 * seconds)


def test_a_response_counts_in_the_minute_in_which_it_ended() -> None:
    told = Told()
    told.deliver(0.002)
    told.now += 59
    told.deliver(0.002, "miss")
    now = told.history.now()
    assert (now.at, now.counts.answers["hit"], now.counts.answers["miss"]) == (1_000_020, 1, 1)
    assert told.history.past() == []
    told.now += 1
    told.deliver(40.0)
    [past] = told.history.past()
    assert (past.at, sum(past.counts.answers.values())) == (1_000_020, 3)  # nobody looked when it ended
    told.deliver(40.0)
    now = told.history.now()
    assert (now.at, now.counts.first[-1], now.counts.final[-1]) == (1_000_080, 1, 1)


def test_counts_are_by_bucket() -> None:
    told = Told()
    for seconds in (0.001, 0.005, 0.0051, 0.2, 31.0):
        told.deliver(seconds)
    counts = told.history.now().counts
    assert len(counts.first) == len(counts.final) == len(BUCKETS)
    assert counts.first[:2] == (2, 1)
    assert (sum(counts.first), counts.first[-1]) == (5, 1)


def test_an_hour_is_kept_and_a_quiet_one_leaves_nothing() -> None:
    told = Told()
    for _ in range(2 * MINUTES):
        told.deliver(0.1)
        told.now += 60
        told.history.turn()
    assert len(told.history.past()) == MINUTES - 1
    told.now += 3600
    assert told.history.past() == []


def test_a_clock_that_is_set_back_loses_nothing() -> None:
    told = Told()
    told.deliver(0.1)
    told.now -= 600
    told.deliver(0.1)
    now = told.history.now()
    assert (now.at, now.counts.answers["hit"]) == (1_000_020, 2)
