"""Queries and panels that the dashboard is put together from."""

from collections.abc import Iterator

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common as words
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import heatmap as heat
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

RELEASE = 'job=~"$job",namespace=~"$namespace"'
"""Selects the series that rules record, which are for all pods of a release."""
OURS = RELEASE + ',pod=~"$pod"'
ASKED = OURS + ',profile=~"$profile",cache=~"$cache"'
SOURCE = model.DataSourceRef(type_val="prometheus", uid="$datasource")
QUANTILES = (0.5, 0.95, 0.99)
HERE = "$__rate_interval"

Panel = timeseries.Panel | stat.Panel | table.Panel | heatmap.Panel
Query = tuple[str, str]
"""An expression, and the legend of what it gives."""
Steps = tuple[tuple[float | None, str], ...]
"""Colours of a figure: each from a value on, the first from None."""
PLAIN: Steps = ((None, "blue"),)
"""For a figure that is neither good nor bad."""


def rate(metric: str, by: str = "", where: str = "", window: str = HERE) -> str:
    """How much a counter grows in a second, over all pods."""
    grouped = f"sum by ({by})" if by else "sum"
    return f"{grouped} (rate(progressive_proxy_{metric}{{{where or OURS}}}[{window}]))"


def gauge(metric: str, by: str = "", how: str = "sum") -> str:
    """What a gauge says, over all pods."""
    grouped = f"{how} by ({by})" if by else how
    return f"{grouped} (progressive_proxy_{metric}{{{OURS}}})"


def quantile(q: float, metric: str, by: str = "", where: str = "", window: str = HERE) -> str:
    """A quantile of a histogram, over all pods."""
    grouped = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, {rate(f'{metric}_seconds_bucket', grouped, where, window)})"


def quantiles(metric: str, where: str = "") -> list[Query]:
    """p50, p95, p99."""
    return [(quantile(q, metric, where=where), percent(q)) for q in QUANTILES]


def percent(q: float) -> str:
    """The name of a quantile.

    >>> percent(0.95)
    'p95'
    """
    return f"p{q * 100:.0f}"


def objective(delivery: str) -> Query:
    """The seconds that a delivery may take."""
    return f"max (progressive_proxy:{delivery}_delivery:objective_seconds{{{RELEASE}}})", "objective"


def _targets(queries: tuple[Query, ...]) -> Iterator[prometheus.Dataquery]:
    for letter, (expression, legend) in zip("ABCDEFGH", queries, strict=False):
        yield prometheus.Dataquery().ref_id(letter).expr(expression).legend_format(legend)


def lines(title: str, unit: str, about: str, *queries: Query, span: int = 8) -> timeseries.Panel:
    """Something over time. `about` says what it shows, and what is normal."""
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


def number(title: str, unit: str, about: str, query: str, steps: Steps = PLAIN) -> stat.Panel:
    """One figure, in the colour of the last step that it reaches."""
    panel = stat.Panel().title(title).description(about).unit(unit).datasource(SOURCE).span(4).height(4)
    thresholds = dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE)
    thresholds = thresholds.steps([model.Threshold(value=value, color=color) for value, color in steps])
    colours = dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS)
    panel = panel.thresholds(thresholds).color_scheme(colours)
    return panel.with_target(next(_targets(((query, title),))))


def buckets(title: str, about: str, metric: str) -> heatmap.Panel:
    """A histogram over time: how many requests took how long."""
    expression = rate(f"{metric}_seconds_bucket", "le", ASKED)
    query = prometheus.Dataquery().ref_id("A").expr(expression).legend_format("{{le}}")
    panel = heatmap.Panel().title(title).description(about).unit("s").datasource(SOURCE)
    colours = heatmap.HeatmapColorOptions().mode(heat.HeatmapColorMode.SCHEME).scheme("Blues").steps(64)
    panel = panel.span(12).height(7).calculate(calculate=False).color(colours)
    axis = heatmap.YAxisConfig().unit("s").axis_placement(words.AxisPlacement.LEFT)
    panel = panel.y_axis(axis).cell_gap(1).cell_values(heatmap.CellValues().unit("reqps"))
    panel = panel.show_legend().show_tooltip().show_y_histogram()
    return panel.with_target(query.format(PromQueryFormat.HEATMAP))


def by_profile_and_cache() -> table.Panel:
    """p50, p95, p99 of both deliveries; a line for each profile and what the cache did."""
    title = "First and final delivery over the whole range, by profile and cache result"
    about = "Each row is a profile and what the cache did. A first picture that was a hit takes milliseconds."
    panel = (
        table.Panel()
        .title(title)
        .description(about)
        .unit("s")
        .datasource(SOURCE)
        .span(24)
        .height(6)
        .decimals(3)
    )
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
