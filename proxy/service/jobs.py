"""Counts and traces the jobs of the workers that decode and encode."""

from time import perf_counter

from proxy.codecs.jobs import Job, Rendering
from proxy.codecs.watching import Trace
from proxy.telemetry.telemetry import Telemetry
from proxy.telemetry.traces import Span, context_in

JOB = "job of a worker"
"""The name of the span of a job."""
BEGUN = "begun"
"""The event of a worker that has taken the job."""


class WatchedJobs:
    """All jobs of one service."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def place(self, job: Job | Rendering, trace: Trace) -> "WatchedJob":
        """A job waits for a worker."""
        traces, context = self._telemetry.traces, context_in(trace)
        span = None
        if traces is not None and context:
            made = job.alternate.codec if isinstance(job, Job) else job.media
            span = traces.span("internal", JOB, context, {"progressive_proxy.made": made})
        return WatchedJob(self._telemetry, span)

    def lost(self, reason: str) -> None:
        """A worker had to be ended."""
        self._telemetry.metrics.lost_decoders.labels(reason).inc()


class WatchedJob:
    """One job."""

    def __init__(self, telemetry: Telemetry, span: Span | None) -> None:
        self._metrics = telemetry.metrics
        self._span = span
        self._since = perf_counter()
        self._is_begun = False
        self._metrics.jobs.labels("waiting").inc()

    def begin(self) -> None:
        """A worker has taken the job."""
        self._is_begun = True
        self._step("waiting")
        self._metrics.jobs.labels("running").inc()
        if self._span is not None:
            self._span.event(BEGUN)

    def end(self, error: str = "") -> None:
        """The job has ended."""
        self._step("running" if self._is_begun else "waiting")
        if self._span is not None:
            self._span.end(error)

    def _step(self, state: str) -> None:
        now = perf_counter()
        self._metrics.jobs.labels(state).dec()
        self._metrics.job_seconds.labels(state).observe(now - self._since)
        self._since = now
