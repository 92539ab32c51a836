"""Writes the dashboard: the page that an operator opens first, as code.

`python -m tests.chart.dashboard`
"""

from pathlib import Path

from tests.chart.assembly import assembled
from tests.chart.panels import (
    ASKED,
    OURS,
    RELEASE,
    Panel,
    Steps,
    buckets,
    by_profile_and_cache,
    gauge,
    lines,
    number,
    objective,
    quantile,
    quantiles,
    rate,
)
from tests.chart.rows_of_origins import forwarded, origins, queue, up
from tests.chart.rows_of_pods import configuration, memory, process, tiers, workers
from tests.chart.rows_of_warm import warm

CHARTS = Path(__file__).parents[2] / "charts"
DASHBOARD = CHARTS / "progressive-proxy" / "dashboards" / "progressive-proxy.json"

FETCHED = rate("origin_bytes_total", where=OURS + ',stage=~"first|completion"')
SERVED = rate("served_bytes_total")
ON_TIME: Steps = ((None, "red"), (0.9, "orange"), (0.95, "green"))
"""Green from the objective on that the chart has by default."""


def on_time(delivery: str) -> str:
    """The share of deliveries in the last hour that met their objective."""
    return f"1 - max (progressive_proxy:{delivery}_delivery:late_share_1h{{{RELEASE}}})"


def rows() -> dict[str, list[Panel]]:
    """Every panel, in order."""
    return {
        "Time to pictures": _pictures(),
        "Origins": origins(),
        "Pass-through": forwarded(),
        "Queue for the origin": queue(),
        "Memory": memory(),
        "Tiers behind memory": tiers(),
        "Processor and files": process(),
        "Bytes saved": _saved(),
        "Plans": _plans(),
        "Warmed before anyone asks": warm(),
        "Access": _access(),
        "Bounds": _bounds(),
        "Workers": workers(),
        "Refusals": _refusals(),
        "Configuration and certificates": configuration(),
    }


def _pictures() -> list[Panel]:
    hits, asked = rate("frame_answers_total", where=OURS + ',cache="hit"'), rate("frame_answers_total")
    down = f"count ({up()} == 0) or vector(0)"
    share = "Share in the last hour, for all pods of a release. Green from 95 % on, the chart's objective."
    return [
        number("First pictures on time", "percentunit", share, on_time("first"), ON_TIME),
        number("Final pictures on time", "percentunit", share, on_time("final"), ON_TIME),
        number("Frames per second", "reqps", "Requests of viewers for frames.", asked),
        number(
            "Frames from memory", "percentunit", "Share of frame requests that are hits.", f"{hits} / {asked}"
        ),
        number(
            "Bytes saved",
            "percentunit",
            "Share of the bytes served that needed no fetch. Below 0, plans fetch more than viewers request.",
            f"1 - {FETCHED} / {SERVED}",
            ((None, "orange"), (0, "green")),
        ),
        number(
            "Origins down",
            "none",
            "Origins that at least one pod can't reach, now or since its start.",
            down,
            ((None, "green"), (1, "red")),
        ),
        _delivery("first"),
        _delivery("final"),
        _buckets("first"),
        _buckets("final"),
        _delivery_by_cache("first"),
        _delivery_by_cache("final"),
        by_profile_and_cache(),
    ]


def _saved() -> list[Panel]:
    return [
        lines(
            "Bytes served and fetched",
            "Bps",
            "Bytes of frames sent to viewers, and fetched from origins.",
            (SERVED, "served"),
            (FETCHED, "fetched"),
        ),
        lines(
            "Bytes served",
            "Bps",
            "Bytes of frames sent to viewers, by what the cache did.",
            (rate("served_bytes_total", "cache"), "{{cache}}"),
        ),
        lines(
            "First fetches by resolution",
            "ops",
            "How the proxy found where a resolution ends. Those that fell short needed a second request.",
            (rate("first_fetches_total", "method"), "{{method}}"),
            (rate("top_ups_total"), "fell short"),
            span=4,
        ),
        lines(
            "Bytes saved by first fetches",
            "Bps",
            "Bytes saved by first fetches smaller than 64 KiB.",
            (rate("first_saved_bytes_total"), "below 64 KiB"),
            span=4,
        ),
    ]


