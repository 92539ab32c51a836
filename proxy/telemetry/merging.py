"""One page of metrics for several workers.

Counters and histograms are summed. If a worker ends, its last ones still count: Prometheus would take a
smaller sum for a restart from zero, and count everything again. Gauges describe the workers that run.
"""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

OWN = "progressive_proxy_"
LEAST = frozenset(f"{OWN}{name}" for name in ("origin_up", "origin_reached", "configuration_is_good"))
"""Gauges that are as good as at the worst worker."""
EARLIEST = frozenset({f"{OWN}expires_timestamp_seconds", "process_start_time_seconds"})
"""Times, of which the earliest counts."""
MOST = frozenset(f"{OWN}{name}" for name in ("build_info", "memory_limit_bytes", "tier_bytes"))
"""Gauges of what the workers share. All others are summed."""
ALIKE = frozenset({f"{OWN}reloads"})
"""Counters of what all workers do at once. Those of one worker count, the first."""
CREATED = "_created"
"""End of the name of a gauge that says since when something is counted."""

Families = list[Metric]


class Totals(Collector):
    """The merged metrics of workers, each of which has a key that no other one had before."""

    def __init__(self) -> None:
        self._last: dict[str, Families] = {}
        self._gone: Families = []

    def take(self, key: str, page: bytes, *, is_only_counted: bool = False, is_first: bool = False) -> None:
        """A process's metrics as they are now; without its gauges if only what it counted is wanted."""
        families = text_string_to_metric_families(page.decode())
        counted = (each for each in families if is_first or not _is_alike(each))
        self._last[key] = [each for each in counted if _is_counted(each) or not is_only_counted]

    def end(self, key: str) -> None:
        """A worker has ended."""
        counted = (each for each in self._last.pop(key, ()) if _is_counted(each))
        self._gone = list(merged((*self._gone, *counted)))

    def collect(self) -> Iterator[Metric]:
        """The merged metrics."""
        yield from merged((*(each for last in self._last.values() for each in last), *self._gone))

    def exposition(self) -> tuple[bytes, str]:
        """The text that Prometheus scrapes, and its media type."""
        return generate_latest(self), CONTENT_TYPE_LATEST


def _is_counted(family: Metric) -> bool:
    return family.type in ("counter", "histogram") or family.name.endswith(CREATED)


def _is_alike(family: Metric) -> bool:
    return family.name.removesuffix(CREATED) in ALIKE


def merged(families: Iterable[Metric]) -> Iterator[Metric]:
    """One family for each name, with one sample for each set of labels."""
    by_name: dict[str, Families] = {}
    for family in families:
        by_name.setdefault(family.name, []).append(family)
    for name, same in by_name.items():
        one = Metric(name, same[0].documentation, same[0].type)
        join = _join_of(name)
        values: dict[tuple[str, tuple[tuple[str, str], ...]], list[float]] = {}
        for sample in (sample for family in same for sample in family.samples):
            values.setdefault((sample.name, tuple(sample.labels.items())), []).append(sample.value)
        for (sample_name, labels), found in values.items():
            one.add_sample(sample_name, dict(labels), join(found))
        yield one


def _join_of(name: str) -> Callable[[list[float]], float]:
    if name in LEAST | EARLIEST or name.endswith(CREATED):
        return min
    return max if name in MOST else sum
