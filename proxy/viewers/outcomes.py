"""Counts and logs how requests for frames ended."""

import logging

from proxy.access.authorizer import Pairs
from proxy.telemetry.telemetry import Telemetry
from proxy.telemetry.traces import exemplar_of
from proxy.viewers.delivery import DeliveryProgress
from proxy.wire.resource import FrameResource

_log = logging.getLogger("proxy.viewers.frames")  # by which operators know these lines


class Outcomes:
    """The metrics and the log of requests for frames."""

    def __init__(self, telemetry: Telemetry, *, log_uids: bool) -> None:
        self.tally = telemetry.metrics.deliveries.tally
        """The counts of responses with this status, profile and outcome of the cache."""
        self._stale = telemetry.metrics.stale_answers
        self._log_uids = log_uids
        self.traces = telemetry.traces
        """Makes spans; None if traces are off."""

    @property
    def are_told(self) -> bool:
        """True if the log takes the lines."""
        return _log.isEnabledFor(logging.INFO)

    def note(
        self,
        origin: str,
        resource: FrameResource,
        trace: Pairs,
        progress: DeliveryProgress,
        status: int,
        why: str = "",
    ) -> None:
        """One request has ended, with a status. `why` is empty if its response was sent to the end."""
        tally = self.tally(status, progress.profile, progress.outcome.value)
        tally.note(progress.sent, progress.first, progress.final)
        if self.traces is not None:
            tally.mark(progress.first, progress.final, exemplar_of(trace))
        if progress.stale is not None and progress.has_started:
            self._stale.labels(origin).inc()
        if self.are_told:
            self.tell(origin, resource, trace, progress, status, why)

    def tell(
        self,
        origin: str,
        resource: FrameResource,
        trace: Pairs,
        progress: DeliveryProgress,
        status: int,
        why: str = "",
    ) -> None:
        """Writes the line of one request."""
        fields: dict[str, object] = {
            "origin": origin,
            "profile": progress.profile,
            "status": status,
            "cache": progress.outcome.value,
            "bytes": progress.sent,
            "first_ms": _milliseconds(progress.first),
            "final_ms": _milliseconds(progress.final),
        }
        if why:
            fields["why"] = why
        fields |= {name: value for name, value in trace if name == "traceparent"}
        if self._log_uids:
            fields["resource"] = resource.path
        _log.info("frame", extra=fields)


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
