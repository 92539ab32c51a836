"""Queries and panels for the dashboard."""

from collections.abc import Iterator

from grafana_foundation_sdk.builders import common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common as words
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

OURS = 'job=~"$job",namespace=~"$namespace"'
ASKED = OURS + ',profile=~"$profile",cache=~"$cache"'
SOURCE = model.DataSourceRef(type_val="prometheus", uid="$source")
QUANTILES = (0.5, 0.95, 0.99)
HERE = "$__rate_interval"

Query = tuple[str, str]
"""A PromQL expression, and the legend of its series."""


def rate(metric: str, by: str = "", where: str = "", window: str = HERE) -> str:
    """Growth of a counter per second, over all pods."""
    grouped = f"sum by ({by})" if by else "sum"
    return f"{grouped} (rate(progressive_proxy_{metric}{{{where or OURS}}}[{window}]))"


def gauge(metric: str, by: str = "", how: str = "sum") -> str:
    """Value of a gauge, over all pods."""
    grouped = f"{how} by ({by})" if by else how
    return f"{grouped} (progressive_proxy_{metric}{{{OURS}}})"


def quantile(q: float, metric: str, by: str = "", where: str = "", window: str = HERE) -> str:
    """A quantile of a histogram, over all pods."""
    grouped = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, {rate(f'{metric}_seconds_bucket', grouped, where, window)})"


def quantiles(metric: str, where: str = "") -> list[Query]:
    """The queries for p50, p95 and p99."""
    return [(quantile(q, metric, where=where), percent(q)) for q in QUANTILES]


def percent(q: float) -> str:
    """The name of a quantile.

    >>> percent(0.95)
    'p95'
    """
    return f"p{q * 100:.0f}"


def objective(delivery: str) -> Query:
    """The objective of a delivery in seconds."""
    return f"max (progressive_proxy:{delivery}_delivery:objective_seconds{{{OURS}}})", "objective"


def _targets(queries: tuple[Query, ...]) -> Iterator[prometheus.Dataquery]:
    for letter, (expression, legend) in zip("ABCDEFGH", queries, strict=False):
        yield prometheus.Dataquery().ref_id(letter).expr(expression).legend_format(legend)


def lines(title: str, unit: str, *queries: Query, span: int = 8, about: str = "") -> timeseries.Panel:
    """A panel with a graph over time."""
    legend = common.VizLegendOptions().show_legend(show_legend=True)
    panel = timeseries.Panel().title(title).description(about).unit(unit).datasource(SOURCE)
    panel = (
        panel.span(span)
        .height(7)
        .min(0)
        .fill_opacity(8)
        .legend(legend.display_mode(words.LegendDisplayMode.LIST).placement(words.LegendPlacement.BOTTOM))
    )
    for target in _targets(queries):
        panel = panel.with_target(target)
    dashed = [
        model.DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}),
        model.DynamicConfigValue("custom.fillOpacity", 0),
        model.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": "red"}),
    ]
    return panel.override_by_name("objective", dashed)


def number(title: str, unit: str, query: str, about: str = "") -> stat.Panel:
    """A panel with one number."""
    panel = stat.Panel().title(title).description(about).unit(unit).datasource(SOURCE).span(4).height(4)
    return panel.with_target(next(_targets(((query, title),))))


def by_profile_and_cache() -> table.Panel:
    """A table of p50, p95 and p99 of both deliveries, with a row for each profile and cache outcome."""
    title = "First and final delivery in the whole time shown, by profile and by what the cache did"
    panel = table.Panel().title(title).unit("s").datasource(SOURCE).span(24).height(6).decimals(3)
    names: dict[str, object] = {}
    wanted = [(delivery, q) for delivery in ("first", "final") for q in QUANTILES]
    for letter, (delivery, q) in zip("ABCDEF", wanted, strict=True):
        expression = quantile(q, f"{delivery}_delivery", "profile, cache", ASKED, "$__range")
        query = prometheus.Dataquery().ref_id(letter).expr(expression).instant()
        panel = panel.with_target(query.format(PromQueryFormat.TABLE))
        names[f"Value #{letter}"] = f"{delivery} {percent(q)}"
    tidy = {"excludeByName": {"Time": True}, "renameByName": names}
    return panel.transformations(
        [
            model.DataTransformerConfig(id_val="merge", options={}),
            model.DataTransformerConfig(id_val="organize", options=tidy),
        ]
    )
