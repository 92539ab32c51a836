"""Every Prometheus metric, with its words. No label holds a UID, a user or a path.

`cache` is what the cache did, in the sense of RFC 9211: hit, partial, miss or collapsed.
`stage` is first, completion or pass, the last for what is handed through. `method` is what told a
resolution's end: tlm, plt, walk, or learned of the series, or unknown.
"""

from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

_DELIVERY = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_WAIT = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0)

CACHE = ("hit", "partial", "miss", "collapsed")
STAGES = ("first", "completion", "pass")
PARTS = ("first", "rest")
METHODS = ("tlm", "plt", "walk", "learned", "unknown")


class Metrics:
    """One registry and all that is counted; handed in, never global."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.first_delivery = self._histogram(
            "first_delivery_seconds",
            "From a viewer's request until its first bytes were handed to its connection.",
            ("profile", "cache"),
            _DELIVERY,
        )
        self.final_delivery = self._histogram(
            "final_delivery_seconds",
            "From a viewer's request until the last byte of the frame was handed to its connection.",
            ("profile", "cache"),
            _DELIVERY,
        )
        self.frame_answers = self._counter(
            "frame_answers", "Answers to requests for a frame.", ("status", "cache")
        )
        self.cut_answers = self._counter(
            "cut_answers", "Answers that ended before their last byte.", ("reason",)
        )
        self.refused_requests = self._counter(
            "refused_requests", "Requests that were refused by what stands in their head.", ("reason",)
        )
        self.served_bytes = self._counter("served_bytes", "Bytes of frames handed to viewers.", ("cache",))
        self.origin_requests = self._counter(
            "origin_requests", "Requests to an origin.", ("origin", "stage", "outcome")
        )
        self.origin_bytes = self._counter(
            "origin_bytes", "Bytes of bodies received from an origin.", ("origin", "stage")
        )
        self.mismatches = self._counter(
            "mismatches", "Answers of an origin that were refused.", ("origin", "reason")
        )
        self.resumes = self._counter("resumes", "Fetches continued after the origin hung up.", ("origin",))
        self.first_fetches = self._counter(
            "first_fetches", "First fetches up to a resolution, by what told its end.", ("method",)
        )
        self.first_saved_bytes = self._counter(
            "first_saved_bytes", "Bytes by which these were shorter than 64 KiB.", ()
        )
        self.top_ups = self._counter("top_ups", "Of these, how many fell short and had to go on.", ())
        self.asked_again = self._counter(
            "asked_again", "Fetches asked again where the origin was busy.", ("origin",)
        )
        self.unguarded = self._counter(
            "unguarded_completions", "Completions for which there was no strong validator.", ("origin",)
        )
        self.origin_up = Gauge(
            "progressive_proxy_origin_up",
            "0 until an origin has answered, and while the proxy leaves it alone after repeated failures.",
            ("origin",),
            registry=self.registry,
        )
        self.origin_reached = Gauge(
            "progressive_proxy_origin_reached",
            "1 once an origin has answered since the start, 0 before.",
            ("origin",),
            registry=self.registry,
        )
        self.gate_wait = self._histogram(
            "gate_wait_seconds", "Waited for a turn at an origin.", ("origin", "stage"), _WAIT
        )
        self.reloads = self._counter("reloads", "Changed configurations, good or bad.", ("result",))
        self.configuration_is_good = Gauge(
            "progressive_proxy_configuration_is_good",
            "0 while the configuration file is bad and the last good one in force.",
            registry=self.registry,
        )
        self.plans = self._counter("plans", "Plans by how they ended.", ("profile", "state"))
        self.prefetched_bytes = self._counter(
            "prefetched_bytes", "Bytes that plans brought from an origin.", ("profile",)
        )
        self.prefetched_used_bytes = self._counter(
            "prefetched_used_bytes", "Of these, bytes of frames that a viewer then asked for.", ("profile",)
        )
        self.fills_in_flight = Gauge(
            "progressive_proxy_fills_in_flight", "Frames being fetched.", registry=self.registry
        )
        self.cache_bytes = Gauge(
            "progressive_proxy_cache_bytes", "Bytes held, by part.", ("part",), registry=self.registry
        )
        self.cache_evictions = self._counter(
            "cache_evictions", "Frames whose part was dropped for lack of room.", ("part",)
        )
        self.build_info = Gauge(
            "progressive_proxy_build_info", "Always 1.", ("version",), registry=self.registry
        )
        self.build_info.labels(version("progressive-proxy")).set(1)
        self._start_at_zero()

    def _counter(self, name: str, words: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"progressive_proxy_{name}", words, labels, registry=self.registry)

    def _histogram(
        self, name: str, words: str, labels: tuple[str, ...], buckets: tuple[float, ...]
    ) -> Histogram:
        return Histogram(f"progressive_proxy_{name}", words, labels, buckets=buckets, registry=self.registry)

    def _start_at_zero(self) -> None:
        for part in PARTS:
            self.cache_bytes.labels(part).set(0)
        for part in (*PARTS, "finest"):
            self.cache_evictions.labels(part)
        for method in METHODS:
            self.first_fetches.labels(method)
        for outcome in CACHE:
            self.served_bytes.labels(outcome)

    def exposition(self) -> tuple[bytes, str]:
        """What Prometheus scrapes, and its media type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST
