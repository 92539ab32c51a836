"""Puts rows of panels together to one dashboard, with its variables, links and annotation."""

import json
import re
from urllib.parse import quote, unquote

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from tests.chart.panels import RELEASE, SOURCE, Panel

SCHEMA = 41
"""Of Grafana 11.6 and 12; there is nothing in the file that would have to be migrated to it."""
RUNBOOKS = "https://progressive-proxy.example/operate/alerts.html"
"""The chart puts the value `monitoring.runbooks` in its place."""
LOGS = '{namespace=~"${namespace:pipe}",pod=~"${pod:pipe}",container="progressive-proxy"} | json'
"""The proxy's own lines, in Loki."""
FIRING = f'ALERTS{{alertstate="firing",alertname=~"ProgressiveProxy.*",{RELEASE}}}'


class Alerts(model.AnnotationQuery):
    """A mark on each panel from when an alert fires until it stops."""

    def to_json(self) -> dict[str, object]:
        """The annotation, with the texts of Grafana's Prometheus plugin, which the SDK does not know."""
        texts = {
            "titleFormat": "{{alertname}}",
            "textFormat": "{{severity}} {{origin}}",
            "tagKeys": "severity",
        }
        return super().to_json() | texts


def _variables() -> list[dashboard.DatasourceVariable | dashboard.QueryVariable]:
    delivered = f"progressive_proxy_first_delivery_seconds_count{{{RELEASE}}}"
    return [
        dashboard.DatasourceVariable("datasource").type("prometheus").label("Data source"),
        dashboard.DatasourceVariable("logs").type("loki").label("Logs"),
        _variable("namespace", "Namespace", "progressive_proxy_build_info"),
        _variable("job", "Release", 'progressive_proxy_build_info{namespace=~"$namespace"}'),
        _variable("pod", "Pod", f"progressive_proxy_build_info{{{RELEASE}}}"),
        _variable("profile", "Profile", delivered),
        _variable("cache", "Cache result", delivered),
    ]


def _variable(name: str, label: str, series: str) -> dashboard.QueryVariable:
    variable = dashboard.QueryVariable(name).label(label).datasource(SOURCE)
    variable = variable.multi(multi=True).include_all(include_all=True).all_value(".*")
    every = model.VariableOption(text="All", value="$__all")
    on_time_range_change = model.VariableRefresh(2)
    return variable.query(f"label_values({series}, {name})").current(every).refresh(on_time_range_change)


def _links() -> list[dashboard.DashboardLink]:
    runbooks = dashboard.DashboardLink("Alerts and what to look at").url(RUNBOOKS).icon("doc")
    logs = dashboard.DashboardLink("Logs").url(_explored()).icon("search")
    return [
        each.type(model.DashboardLinkType.LINK).target_blank(target_blank=True) for each in (runbooks, logs)
    ]


def _explored() -> str:
    """The page of Grafana that shows the logs of what the dashboard shows."""
    source = {"type": "loki", "uid": "${logs}"}
    shown = {
        "datasource": "${logs}",
        "queries": [{"refId": "A", "datasource": source, "expr": LOGS}],
        "range": {"from": "${__from}", "to": "${__to}"},
    }
    panes = quote(json.dumps({"logs": shown}, separators=(",", ":")), safe="")
    # Grafana looks for its variables before it decodes the address.
    return "/explore?schemaVersion=1&panes=" + re.sub(r"%24%7B.*?%7D", lambda found: unquote(found[0]), panes)


def assembled(rows: dict[str, list[Panel]]) -> str:
    """The dashboard's JSON."""
    built = dashboard.Dashboard("progressive-proxy").uid("progressive-proxy").tags(["dicomweb"])
    built = built.time("now-1h", "now").refresh("30s").timezone("browser")
    built = built.tooltip(model.DashboardCursorSync(1))
    for variable in _variables():
        built = built.with_variable(variable)
    for link in _links():
        built = built.link(link)
    for title, panels in rows.items():
        built = built.with_row(dashboard.Row(title))
        for panel in panels:
            built = built.with_panel(panel)
    made = built.build()
    alerts = Alerts(name="Alerts", datasource=SOURCE, icon_color="red", expr=FIRING)
    made.annotations = model.AnnotationContainer([alerts])
    made.schema_version = SCHEMA
    for number_of, panel_or_row in enumerate(made.panels or (), 1):
        panel_or_row.id_val = number_of
    return JSONEncoder(sort_keys=True, indent=1).encode(made) + "\n"
