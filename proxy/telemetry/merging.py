"""One page of metrics for several workers.

Counters and histograms are summed. If a worker ends, its last ones still count: Prometheus would take a
smaller sum for a restart from zero, and count everything again. Gauges describe the workers that run.
"""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families as text_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar, Sample

from proxy.telemetry.exposition import exposition_of

OWN = "progressive_proxy_"
LEAST = frozenset(f"{OWN}{name}" for name in ("origin_up", "origin_reached", "configuration_is_good"))
"""Gauges that are as good as at the worst worker."""
EARLIEST = frozenset({f"{OWN}expires_timestamp_seconds", "process_start_time_seconds"})
"""Times, of which the earliest counts."""
_WARM = ("warm_running", "warm_failed", "warm_ended_timestamp_seconds")
_SHARED = ("build_info", "memory_limit_bytes", "tier_bytes")
MOST = frozenset({"python_info", *(f"{OWN}{name}" for name in (*_SHARED, *_WARM))})
"""Gauges of what the workers share or do together. All others are summed."""
ALIKE = frozenset({f"{OWN}reloads"})
"""Counters of what all workers do at once. Those of one worker count, the first."""

Families = list[Metric]


class Totals(Collector):
    """The merged metrics of workers, each of which has a key that no other one had before."""

    def __init__(self) -> None:
        self._last: dict[str, Families] = {}
        self._gone: Families = []

    def take(
        self,
        key: str,
        page: bytes,
        *,
        is_only_counted: bool = False,
        is_open: bool = False,
        is_first: bool = False,
    ) -> None:
        """A process's metrics as they are now; without its gauges if only what it counted is wanted.

        The page is OpenMetrics if it `is_open`.
        """
        families: Iterable[Metric] = (open_families if is_open else text_families)(page.decode())
        counted = (each for each in families if is_first or each.name not in ALIKE)
        self._last[key] = [each for each in counted if _is_counted(each) or not is_only_counted]

    def end(self, key: str) -> None:
        """A worker has ended."""
        counted = (each for each in self._last.pop(key, ()) if _is_counted(each))
        self._gone = list(merged((*self._gone, *counted)))

    def collect(self) -> Iterator[Metric]:
        """The merged metrics."""
        yield from merged((*(each for last in self._last.values() for each in last), *self._gone))

    def exposition(self, *, is_open: bool = False) -> tuple[bytes, str]:
        """The text that Prometheus scrapes, and its media type; as OpenMetrics if it `is_open`."""
        return exposition_of(self, is_open=is_open)


def _is_counted(family: Metric) -> bool:
    return family.type in ("counter", "histogram")


def merged(families: Iterable[Metric]) -> Iterator[Metric]:
    """One family for each name, with one sample for each set of labels."""
    by_name: dict[str, Families] = {}
    for family in families:
        by_name.setdefault(family.name, []).append(family)
    for name, same in by_name.items():
        one = Metric(name, same[0].documentation, same[0].type)
        join = _join_of(name)
        alike: dict[tuple[str, tuple[tuple[str, str], ...]], list[Sample]] = {}
        for sample in (sample for family in same for sample in family.samples):
            alike.setdefault((sample.name, tuple(sample.labels.items())), []).append(sample)
        for (sample_name, labels), found in alike.items():
            value = join([sample.value for sample in found])
            one.add_sample(sample_name, dict(labels), value, exemplar=_newest(found))
        yield one


def _newest(samples: Iterable[Sample]) -> Exemplar | None:
    exemplars = (sample.exemplar for sample in samples if sample.exemplar is not None)
    return max(exemplars, key=lambda each: float(each.timestamp or 0.0), default=None)


def _join_of(name: str) -> Callable[[list[float]], float]:
    if name in LEAST | EARLIEST:
        return min
    return max if name in MOST else sum
