"""The metrics of several workers on one page."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy.telemetry.merging import EARLIEST, LEAST, MOST, Totals
from proxy.telemetry.metrics import Metrics
from tests.pages.program import families

SUMMED = {
    f"progressive_proxy_{name}"
    for name in (
        "fills_in_flight",
        "cache_bytes",
        "kept_bytes",
        "connections",
        "places_taken",
        "jobs",
        "cache_budget_bytes",
    )
}


def value(totals: Totals, name: str, **labels: str) -> float | None:
    text = totals.exposition()[0].decode()
    found = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"progressive_proxy_{name}" and sample.labels == labels
    ]
    assert len(found) <= 1, name
    return found[0] if found else None


def page(metrics: Metrics) -> bytes:
    return metrics.exposition()[0]


def two() -> tuple[Metrics, Metrics]:
    return Metrics(), Metrics()


def test_counters_and_histograms_are_summed() -> None:
    one, other = two()
    for _ in range(3):
        one.deliveries.tally(200, "p", "hit").note(0, None, None)
    one.deliveries.tally(200, "q", "hit").note(0, 0.02, None)
    other.deliveries.tally(200, "q", "hit").note(0, 3.0, None)
    for _ in range(2):
        other.deliveries.tally(200, "p", "hit").note(0, None, None)
    other.deliveries.tally(404, "p", "miss").note(0, None, None)
    totals = Totals()
    totals.take("0", page(one))
    totals.take("1", page(other))
    assert value(totals, "frame_answers_total", status="200", cache="hit") == 7
    assert value(totals, "frame_answers_total", status="404", cache="miss") == 1
    told = {"profile": "q", "cache": "hit"}
    assert value(totals, "first_delivery_seconds_count", **told) == 2
    assert value(totals, "first_delivery_seconds_sum", **told) == pytest.approx(3.02)
    assert value(totals, "first_delivery_seconds_bucket", le="0.025", **told) == 1
    assert value(totals, "first_delivery_seconds_bucket", le="+Inf", **told) == 2


def test_gauges_are_summed_or_the_worst_counts() -> None:
    one, other = two()
    for metrics, size, up in ((one, 10, 1), (other, 20, 0)):
        metrics.cache_bytes.labels("first").set(size)
        metrics.origin_up.labels("pacs").set(up)
        metrics.origin_reached.labels("pacs").set(up)
        metrics.configuration_is_good.set(up)
        metrics.warmed.start_at_zero("worklist")
    other.warmed.end("worklist", "done", failed=1)
    totals = Totals()
    totals.take("0", page(one))
    totals.take("1", page(other))
    assert value(totals, "cache_bytes", part="first") == 30
    assert value(totals, "origin_up", origin="pacs") == 0
    assert value(totals, "origin_reached", origin="pacs") == 0
    assert value(totals, "configuration_is_good") == 0
    assert value(totals, "warm_failed", warm="worklist") == 1
    assert value(totals, "warm_running", warm="worklist") == 0
    assert (value(totals, "warm_ended_timestamp_seconds", warm="worklist") or 0) > 0
    version = next(iter(one.build_info._metrics))[0]
    assert value(totals, "build_info", version=version) == 1


def test_each_gauge_has_its_way_of_being_merged() -> None:
    gauges = {name for name, family, _ in families() if family.type == "gauge"}
    assert gauges | {"process_start_time_seconds", "python_info"} == LEAST | EARLIEST | MOST | SUMMED


def test_what_a_worker_counted_stays_when_it_has_ended_and_its_gauges_go() -> None:
    one, other = two()
    for metrics in (one, other):
        metrics.top_ups.inc(5)
        metrics.fills_in_flight.set(2)
    totals = Totals()
    totals.take("0", page(one))
    totals.take("1", page(other))
    totals.end("0")
    assert value(totals, "top_ups_total") == 10
    assert value(totals, "fills_in_flight") == 2
    totals.take("2", page(Metrics()))
    totals.end("1")
    totals.end("never heard of")
    assert value(totals, "top_ups_total") == 10
    assert value(totals, "fills_in_flight") == 0


def test_all_that_one_worker_shows_is_shown_as_it_is() -> None:
    metrics = Metrics()
    metrics.over_bounds.labels('quoted "a" \\ \n').inc()
    totals = Totals()
    totals.take("0", page(metrics), is_first=True)
    assert _lines(totals.exposition()[0]) == _lines(page(metrics))


def _lines(exposition: bytes) -> set[str]:
    """Without the process's own, which change by the time."""
    return {line for line in exposition.decode().splitlines() if not line.startswith("process_")}


def test_a_reload_counts_once_though_each_worker_does_it() -> None:
    totals = Totals()
    for key in ("0", "1"):
        metrics = Metrics()
        metrics.reloads.labels("good").inc(2)
        totals.take(key, page(metrics), is_first=key == "0")
    assert value(totals, "reloads_total", result="good") == 2
    totals.end("0")
    totals.end("1")
    later = Metrics()
    later.reloads.labels("good").inc()
    totals.take("2", page(later), is_first=True)
    assert value(totals, "reloads_total", result="good") == 3


def test_of_the_parent_only_what_it_counted_is_shown() -> None:
    parent = Metrics()
    parent.lost_workers.inc()
    worker = Metrics()
    worker.configuration_is_good.set(1)
    totals = Totals()
    for _ in range(2):
        totals.take("parent", page(parent), is_only_counted=True)
        totals.take("0", page(worker))
    assert value(totals, "lost_workers_total") == 1
    assert value(totals, "configuration_is_good") == 1


def test_of_exemplars_the_newest_is_kept() -> None:
    totals = Totals()
    for number, (trace, at) in enumerate((("a", 2.0), ("b", 3.0), ("c", 1.0))):
        metrics = Metrics()
        tally = metrics.deliveries.tally(200, "single", "hit")
        tally.note(10, 0.001, None)
        tally.mark(0.001, None, {"trace_id": trace})
        times = tally.first
        times.exemplars = {place: each._replace(timestamp=at) for place, each in times.exemplars.items()}
        totals.take(str(number), metrics.exposition(is_open=True)[0], is_open=True)
    lines = totals.exposition(is_open=True)[0].decode().splitlines()
    bucket = next(line for line in lines if 'first_delivery_seconds_bucket{cache="hit",le="0.005"' in line)
    assert bucket.partition("} ")[2] == '3.0 # {trace_id="b"} 0.001 3.000000000'
    assert "# {" not in totals.exposition()[0].decode(), "the text format has none"
