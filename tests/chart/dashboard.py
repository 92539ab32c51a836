"""Writes the dashboard: the page that an operator opens first, as code.

`python -m tests.chart.dashboard`
"""

from pathlib import Path

from grafana_foundation_sdk.builders import dashboard, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from tests.chart.panels import (
    ASKED,
    HERE,
    OURS,
    SOURCE,
    by_profile_and_cache,
    gauge,
    lines,
    number,
    objective,
    quantile,
    quantiles,
    rate,
)

CHARTS = Path(__file__).parents[2] / "charts"
DASHBOARD = CHARTS / "progressive-proxy" / "dashboards" / "progressive-proxy.json"

Panel = timeseries.Panel | stat.Panel | table.Panel
FETCHED = rate("origin_bytes_total", where=OURS + ',stage=~"first|completion"')
FORWARDED = OURS + ',stage="pass"'
SERVED = rate("served_bytes_total")


def on_time(delivery: str) -> str:
    """The share of deliveries in the last hour that met their objective."""
    return f"1 - max (progressive_proxy:{delivery}_delivery:late_share_1h{{{OURS}}})"


def rows() -> dict[str, list[Panel]]:
    """Every panel, in order."""
    hits = rate("frame_answers_total", where=OURS + ',cache="hit"')
    return {
        "Time to pictures": [
            number("First pictures on time", "percentunit", on_time("first"), "Share in the last hour."),
            number("Final pictures on time", "percentunit", on_time("final"), "Share in the last hour."),
            number("Frames per second", "reqps", rate("frame_answers_total")),
            number("Frames from memory", "percentunit", f"{hits} / {rate('frame_answers_total')}"),
            number(
                "Bytes saved", "percentunit", f"1 - {FETCHED} / {SERVED}", "Bytes served without a fetch."
            ),
            number("Origins down", "none", f"count ({_up()} == 0) or vector(0)"),
            _delivery("first"),
            _delivery("final"),
            _delivery_by_cache("first"),
            _delivery_by_cache("final"),
            by_profile_and_cache(),
        ],
        "Origins": [
            lines(
                "Origin is up",
                "none",
                (_up(), "{{origin}}"),
                (gauge("origin_reached", "origin", "min"), "{{origin}} reached since the start"),
                about="0 also until the origin has answered each pod once.",
            ),
            lines(
                "Requests",
                "reqps",
                (rate("origin_requests_total", "origin, stage, outcome"), "{{origin}} {{stage}} {{outcome}}"),
            ),
            lines("Bytes", "Bps", (rate("origin_bytes_total", "origin, stage"), "{{origin}} {{stage}}")),
            lines(
                "Responses refused",
                "ops",
                (rate("mismatches_total", "origin, reason"), "{{origin}} {{reason}}"),
                about="Origin responses that can't be trusted, by reason.",
            ),
            lines(
                "Resumed, refetched, unguarded",
                "ops",
                (rate("resumes_total", "origin"), "{{origin}} resumed"),
                (rate("asked_again_total", "origin"), "{{origin}} refetched"),
                (rate("unguarded_completions_total", "origin"), "{{origin}} unguarded"),
            ),
            lines("Frames being fetched", "none", (gauge("fills_in_flight"), "frames")),
            lines(
                "Forwarded requests",
                "reqps",
                (
                    rate("origin_requests_total", "origin, outcome", OURS + ',stage="pass"'),
                    "{{origin}} {{outcome}}",
                ),
                span=24,
                about="Searches, metadata, bulk data and uploads, by outcome.",
            ),
        ],
        "Queue for the origin": [
            lines(f"Time in queue, p{q * 100:.0f}", "s", (quantile(q, "gate_wait", "origin, stage"), _STAGE))
            for q in (0.5, 0.95, 0.99)
        ],
        "Memory": [
            lines("Held", "bytes", (gauge("cache_bytes", "part"), "{{part}}")),
            lines("Frame requests", "reqps", (rate("frame_answers_total", "cache"), "{{cache}}")),
            lines("Frames evicted", "ops", (rate("cache_evictions_total", "part"), "{{part}}")),
            lines(
                "Metadata, searches and pictures",
                "reqps",
                (rate("resource_answers_total", "kind, cache"), "{{kind}} {{cache}}"),
                span=24,
                about="Responses for what belongs to a study beside its frames.",
            ),
        ],
        "Tiers behind memory": [
            lines(
                "Look-ups in tiers",
                "ops",
                (rate("tier_lookups_total", "tier, part, outcome"), "{{tier}} {{part}} {{outcome}}"),
                about="All but a hit are misses to a viewer.",
            ),
            lines(
                "Frames written", "ops", (rate("tier_writes_total", "tier, outcome"), "{{tier}} {{outcome}}")
            ),
            lines("Bytes in tiers", "bytes", (gauge("tier_bytes", "tier, part"), "{{tier}} {{part}}")),
        ],
        "Process": _process(),
        "Bytes saved": [
            lines("Bytes served and fetched", "Bps", (SERVED, "served"), (FETCHED, "fetched")),
            lines("Bytes served", "Bps", (rate("served_bytes_total", "cache"), "{{cache}}")),
            lines(
                "First fetches by resolution",
                "ops",
                (rate("first_fetches_total", "method"), "{{method}}"),
                (rate("top_ups_total"), "fell short"),
                span=4,
            ),
            lines(
                "Bytes saved by first fetches",
                "Bps",
                (rate("first_saved_bytes_total"), "below 64 KiB"),
                span=4,
            ),
        ],
        "Plans": [
            lines("Plans ended", "ops", (rate("plans_total", "profile, state"), "{{profile}} {{state}}")),
            lines(
                "Prefetched, and then requested",
                "Bps",
                (rate("prefetched_bytes_total", "profile"), "{{profile}} fetched"),
                (rate("prefetched_used_bytes_total", "profile"), "{{profile}} requested"),
                span=16,
            ),
        ],
        "Access": [
            lines(
                "Probes of access",
                "ops",
                (rate("access_probes_total", "outcome"), "{{outcome}}"),
                span=24,
                about="Requests to an origin that ask if a caller may read what others have fetched.",
            ),
        ],
        "Bounds": [
            lines(
                "Refused by a bound",
                "ops",
                (rate("over_bounds_total", "bound"), "{{bound}}"),
                span=12,
                about="Requests, connections and plans beyond a setting of `bounds`, which got 429 or 503.",
            ),
            lines(
                "Connections closed",
                "ops",
                (rate("closed_connections_total", "reason"), "{{reason}}"),
                span=12,
                about="Connections of viewers that read too slowly, and idle ones that made room for others.",
            ),
        ],
        "Workers": [
            lines(
                "Connections moved, workers lost",
                "ops",
                (rate("moved_connections_total", "outcome"), "connections {{outcome}}"),
                (rate("lost_workers_total"), "workers lost"),
                span=24,
                about="Connections whose next request was about a study of another worker of the pod.",
            ),
        ],
        "Refusals": [
            lines(
                "Requests refused",
                "reqps",
                (rate("frame_answers_total", "status", OURS + ',status=~"[45].."'), "{{status}}"),
                span=6,
            ),
            lines("Responses cut short", "ops", (rate("cut_answers_total", "reason"), "{{reason}}"), span=6),
            lines(
                "Requests refused by their head",
                "ops",
                (rate("refused_requests_total", "reason"), "{{reason}}"),
                span=6,
                about="Requests that violate HTTP or a rule of `listen`, by error.",
            ),
            lines(
                "Configuration",
                "none",
                (gauge("configuration_is_good", how="min"), "is good"),
                (rate("reloads_total", "result"), "reloads per second, {{result}}"),
                (gauge("build_info", "version", "count"), "pods of {{version}}"),
                span=6,
            ),
        ],
    }


