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

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from proxy.telemetry.deliveries import Deliveries, Family

_WAIT = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0)

STAGES = ("first", "completion", "pass")
PARTS = ("first", "rest")
OUTSIDE = ("overhead", "filling", "lent", "tables")
LOOKUPS = ("hit", "miss", "late", "wrong", "failed")
WRITES = ("stored", "dropped", "failed")
METHODS = ("tlm", "plt", "walk", "learned", "unknown")


class Metrics:
    """One registry with all metrics of a service. It is passed in as an argument and never global."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
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
            "first_fetches",
            "First fetches by resolution, by how the proxy found where the resolution ends.",
            ("method",),
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
        self.unguarded = self._counter(
            "unguarded_completions",
            "Completions of frames for which the origin gave no strong validator.",
            ("origin",),
        )
        self.origin_up = Gauge(
            "progressive_proxy_origin_up",
            "1 while an origin responds, 0 before the origin's first response and after repeated failures.",
            ("origin",),
            registry=self.registry,
        )
        self.origin_reached = Gauge(
            "progressive_proxy_origin_reached",
            "1 if an origin has answered since the proxy started, otherwise 0.",
            ("origin",),
            registry=self.registry,
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
        self.configuration_is_good = Gauge(
            "progressive_proxy_configuration_is_good",
            "1 if the configuration file is valid, 0 while it is not and the last valid one stays in force.",
            registry=self.registry,
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
        self.fills_in_flight = Gauge(
            "progressive_proxy_fills_in_flight",
            "Frames that the proxy is fetching or making now.",
            registry=self.registry,
        )
        self.cache_bytes = Gauge(
            "progressive_proxy_cache_bytes",
            "Bytes that count against `cache.bytes`: first pieces and rests of cached frames, what they cost "
            "beside their bytes (`overhead`), bytes on their way into the cache (`filling`), frames that "
            "left the cache and are still being sent (`lent`), and what else is kept (`tables`).",
            ("part",),
            registry=self.registry,
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
            "Frames for a tier behind memory: stored, failed, or dropped, since too many waited or the frame "
            "had left memory.",
            ("tier", "outcome"),
        )
        self.tier_bytes = Gauge(
            "progressive_proxy_tier_bytes",
            "Bytes of frames in a tier behind memory, first bytes and rests.",
            ("tier", "part"),
            registry=self.registry,
        )
        self.memory_limit = Gauge(
            "progressive_proxy_memory_limit_bytes",
            "The container's memory limit, 0 if there is none.",
            registry=self.registry,
        )
        self.expires = Gauge(
            "progressive_proxy_expires_timestamp_seconds",
            "Unix time at which a file ends: the certificate of the proxy's listeners (listener), or its own "
            "certificate or token for an origin. NaN if the file does not say.",
            ("origin", "kind"),
            registry=self.registry,
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
        self.build_info = Gauge(
            "progressive_proxy_build_info",
            "Always 1. The label is the version of the proxy.",
            ("version",),
            registry=self.registry,
        )
        self.build_info.labels(version("progressive-proxy")).set(1)
        self._start_at_zero()

    def _delivered(self, family: Family) -> Family:
        self.registry.register(family)
        return family

    def _counter(self, name: str, words: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"progressive_proxy_{name}", words, labels, registry=self.registry)

    def _histogram(
        self, name: str, words: str, labels: tuple[str, ...], buckets: tuple[float, ...]
    ) -> Histogram:
        return Histogram(f"progressive_proxy_{name}", words, labels, buckets=buckets, registry=self.registry)

    def _start_at_zero(self) -> None:
        for part in (*PARTS, *OUTSIDE):
            self.cache_bytes.labels(part).set(0)
        for part in (*PARTS, "finest"):
            self.cache_evictions.labels(part)
        for outcome in ("moved", "stayed"):
            self.moved_connections.labels(outcome)
        for method in METHODS:
            self.first_fetches.labels(method)

    def start_tier_at_zero(self, name: str) -> None:
        """A tier has this name."""
        for part in PARTS:
            for outcome in LOOKUPS:
                self.tier_lookups.labels(name, part, outcome)
        for outcome in WRITES:
            self.tier_writes.labels(name, outcome)

    def exposition(self) -> tuple[bytes, str]:
        """The text that Prometheus scrapes, and its media type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST
