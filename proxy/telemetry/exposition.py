"""The page of metrics, as Prometheus' text or as OpenMetrics, which has exemplars."""

from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

OPEN_METRICS = "application/openmetrics-text"
"""The media type that has exemplars."""


def is_open(accept: str, *, has_traces: bool) -> bool:
    """True if metrics are shown as OpenMetrics: if that is accepted and they may have exemplars."""
    return has_traces and OPEN_METRICS in accept


def exposition_of(registry: Collector, *, is_open: bool) -> tuple[bytes, str]:
    """The text of all metrics, and its media type."""
    if is_open:
        page: bytes = openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]  # it has no types
        return page, openmetrics.CONTENT_TYPE_LATEST
    return generate_latest(registry), CONTENT_TYPE_LATEST
