"""The dashboard equals its code, is valid and complete, and every query gives data for a proxy under load."""

import asyncio
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from proxy.telemetry.metrics import Metrics
from tests.chart import assembly, dashboard
from tests.chart.load import behind_a_link, rounds
from tests.chart.rendering import CHART, one, rendered
from tests.chart.scraping import Prometheus, filled_in, scraping
from tests.chart.tools import run
from tests.pages.program import families

TEXT = dashboard.DASHBOARD.read_text("utf-8")
DASHBOARD = json.loads(TEXT)
VARIABLES: list[dict[str, Any]] = DASHBOARD["templating"]["list"]
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
LONGEST = 200.0
"""Seconds of load after which a query without data fails; as a rule all have some after a few."""


def values() -> dict[str, Any]:
    return dict(yaml.safe_load((CHART / "values.yaml").read_text("utf-8")))


def test_the_file_is_the_one_of_the_code() -> None:
    assert dashboard.text() == TEXT


def test_panels_are_sound() -> None:
    assert DASHBOARD["uid"] == "progressive-proxy"
    ids = Counter(panel["id"] for panel in DASHBOARD["panels"])
    titles = Counter(panel["title"] for panel in PANELS)
    assert max(ids.values()) == max(titles.values()) == 1
    for panel in PANELS:
        assert panel["description"].endswith(".")
        assert panel["datasource"] == {"type": "prometheus", "uid": "$datasource"}
        assert panel["fieldConfig"]["defaults"]["unit"]
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
    for one_, other in ((a, b) for a in PANELS for b in PANELS if a["id"] < b["id"]):
        assert not _overlap(one_["gridPos"], other["gridPos"])


def _overlap(one_: dict[str, int], other: dict[str, int]) -> bool:
    return all(
        one_[at] < other[at] + other[size] and other[at] < one_[at] + one_[size]
        for at, size in (("x", "w"), ("y", "h"))
    )


def test_every_variable_that_is_asked_is_there() -> None:
    named = {each["name"] for each in VARIABLES}
    used = set(re.findall(r"\$\{?([a-z]+)", TEXT))
    assert used == named
    assert all(each["label"] for each in VARIABLES)
    assert {each["name"] for each in VARIABLES if each["type"] == "datasource"} == {"datasource", "logs"}


def test_only_series_that_rules_record_are_asked_without_the_pod() -> None:
    asked = [target["expr"] for panel in PANELS for target in panel["targets"]]
    selectors = [each for text in asked for each in re.findall(r"(\w[\w:]*)\{(.*?)\}", text)]
    assert {":" in metric for metric, labels in selectors if "$pod" not in labels} == {True}
    assert {":" in metric for metric, labels in selectors if "$pod" in labels} == {False}


def test_every_figure_has_colours_and_both_deliveries_have_a_heatmap() -> None:
    stats = [panel for panel in PANELS if panel["type"] == "stat"]
    assert len(stats) == 6
    for stat in stats:
        steps = stat["fieldConfig"]["defaults"]["thresholds"]["steps"]
        values = [step["value"] for step in steps]
        assert values[0] is None
        assert values[1:] == sorted(values[1:])
    heatmaps = [panel["targets"][0] for panel in PANELS if panel["type"] == "heatmap"]
    assert [target["format"] for target in heatmaps] == ["heatmap"] * 2
    for which, target in zip(("first", "final"), heatmaps, strict=True):
        assert f"sum by (le) (rate(progressive_proxy_{which}_delivery_seconds_bucket" in target["expr"]


def test_the_schema_is_that_of_a_grafana_of_today_and_needs_no_migration() -> None:
    assert DASHBOARD["schemaVersion"] == 41
    assert {"rows", "time_picker", "hideControls"} & set(DASHBOARD) == set()
    assert {panel["type"] for panel in PANELS} == {"stat", "timeseries", "heatmap", "table"}


def test_links_lead_to_the_page_on_alerts_and_to_the_logs_of_the_pods_shown() -> None:
    runbooks, logs = DASHBOARD["links"]
    assert runbooks["url"] == values()["monitoring"]["runbooks"]
    shown = logs["url"].replace("${logs}", "loki").replace("${namespace:pipe}", "a|b")
    panes = json.loads(parse_qs(urlsplit(shown.replace("${pod:pipe}", ".*")).query)["panes"][0])["logs"]
    assert panes["range"] == {"from": "${__from}", "to": "${__to}"}
    (query,) = panes["queries"]
    assert query["datasource"] == {"type": "loki", "uid": "loki"}
    assert query["expr"] == '{namespace=~"a|b",pod=~".*",container="progressive-proxy"} | json'


def test_links_name_the_container_of_the_chart() -> None:
    pod = one("Deployment", rendered("helm4", "standalone"))["spec"]["template"]["spec"]
    assert [each["name"] for each in pod["containers"]] == ["progressive-proxy"]


@pytest.mark.parametrize("page", ["https://wiki.example/a?b=1&c=2", 'https://wiki.example/"quoted"\\'])
def test_the_chart_puts_its_own_page_on_alerts_into_the_dashboard(page: str, tmp_path: Path) -> None:
    more = tmp_path / "values.yaml"
    more.write_text(json.dumps({"monitoring": {"runbooks": page}}), "utf-8")
    made = one("ConfigMap", rendered("helm4", "standalone", "--values", more), "-dashboards")
    read = json.loads(made["data"]["progressive-proxy.json"])
    assert read["links"][0]["url"] == page
    read["links"][0]["url"] = assembly.RUNBOOKS
    assert read == DASHBOARD


def test_every_metric_is_shown() -> None:
    names = {name for name, _, _ in families()}
    scraped = re.findall(
        r"^# TYPE (progressive_proxy_\S+) ", Metrics().exposition()[0].decode(), re.MULTILINE
    )
    assert names == set(scraped)
    assert {name for name in names if name not in TEXT} == set()


def test_promtool_takes_what_is_scraped() -> None:
    exposition, _ = Metrics().exposition()
    run("promtool", "check", "metrics", text=exposition.decode())


def test_the_chart_brings_it_as_it_is() -> None:
    made = one("ConfigMap", rendered("helm4", "standalone"), "-dashboards")
    assert made["data"] == {"progressive-proxy.json": TEXT}
    assert made["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert made["metadata"]["annotations"] == {"grafana_folder": "Imaging"}


@pytest.mark.anyio
async def test_every_query_gives_data_of_a_proxy_under_load(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with (
        behind_a_link() as home,
        scraping(str(home.admin.base_url.netloc, "ascii"), tmp_path) as prometheus,
    ):
        began = loop.time()
        without = {target["expr"]: panel["title"] for panel in PANELS for target in panel["targets"]}
        (annotation,) = DASHBOARD["annotations"]["list"]
        # An alert needs minutes to fire. Until then, its series says that it is pending.
        pending = annotation["expr"].replace('"firing"', '"pending"')
        without[pending.replace("ProgressiveProxy.*", "ProgressiveProxyOriginNotReached")] = "Alerts"
        async for _ in rounds(home, tmp_path / "config.yaml"):
            for query in list(without):
                if any(samples for _, samples in await prometheus.now(filled_in(query))):
                    del without[query]
            if not without or loop.time() - began > LONGEST:
                break
        assert without == {}
        for variable in VARIABLES:
            if variable["type"] == "query":
                assert await _values_of(variable["query"], prometheus) > 0, variable["name"]
        late = await prometheus.now("progressive_proxy:final_delivery:late_share_5m")
        assert [labels["job"] for labels, _ in late] == ["imaging-progressive-proxy"]


async def _values_of(query: str, prometheus: Prometheus) -> int:
    """The number of values that Grafana would offer for a variable."""
    asked = re.fullmatch(r"label_values\((.*), (\w+)\)", query)
    assert asked is not None
    series, label = asked.groups()
    found = await prometheus.now(f"group by ({label}) ({filled_in(series)})")
    return sum(bool(labels.get(label)) for labels, _ in found)
