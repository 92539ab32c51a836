"""Reads metrics back, to tell operators what Prometheus would scrape."""

from collections import defaultdict

from prometheus_client.registry import Collector


def values(metric: Collector, *labels: str, **only: str) -> dict[tuple[str, ...], float]:
    """The values of a counter or gauge by the values of some labels; those of all others are added up.

    `only` has labels and the values that they must have.
    """
    found = defaultdict[tuple[str, ...], float](float)
    for sample in (sample for family in metric.collect() for sample in family.samples):
        if all(sample.labels.get(name) == value for name, value in only.items()):
            found[tuple(sample.labels[name] for name in labels)] += sample.value
    return dict(found)


def counts(metric: Collector, label: str, **only: str) -> dict[str, int]:
    """The same as whole numbers by the values of one label."""
    return {value: int(number) for (value,), number in values(metric, label, **only).items()}


def total(metric: Collector, **only: str) -> int:
    """The sum of all values."""
    return int(sum(values(metric, **only).values()))
