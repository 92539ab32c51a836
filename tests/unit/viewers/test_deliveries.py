"""Plain counts are scraped as the library's own metrics would be."""

import random
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest

from proxy.telemetry.deliveries import CACHE, SECONDS, Deliveries
from proxy.telemetry.metrics import Metrics

Note = Callable[[int, str, str, int, float | None, float | None], None]


def oracle() -> tuple[CollectorRegistry, Note]:
    """The library's own counters."""
    registry = CollectorRegistry()
    said = "Seconds from a viewer's request for a frame until the proxy wrote the {} {}."
    first, final = (
        Histogram(
            f"t_{name}_delivery_seconds",
            said.format(*words),
            ("profile", "cache"),
            buckets=SECONDS,
            registry=registry,
        )
        for name, words in (("first", ("first", "bytes")), ("final", ("last", "byte")))
    )
    words = "Responses to viewers' requests for a frame."
    answers = Counter("t_frame_answers", words, ("status", "cache"), registry=registry)
    served = Counter("t_served_bytes", "Bytes of frames sent to viewers.", ("cache",), registry=registry)
    for each in CACHE:
        served.labels(each)

    def note(
        status: int, profile: str, cache: str, sent: int, began: float | None, ended: float | None
    ) -> None:
        answers.labels(str(status), cache).inc()
        served.labels(cache).inc(sent)
        if began is not None:
            first.labels(profile, cache).observe(began)
        if ended is not None:
            final.labels(profile, cache).observe(ended)

    return registry, note


def lines_of(registry: CollectorRegistry) -> list[str]:
    """The lines of a scrape, without the time at which a metric was made."""
    text = generate_latest(registry).decode()
    return sorted(line for line in text.splitlines() if "_created" not in line)


@pytest.mark.parametrize("number", [0, 1, 500])
def test_a_scrape_is_that_of_the_library(number: int) -> None:
    chance, deliveries, ours = random.Random(7), Deliveries("t_"), CollectorRegistry()
    for name in ("first_delivery", "final_delivery", "frame_answers", "served_bytes"):
        ours.register(getattr(deliveries, name))
    theirs, note = oracle()
    times = [None, 0.0, 31.0, *SECONDS, *(second / 2 for second in SECONDS)]
    for _ in range(number):
        status, profile, cache = chance.choice((200, 206, 404)), chance.choice("ab"), chance.choice(CACHE)
        sent, first, final = chance.randrange(9999), chance.choice(times), chance.choice(times)
        deliveries.tally(status, profile, cache).note(sent, first, final)
        note(status, profile, cache, sent, first, final)
    assert [rounded(line) for line in lines_of(ours)] == [rounded(line) for line in lines_of(theirs)]


def rounded(line: str) -> str:
    """A line, whose sum of seconds may be added up in another order."""
    name, _, value = line.rpartition(" ")
    return f"{name} {float(value):.6f}" if "_sum" in name and not line.startswith("#") else line


def test_the_metrics_of_a_service_have_them() -> None:
    metrics = Metrics()
    metrics.deliveries.tally(206, "single", "hit").note(65536, 0.001, None)
    told = metrics.exposition()[0].decode()
    assert (
        'progressive_proxy_first_delivery_seconds_bucket{cache="hit",le="0.005",profile="single"} 1.0' in told
    )
    assert 'progressive_proxy_served_bytes_total{cache="hit"} 65536.0' in told
