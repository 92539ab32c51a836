"""The dashboard equals its code, is valid and complete, and every query gives data for a proxy under load."""

import asyncio
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from proxy.telemetry.metrics import Metrics
from tests.chart import dashboard
from tests.chart.load import behind_a_link, rounds
from tests.chart.rendering import one, rendered
from tests.chart.scraping import filled_in, scraping
from tests.chart.tools import run

TEXT = dashboard.DASHBOARD.read_text("utf-8")
DASHBOARD = json.loads(TEXT)
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
LOADED = 20.0
"""Least number of seconds of load."""


def test_the_file_is_the_one_of_the_code() -> None:
    assert dashboard.text() == TEXT


def test_panels_are_sound() -> None:
    assert DASHBOARD["uid"] == "progressive-proxy"
    ids = Counter(panel["id"] for panel in DASHBOARD["panels"])
    titles = Counter(panel["title"] for panel in PANELS)
    assert max(ids.values()) == max(titles.values()) == 1
    for panel in PANELS:
        assert panel["datasource"] == {"type": "prometheus", "uid": "$source"}
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
    named = {each["name"] for each in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r'"\$([a-z]+)"', TEXT.replace('\\"', '"')))
    assert used == named


def test_every_metric_is_shown() -> None:
    families = [
        family
        for metric in vars(Metrics()).values()
        if hasattr(metric, "_labelnames")
        for family in metric.collect()
    ]
    names = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    assert len(names) > 20
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
        async for _ in rounds(home, tmp_path / "config.yaml"):
            if loop.time() - began > LOADED:
                break
        without = []
        for panel in PANELS:
            for target in panel["targets"]:
                found = await prometheus.now(filled_in(target["expr"]))
                if not any(samples for _, samples in found):
                    without.append((panel["title"], target["expr"]))
        assert without == []
        late = await prometheus.now("progressive_proxy:final_delivery:late_share_5m")
        assert [labels["job"] for labels, _ in late] == ["imaging-progressive-proxy"]
