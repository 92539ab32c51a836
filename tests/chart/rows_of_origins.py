"""Rows of the dashboard about the origins."""

from tests.chart.panels import OURS, Panel, gauge, lines, quantile, rate

FORWARDED = OURS + ',stage="pass"'


def origins() -> list[Panel]:
    """How each origin responds to fetches."""
    return [
        lines(
            "Origin is up",
            "none",
            "1 while an origin responds to each pod, 0 also until it has answered each pod once.",
            (up(), "{{origin}}"),
            (gauge("origin_reached", "origin", "min"), "{{origin}} reached since the start"),
        ),
        lines(
            "Requests",
            "reqps",
            "Requests to an origin, by what they fetch and how they end.",
            (rate("origin_requests_total", "origin, stage, outcome"), "{{origin}} {{stage}} {{outcome}}"),
        ),
        lines(
            "Bytes",
            "Bps",
            "Bytes of response bodies. If the sum is flat at the top, the line is full.",
            (rate("origin_bytes_total", "origin, stage"), "{{origin}} {{stage}}"),
        ),
        lines(
            "Responses refused",
            "ops",
            "Origin responses that can't be trusted, by reason. Viewers get none of their bytes.",
            (rate("mismatches_total", "origin, reason"), "{{origin}} {{reason}}"),
        ),
        lines(
            "Resumed, refetched, unguarded",
            "ops",
            "Fetches resumed after the origin hung up, retried because the origin was busy, and completed "
            "without a strong validator.",
            (rate("resumes_total", "origin"), "{{origin}} resumed"),
            (rate("asked_again_total", "origin"), "{{origin}} refetched"),
            (rate("unguarded_completions_total", "origin"), "{{origin}} unguarded"),
        ),
        lines(
            "Frames being fetched",
            "none",
            "Frames that all pods are fetching or making now.",
            (gauge("fills_in_flight"), "frames"),
        ),
        lines(
            "Sent although stale",
            "reqps",
            "Responses with a stale frame from the cache, because the origin was down or failed.",
            (rate("stale_answers_total", "origin"), "{{origin}}"),
        ),
        lines(
            "Time to the origin's first byte, p95",
            "s",
            "Until the headers of the origin's response are in.",
            (quantile(0.95, "origin_first_byte", "origin, stage"), "{{origin}} {{stage}}"),
        ),
        lines(
            "Rate of the origin's responses, p50",
            "Bps",
            "Of responses of at least 64 KiB, over the time that the proxy waited for their bytes.",
            (_rate_of_responses(), "{{origin}} {{stage}}"),
        ),
    ]


def forwarded() -> list[Panel]:
    """Requests that the proxy hands on without caching."""
    by_origin = rate("origin_requests_total", "origin", FORWARDED)
    failed = rate("origin_requests_total", "origin", FORWARDED + ',outcome!~"ok|refused"')
    return [
        lines(
            "Forwarded requests",
            "reqps",
            "Searches, metadata, bulk data and uploads, by outcome.",
            (rate("origin_requests_total", "origin, outcome", FORWARDED), "{{origin}} {{outcome}}"),
        ),
        lines(
            "Forwarded requests that fail",
            "percentunit",
            "Share without a usable response; a refusal such as 404 is usable. Alerts from 5 % on.",
            (f"{failed} / {by_origin}", "{{origin}}"),
        ),
        lines(
            "Forwarded bytes",
            "Bps",
            "Bytes of responses that the proxy hands on without caching.",
            (rate("origin_bytes_total", "origin", FORWARDED), "{{origin}}"),
        ),
        lines(
            "Forwarded requests by kind and status",
            "reqps",
            "Status 0 means that the viewer left before the response.",
            (rate("forwarded_total", "kind, status"), "{{kind}} {{status}}"),
            span=12,
        ),
        lines(
            "Time to the response of a forwarded request, p95",
            "s",
            "Until the headers of the response go to the viewer, by kind of resource.",
            (quantile(0.95, "forwarded", "kind"), "{{kind}}"),
            span=12,
        ),
    ]


def queue() -> list[Panel]:
    """The gate in front of each origin."""
    return [
        lines(
            f"Time in queue, p{q * 100:.0f}",
            "s",
            "Seconds that a fetch waits in the proxy until the origin may get it.",
            (quantile(q, "gate_wait", "origin, stage"), "{{origin}} {{stage}}"),
        )
        for q in (0.5, 0.95, 0.99)
    ]


def _rate_of_responses() -> str:
    grown = rate("origin_bytes_per_second_bucket", "le, origin, stage")
    return f"histogram_quantile(0.5, {grown})"


def up() -> str:
    """1 for each origin that every pod reaches, otherwise 0."""
    return gauge("origin_up", "origin", "min")
