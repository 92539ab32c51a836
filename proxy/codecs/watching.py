"""The seam through which workers report their jobs, so that these can be counted and traced."""

from collections.abc import Iterable
from typing import Protocol

from proxy.codecs.jobs import Job, Rendering

Trace = Iterable[tuple[str, str]]


class JobSteps(Protocol):
    """The steps of one job."""

    def begin(self) -> None:
        """A worker has taken the job."""

    def end(self, error: str = "") -> None:
        """The job has ended; with the name of its error, unless something was made."""


class JobWatch(Protocol):
    """Watches all jobs."""

    def place(self, job: Job | Rendering, trace: Trace) -> JobSteps:
        """A job waits for a worker. `trace` are headers that name the trace of its request."""

    def lost(self, reason: str) -> None:
        """A worker had to be ended: it took too long (`late`), or died over its job (`crashed`)."""


class Unwatched:
    """Tells nobody; the steps of a job, too."""

    def place(self, job: Job | Rendering, trace: Trace) -> JobSteps:
        """Nothing."""
        del job, trace
        return self

    def lost(self, reason: str) -> None:
        """Nothing."""

    def begin(self) -> None:
        """Nothing."""

    def end(self, error: str = "") -> None:
        """Nothing."""
