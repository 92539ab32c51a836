"""Metrics of studies that are fetched before anyone asks. The label `warm` is a name in the configuration."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge

_OWN = "progressive_proxy_warm_"
_STATES = ("done", "spent", "failed", "cancelled")
_GOOD = ("done", "spent")
OUTCOMES = ("done", "skipped", "failed")
"""The ways in which a study of a run can end."""


class Warmed:
    """Counts what is warmed."""

    def __init__(self, registry: CollectorRegistry) -> None:
        of = ("warm",)
        self.running = Gauge(
            f"{_OWN}running", "1 while a run of `warm` is in progress.", of, registry=registry
        )
        self.runs = Counter(
            f"{_OWN}runs",
            "Runs of `warm` that have ended, by final state. Each worker counts its own runs.",
            (*of, "state"),
            registry=registry,
        )
        self.ended = Gauge(
            f"{_OWN}ended_timestamp_seconds",
            "Unix time at which the last run of `warm` ended, 0 before that.",
            of,
            registry=registry,
        )
        self.failed = Gauge(
            f"{_OWN}failed",
            "1 if the last run of `warm` failed or could not fetch one of its studies, otherwise 0.",
            of,
            registry=registry,
        )
        self.studies = Counter(
            f"{_OWN}studies",
            "Studies of runs of `warm`: fetched (done), unchanged since (skipped), or one that lacks "
            "something (failed).",
            (*of, "outcome"),
            registry=registry,
        )
        self.bytes = Counter(
            f"{_OWN}bytes", "Bytes that runs of `warm` fetched from an origin.", of, registry=registry
        )
        self.requests = Counter(
            f"{_OWN}requests",
            "Frames' spans and other resources that runs of `warm` fetched from an origin.",
            of,
            registry=registry,
        )

    def start_at_zero(self, name: str) -> None:
        """Something to warm has this name."""
        for gauge in (self.running, self.ended, self.failed):
            gauge.labels(name).set(0)
        for state in _STATES:
            self.runs.labels(name, state)
        for outcome in OUTCOMES:
            self.studies.labels(name, outcome)
        self.bytes.labels(name)
        self.requests.labels(name)

    def end(self, name: str, state: str, failed: int) -> None:
        """A run has ended in this state, and so many studies failed. A cancelled run leaves the verdict."""
        self.running.labels(name).set(0)
        self.runs.labels(name, state).inc()
        self.ended.labels(name).set(time.time())
        if state != "cancelled":
            self.failed.labels(name).set(state not in _GOOD or failed > 0)