_STAGE = "{{origin}} {{stage}}"


def _process() -> list[Panel]:
    ends = f"progressive_proxy_expires_timestamp_seconds{{{OURS}}}"
    return [
        lines(
            "Memory of the process",
            "bytes",
            (f"max (process_resident_memory_bytes{{{OURS}}})", "most of a pod"),
            (gauge("memory_limit_bytes", how="min"), "limit"),
            span=6,
            about="Resident memory without workers, and the container's limit; 0 if there is none.",
        ),
        lines(
            "Processor",
            "none",
            (f"max (rate(process_cpu_seconds_total{{{OURS}}}[{HERE}]))", "cores, most of a pod"),
            span=6,
            about="One process uses one core at most.",
        ),
        lines(
            "Open files",
            "none",
            (f"max (process_open_fds{{{OURS}}})", "most of a pod"),
            (f"min (process_max_fds{{{OURS}}})", "limit"),
            span=6,
            about="Connections of viewers and to origins, and what else is open.",
        ),
        lines(
            "Days until a certificate or token ends",
            "d",
            (f"(min by (origin, kind) ({ends}) - time()) / 86400", "{{kind}} {{origin}}"),
            span=6,
            about="The proxy's own, by the files that it reads.",
        ),
    ]


def _up() -> str:
    return gauge("origin_up", "origin", "min")


def _delivery(which: str) -> Panel:
    title = f"{which.capitalize()} delivery"
    return lines(title, "s", *quantiles(f"{which}_delivery", ASKED), objective(which), span=12)


def _delivery_by_cache(which: str) -> Panel:
    title = f"{which.capitalize()} delivery by cache result, p95"
    query = quantile(0.95, f"{which}_delivery", "cache", ASKED)
    return lines(title, "s", (query, "{{cache}}"), objective(which), span=12)


def _variable(name: str, metric: str) -> dashboard.QueryVariable:
    variable = (
        dashboard.QueryVariable(name).datasource(SOURCE).multi(multi=True).include_all(include_all=True)
    )
    query = f"label_values(progressive_proxy_{metric}, {name})"
    every = model.VariableOption(text="All", value="$__all")
    return variable.query(query).all_value(".*").current(every).refresh(model.VariableRefresh(2))


def text() -> str:
    """The file."""
    built = dashboard.Dashboard("progressive-proxy").uid("progressive-proxy").tags(["dicomweb"])
    built = (
        built.time("now-1h", "now").refresh("30s").timezone("browser").tooltip(model.DashboardCursorSync(1))
    )
    built = built.with_variable(dashboard.DatasourceVariable("source").type("prometheus"))
    for name, metric in (("namespace", "build_info"), ("job", "build_info")):
        built = built.with_variable(_variable(name, metric))
    for name in ("profile", "cache"):
        built = built.with_variable(_variable(name, "first_delivery_seconds_count"))
    for title, panels in rows().items():
        built = built.with_row(dashboard.Row(title))
        for panel in panels:
            built = built.with_panel(panel)
    made = built.build()
    for number_of, panel_or_row in enumerate(made.panels or (), 1):
        panel_or_row.id_val = number_of
    return JSONEncoder(sort_keys=True, indent=1).encode(made) + "\n"


if __name__ == "__main__":
    DASHBOARD.write_text(text(), "utf-8")
