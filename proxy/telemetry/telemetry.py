"""The object through which every part of the service records what it does."""

from dataclasses import dataclass, field

from proxy.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The metrics of one service. It is never global, so two services in one process do not share counts."""

    metrics: Metrics = field(default_factory=Metrics)
    """All counters, gauges and histograms."""