def _plans() -> list[Panel]:
    return [
        lines(
            "Plans ended",
            "ops",
            "Plans by profile and final state. `failed` means 16 failures in a row.",
            (rate("plans_total", "profile, state"), "{{profile}} {{state}}"),
        ),
        lines(
            "Prefetched, and then requested",
            "Bps",
            "Bytes that plans fetch, and those of them that a viewer then requests.",
            (rate("prefetched_bytes_total", "profile"), "{{profile}} fetched"),
            (rate("prefetched_used_bytes_total", "profile"), "{{profile}} requested"),
            span=16,
        ),
    ]


def _access() -> list[Panel]:
    refused = OURS + ',status=~"401|403"'
    return [
        lines(
            "Probes of access",
            "ops",
            "Requests to an origin that ask if a caller may read what others have fetched.",
            (rate("access_probes_total", "outcome"), "{{outcome}}"),
            span=12,
        ),
        lines(
            "Frames refused to callers",
            "reqps",
            "Frame requests that got 401 or 403. A rise after a change often means an expired token.",
            (rate("frame_answers_total", "status", refused), "{{status}}"),
            span=12,
        ),
    ]


def _bounds() -> list[Panel]:
    return [
        lines(
            "Refused by a bound",
            "ops",
            "Requests, connections and plans beyond a setting of `bounds`, which got 429 or 503.",
            (rate("over_bounds_total", "bound"), "{{bound}}"),
            span=12,
        ),
        lines(
            "Connections closed",
            "ops",
            "Connections of viewers that read too slowly, and idle ones that made room for others.",
            (rate("closed_connections_total", "reason"), "{{reason}}"),
            span=12,
        ),
        lines(
            "Connections",
            "none",
            "Open connections of viewers and administrators.",
            (gauge("connections", "listener"), "{{listener}}"),
            span=12,
        ),
        lines(
            "Places taken",
            "none",
            "Requests and plans under way, by the setting of `bounds` that limits them.",
            (gauge("places_taken", "bound"), "{{bound}}"),
            span=12,
        ),
    ]


def _refusals() -> list[Panel]:
    return [
        lines(
            "Requests refused",
            "reqps",
            "Frame requests that got an error, by status. Alerts if 5xx exceed 5 %.",
            (rate("frame_answers_total", "status", OURS + ',status=~"[45].."'), "{{status}}"),
        ),
        lines(
            "Responses cut short",
            "ops",
            "Responses that ended before their last byte. `viewer_left` is normal, because people scroll on.",
            (rate("cut_answers_total", "reason"), "{{reason}}"),
        ),
        lines(
            "Requests refused by their head",
            "ops",
            "Requests that violate HTTP or a rule of `listen`, by error.",
            (rate("refused_requests_total", "reason"), "{{reason}}"),
        ),
    ]


_UNTIL = {"first": "wrote the first bytes", "final": "wrote the last byte"}


def _delivery(which: str) -> Panel:
    about = f"Seconds from a viewer's request for a frame until the proxy {_UNTIL[which]}, and the objective."
    queries = (*quantiles(f"{which}_delivery", ASKED), objective(which))
    return lines(f"{which.capitalize()} delivery", "s", about, *queries, span=12)


def _buckets(which: str) -> Panel:
    about = f"Frames per second by the time until the proxy {_UNTIL[which]}. A strong colour is many."
    return buckets(f"{which.capitalize()} delivery, every request", about, f"{which}_delivery")


def _delivery_by_cache(which: str) -> Panel:
    title = f"{which.capitalize()} delivery by cache result, p95"
    about = (
        "If hits are slow too, the origin is not the cause: look at viewers, their network and the processor."
    )
    query = quantile(0.95, f"{which}_delivery", "cache", ASKED)
    return lines(title, "s", about, (query, "{{cache}}"), objective(which), span=12)


def text() -> str:
    """The file."""
    return assembled(rows())


if __name__ == "__main__":
    DASHBOARD.write_text(text(), "utf-8")
