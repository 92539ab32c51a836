"""Every Prometheus metric with its HELP text. No label holds a UID, a user or a path.

Labels that several metrics share or that need an explanation:

- `cache` is what the cache did for a request, in the terms of RFC 9211: hit, partial, stale, miss or
  collapsed.
- `stage` is the kind of request to the origin: first (also if it only asks whether this caller may read),
  completion, or pass for everything but frames.
- `method` is how the proxy found where a resolution ends: tlm or plt (marker segments), walk (it read the
  packets), learned (from other frames of the series), or unknown.
"""

from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from proxy.telemetry.deliveries import SECONDS, Deliveries, Family
from proxy.telemetry.exposition import exposition_of
from proxy.telemetry.warmed import Warmed

_WAIT = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0)
_RATES = (1e5, 3e5, 1e6, 3e6, 1e7, 3e7, 1e8, 3e8, 1e9)

STAGES = ("first", "completion", "pass")
PARTS = ("first", "rest")
OUTSIDE = ("overhead", "filling", "lent", "tables")
LOOKUPS = ("hit", "miss", "late", "wrong", "failed")
WRITES = ("stored", "dropped", "failed")
JOB_STATES = ("waiting", "running")
METHODS = ("tlm", "plt", "walk", "learned", "unknown")


class Metrics:
    """One registry with all metrics of a service. It is passed in as an argument and never global."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no types
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.deliveries = Deliveries("progressive_proxy_")
        """Responses to viewers' requests for a frame, with their bytes and times."""
        self.first_delivery = self._delivered(self.deliveries.first_delivery)
        self.final_delivery = self._delivered(self.deliveries.final_delivery)
        self.frame_answers = self._delivered(self.deliveries.frame_answers)
        self.cut_answers = self._counter(
            "cut_answers", "Responses to viewers that ended before their last byte.", ("reason",)
        )
        self.refused_requests = self._counter(
            "refused_requests", "Requests that the proxy refused because of their head.", ("reason",)
        )
        self.over_bounds = self._counter(
            "over_bounds", "Requests, connections and plans that a bound refused, by its setting.", ("bound",)
        )
        self.connections = self._gauge(
            "connections", "Open connections, by listener: viewers or admin.", ("listener",)
        )
        self.places_taken = self._gauge(
            "places_taken",
            "Places that are taken, by the setting of their bound: viewers' requests that wait for an origin "
            "or read along (waiting), or that read a large response from the cache (sending), and others.",
            ("bound",),
        )
        self.closed_connections = self._counter(
            "closed_connections",
            "Connections that the proxy closed: the viewer read too slowly (slow), or room was needed for a "
            "new connection while this one had no request (room).",
            ("reason",),
        )
        self.served_bytes = self._delivered(self.deliveries.served_bytes)
        self.origin_requests = self._counter(
            "origin_requests", "Requests to an origin.", ("origin", "stage", "outcome")
        )
        self.origin_bytes = self._counter(
            "origin_bytes", "Bytes of response bodies received from an origin.", ("origin", "stage")
        )
        self.origin_first_byte = self._histogram(
            "origin_first_byte_seconds",
            "Seconds from a request to an origin until the headers of its response were in.",
            ("origin", "stage"),
            SECONDS,
        )
        self.origin_rate = self._histogram(
            "origin_bytes_per_second",
            "Bytes per second of an origin's response of at least 64 KiB, over the time that the proxy "
            "waited for bytes. Forwarded responses do not count.",
            ("origin", "stage"),
            _RATES,
        )
        self.forwarded = self._counter(
            "forwarded",
            "Forwarded requests by kind (such as search or bulkdata) and status; 0 if the viewer left first.",
            ("origin", "kind", "status"),
        )
        self.forwarded_seconds = self._histogram(
            "forwarded_seconds",
            "Seconds from a forwarded request until the viewer got the status of the response, by kind.",
            ("origin", "kind"),
            SECONDS,
        )
        self.resource_answers = self._counter(
            "resource_answers",
            "Responses to viewers' requests for resources of a study beside its frames, by kind (search, "
            "metadata, picture, bulkdata, instances) and by what the cache did.",
            ("kind", "cache"),
        )
        self.access_probes = self._counter(
            "access_probes",
            "Requests that asked if a caller may read what is held, by the answer: yes, no (also to a "
            "fetch), failed, or other (the origin shows this caller another version).",
            ("outcome",),
        )
        self.mismatches = self._counter(
            "mismatches", "Responses of an origin that the proxy rejected.", ("origin", "reason")
        )
        self.resumes = self._counter(
            "resumes", "Fetches that the proxy resumed after the origin closed the connection.", ("origin",)
        )
        self.first_fetches = self._counter(
            "first_fetches", "First fetches by resolution, by how its end was found.", ("method",)
        )
        self.first_saved_bytes = self._counter(
            "first_saved_bytes", "Bytes saved by first fetches smaller than 64 KiB.", ()
        )
        self.top_ups = self._counter(
            "top_ups", "First fetches by resolution that were too short and needed a second request.", ()
        )
        self.asked_again = self._counter(
            "asked_again",
            "Fetches that the proxy retried because the origin was busy or failed.",
            ("origin",),
        )
        self.stale_answers = self._counter(
            "stale_answers",
            "Responses with a stale frame from the cache, because the origin gave no answer or only a 5xx.",
            ("origin",),
        )
        self.unguarded = self._counter(
            "unguarded_completions",
            "Completions of frames for which the origin gave no strong validator.",
            ("origin",),
        )
        self.origin_up = self._gauge(
            "origin_up",
            "1 while an origin responds, 0 before its first response and after repeated failures, "
            "even if only of searches.",
            ("origin",),
        )
        self.origin_reached = self._gauge(
            "origin_reached", "1 if an origin has answered since the proxy started, otherwise 0.", ("origin",)
        )
        self.gate_wait = self._histogram(
            "gate_wait_seconds",
            "Seconds that a fetch waited in the proxy's queue for an origin.",
            ("origin", "stage"),
            _WAIT,
        )
        self.reloads = self._counter(
            "reloads", "Reloads of a changed configuration file, by result.", ("result",)
        )
        self.configuration_is_good = self._gauge(
            "configuration_is_good",
            "1 if the configuration file is valid, 0 while it is not and the last valid one stays in force.",
        )
        self.plans = self._counter("plans", "Plans that have ended, by final state.", ("profile", "state"))
        self.prefetched_bytes = self._counter(
            "prefetched_bytes", "Bytes that plans fetched from an origin.", ("profile",)
        )
        self.prefetched_used_bytes = self._counter(
            "prefetched_used_bytes",
            "Bytes that plans fetched from an origin for frames that a viewer then requested.",
            ("profile",),
        )
        self.fills_in_flight = self._gauge("fills_in_flight", "Frames that the proxy fetches or makes now.")
        self.cache_bytes = self._gauge(
            "cache_bytes",
            "Bytes that count against `cache.bytes`: first pieces and rests of cached frames, what they cost "
            "beside their bytes (`overhead`), bytes on their way into the cache (`filling`), frames that "
            "left the cache and are still being sent (`lent`), and what else is kept (`tables`).",
            ("part",),
        )
        self.kept_bytes = self._gauge(
            "kept_bytes",
            "Bytes in memory by kind: first pieces and rests of frames (frame, form, alternate, made, "
            "picture), and resources of studies beside them (search, metadata, picture, bulkdata, "
            "instances), which are among the `tables`.",
            ("kind", "part"),
        )
        self.cache_budget = self._gauge(
            "cache_budget_bytes",
            "Bytes that the cache in memory may take: `cache.bytes`, or what `auto` comes to.",
        )
        self.cache_evictions = self._counter(
            "cache_evictions",
            "Evictions from the cache to free space: a first piece, the rest, or only the finest resolution.",
            ("part",),
        )
        self.tier_lookups = self._counter(
            "tier_lookups",
            "Look-ups in a tier behind memory, for the first bytes or the rest of a frame: hit, miss, late "
            "(past its time), wrong (not what was written) or failed. All but a hit are misses to a viewer.",
            ("tier", "part", "outcome"),
        )
        self.tier_writes = self._counter(
            "tier_writes",
            "Frames for a tier behind memory: stored, failed, or dropped, because too many "
            "waited, the frame had left memory, or it may have been purged.",
            ("tier", "outcome"),
        )
        self.tier_bytes = self._gauge(
            "tier_bytes", "Bytes of frames in a tier, first bytes and rests.", ("tier", "kind", "part")
        )
        self.memory_limit = self._gauge(
            "memory_limit_bytes", "The container's memory limit, 0 if there is none."
        )
        self.expires = self._gauge(
            "expires_timestamp_seconds",
            "Unix time at which a file ends: the certificate of the proxy's listeners (listener), or its own "
            "certificate or token for an origin. NaN if the file does not say.",
            ("origin", "kind"),
        )
        self.moved_connections = self._counter(
            "moved_connections",
            "Connections of viewers whose next request was about a study that another worker keeps: moved to "
            "that worker (moved), or served here since it had no room (stayed).",
            ("outcome",),
        )
        self.lost_workers = self._counter(
            "lost_workers", "Worker processes for viewers that died and were started anew.", ()
        )
        self.jobs = self._gauge(
            "jobs",
            "Jobs of decoding and encoding that wait for a process (waiting), or are in one (running).",
            ("state",),
        )
        self.job_seconds = self._histogram(
            "job_seconds",
            "Seconds that a job of decoding and encoding waited for a process (waiting), or took (running).",
            ("state",),
            _WAIT,
        )
        self.lost_decoders = self._counter(
            "lost_decoders",
            "Processes for decoding and encoding that ended over a job: it took too long (late), or the "
            "process died (crashed).",
            ("reason",),
        )
        self.warmed = Warmed(self.registry)
        self.build_info = self._gauge(
            "build_info", "Always 1. The label is the version of the proxy.", ("version",)
        )
        self.build_info.labels(version("progressive-proxy")).set(1)
        self._start_at_zero()

    def _delivered(self, family: Family) -> Family:
        self.registry.register(family)
        return family

    def _counter(self, name: str, words: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"progressive_proxy_{name}", words, labels, registry=self.registry)

    def _gauge(self, name: str, words: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(f"progressive_proxy_{name}", words, labels, registry=self.registry)

    def _histogram(
        self, name: str, words: str, labels: tuple[str, ...], buckets: tuple[float, ...]
    ) -> Histogram:
        return Histogram(f"progressive_proxy_{name}", words, labels, buckets=buckets, registry=self.registry)

    def _start_at_zero(self) -> None:
        for part in (*PARTS, *OUTSIDE):
            self.cache_bytes.labels(part).set(0)
        for state in JOB_STATES:
            self.jobs.labels(state).set(0)
            self.job_seconds.labels(state)
        counted = {self.lost_decoders: ("late", "crashed"), self.first_fetches: METHODS}
        counted |= {self.moved_connections: ("moved", "stayed"), self.cache_evictions: (*PARTS, "finest")}
        for counter, labels in counted.items():
            for label in labels:
                counter.labels(label)

    def start_tier_at_zero(self, name: str) -> None:
        """A tier has this name."""
        for part in PARTS:
            for outcome in LOOKUPS:
                self.tier_lookups.labels(name, part, outcome)
        for outcome in WRITES:
            self.tier_writes.labels(name, outcome)

    def exposition(self, *, is_open: bool = False) -> tuple[bytes, str]:
        """The text that Prometheus scrapes, and its media type; as OpenMetrics, which has exemplars."""
        return exposition_of(self.registry, is_open=is_open)
