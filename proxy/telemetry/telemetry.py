"""What is handed to every part of the service that records what it does."""

from dataclasses import dataclass, field

from proxy.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The metrics of one service; never global, so that two services in one process keep theirs apart."""

    metrics: Metrics = field(default_factory=Metrics)
    """All counters, gauges and histograms."""
