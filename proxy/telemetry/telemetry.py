"""The object through which every part of the service records what it does."""

from dataclasses import dataclass, field

from proxy.telemetry.exposition import is_open
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.traces import Traces


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The metrics of one service. It is never global, so two services in one process do not share counts."""

    metrics: Metrics = field(default_factory=Metrics)
    """All counters, gauges and histograms."""
    traces: Traces | None = None
    """Makes spans; None if traces are off."""

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """The text that Prometheus scrapes, and its media type.

        With traces and if `accept` names OpenMetrics, it has exemplars.
        """
        return self.metrics.exposition(is_open=is_open(accept, has_traces=self.traces is not None))
