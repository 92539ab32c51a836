"""The alerts, one by one, on synthetic series: promtool checks when each fires and when it does not."""

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from tests.chart.rendering import CHART, one, rendered
from tests.chart.tools import run
from tests.pages.parts import DOCS

OF = {"job": "imaging-progressive-proxy", "namespace": "imaging"}
PAGE = DOCS / "operate" / "alerts.md"
WINDOWS = {"1h": "critical", "6h": "critical", "1d": "warning", "3d": "warning"}
WITHIN = {"first": "0.5", "final": "10.0"}


def spec(*more: object) -> dict[str, Any]:
    return dict(one("PrometheusRule", rendered("helm4", "sidecar", *more))["spec"])


def series(metric: str, values: str, **labels: str) -> dict[str, str]:
    named = ",".join(f'{key}="{value}"' for key, value in (OF | labels).items())
    return {"series": f"progressive_proxy_{metric}{{{named}}}", "values": values}


@lru_cache
def annotations() -> dict[str, dict[str, str]]:
    """The texts of each alert."""
    rules = [rule for group in spec()["groups"] for rule in group["rules"] if "alert" in rule]
    return {rule["alert"]: rule["annotations"] for rule in rules}


def fired(alert: str, at: str, *expected: tuple[dict[str, str], str]) -> dict[str, Any]:
    """A promtool test of an alert at one time, with the labels and texts expected. None means no alert."""
    told = annotations()[f"ProgressiveProxy{alert}"]
    alerts = [
        {"exp_labels": OF | labels, "exp_annotations": told | {"summary": words}}
        for labels, words in expected
    ]
    return {"eval_time": at, "alertname": f"ProgressiveProxy{alert}", "exp_alerts": alerts}


def tried_out(folder: Path, inputs: list[dict[str, str]], *alerts: dict[str, Any]) -> None:
    test = {"interval": "1m", "input_series": inputs, "alert_rule_test": list(alerts)}
    (folder / "rules.yaml").write_text(json.dumps(spec()), "utf-8")
    tests = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [test]}
    (folder / "test.yaml").write_text(json.dumps(tests), "utf-8")
    run("promtool", "test", "rules", folder / "test.yaml")


def test_promtool_takes_the_rules(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(json.dumps(spec()), "utf-8")
    assert "35 rules found" in run("promtool", "check", "rules", path)


def test_every_alert_is_tried_here_and_is_on_the_page_for_people_on_call() -> None:
    alerts = {rule["alert"] for group in spec()["groups"] for rule in group["rules"] if "alert" in rule}
    here, page = Path(__file__).read_text("utf-8"), PAGE.read_text("utf-8")
    short = {alert.removeprefix("ProgressiveProxy") for alert in alerts}
    named = {each for each in short if f'fired("{each}"' in here or each.endswith("DeliveryLate")}
    assert named == short
    assert {alert for alert in alerts if f"`{alert}`" not in page} == set()


def late(delivery: str, share: int) -> list[dict[str, str]]:
    """Series with `share` percent of late deliveries for three hours, then none for half an hour."""
    metric = f"{delivery}_delivery_seconds"
    good = f"0+{100 - share}x180 {(100 - share) * 180}+100x30"
    return [
        series(f"{metric}_bucket", good, le=WITHIN[delivery], profile="sequential", cache="miss"),
        series(f"{metric}_count", "0+100x180 18000+100x30", profile="sequential", cache="miss"),
    ]


@pytest.mark.parametrize("delivery", ["first", "final"])
@pytest.mark.parametrize(
    ("share", "windows"),
    [(90, ("1h", "6h", "1d", "3d")), (40, ("6h", "1d", "3d")), (20, ("1d", "3d")), (8, ("3d",)), (4, ())],
)
def test_late_deliveries_fire_by_how_fast_they_use_up_what_is_allowed(
    delivery: str, share: int, windows: tuple[str, ...], tmp_path: Path
) -> None:
    within = WITHIN[delivery]
    words = (
        f"{share}% of {delivery} deliveries took more than {within} s for WINDOW; the objective allows 5 %."
    )
    expected = [
        ({"window": each, "severity": WINDOWS[each]}, words.replace("WINDOW", each)) for each in windows
    ]
    tried_out(
        tmp_path, late(delivery, share), fired(f"{delivery.capitalize()}DeliveryLate", "170m", *expected)
    )


def test_when_deliveries_are_on_time_again_the_fastest_window_is_quiet_first(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(json.dumps(spec()), "utf-8")
    query = 'count (ALERTS{alertname="ProgressiveProxyFirstDeliveryLate",alertstate="firing",window="1h"})'
    samples = [
        {"expr": query, "eval_time": "170m", "exp_samples": [{"value": 1}]},
        {"expr": query, "eval_time": "190m", "exp_samples": []},
    ]
    test = {"interval": "1m", "input_series": late("first", 90), "promql_expr_test": samples}
    tests = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [test]}
    (tmp_path / "test.yaml").write_text(json.dumps(tests), "utf-8")
    run("promtool", "test", "rules", tmp_path / "test.yaml")


def test_an_origin_that_is_down(tmp_path: Path) -> None:
    inputs = [
        series("origin_up", "1x4 0x20", origin="pacs", pod="a"),
        series("origin_up", "1x25", origin="pacs", pod="b"),
        series("origin_up", "1x25", origin="cloud", pod="a"),
        {"series": 'progressive_proxy_origin_up{job="another",origin="pacs"}', "values": "0x25"},
    ]
    words = "Origin pacs keeps failing. The proxy serves only cached frames."
    down = ({"origin": "pacs", "severity": "critical"}, words)
    tried_out(tmp_path, inputs, fired("OriginDown", "4m"), fired("OriginDown", "10m", down))


def test_an_origin_that_was_never_reached(tmp_path: Path) -> None:
    inputs = [
        *(series(name, "0x25", origin="pacs", pod="a") for name in ("origin_reached", "origin_up")),
        *(series(name, "0x3 1x22", origin="pacs", pod="b") for name in ("origin_reached", "origin_up")),
        *(series(name, "0x1 1x24", origin="cloud", pod="a") for name in ("origin_reached", "origin_up")),
    ]
    words = "Origin pacs has not responded to 1 of the pods since they started."
    missing = ({"origin": "pacs", "severity": "critical"}, words)
    tried_out(
        tmp_path,
        inputs,
        fired("OriginNotReached", "1m"),
        fired("OriginNotReached", "10m", missing),
        fired("OriginDown", "10m"),
    )


def test_an_origin_that_is_down_after_it_was_reached(tmp_path: Path) -> None:
    inputs = [
        series("origin_up", "1x4 0x20", origin="pacs", pod="a"),
        series("origin_reached", "1x24", origin="pacs", pod="a"),
    ]
    words = "Origin pacs keeps failing. The proxy serves only cached frames."
    down = ({"origin": "pacs", "severity": "critical"}, words)
    tried_out(tmp_path, inputs, fired("OriginDown", "10m", down), fired("OriginNotReached", "10m"))


def test_answers_that_fail(tmp_path: Path) -> None:
    inputs = [
        series("frame_answers_total", "0+94x20 1880+100x20", status="200", cache="hit"),
        series("frame_answers_total", "0+6x20 120+0x20", status="502", cache="miss"),
    ]
    words = ({"severity": "critical"}, "6% of frame requests fail with a 5xx status.")
    tried_out(tmp_path, inputs, fired("AnswersFail", "15m", words), fired("AnswersFail", "39m"))


def test_mismatches(tmp_path: Path) -> None:
    inputs = [
        series("mismatches_total", "0x10 0+1x20", origin="pacs", reason="validator"),
        series("mismatches_total", "0x10 1x20", origin="pacs", reason="length"),
    ]
    words = "The proxy refuses responses of origin pacs: validator."
    refused = ({"origin": "pacs", "reason": "validator", "severity": "warning"}, words)
    tried_out(tmp_path, inputs, fired("Mismatches", "12m"), fired("Mismatches", "25m", refused))


def test_a_cache_that_thrashes(tmp_path: Path) -> None:
    words = "The cache evicts at least one frame for every two frame requests."
    for dropped, expected in ((60, [({"severity": "warning"}, words)]), (40, [])):
        inputs = [
            series("cache_evictions_total", f"0+{dropped}x60", part="first"),
            series("cache_evictions_total", "0+100x60", part="rest"),
            series("frame_answers_total", "0+50x60", status="200", cache="miss"),
            series("frame_answers_total", "0+50x60", status="200", cache="hit"),
        ]
        tried_out(tmp_path, inputs, fired("CacheThrash", "10m"), fired("CacheThrash", "50m", *expected))


def test_a_bad_configuration(tmp_path: Path) -> None:
    inputs = [series("configuration_is_good", "1x4 0x20"), series("configuration_is_good", "1x25", pod="b")]
    words = (
        {"severity": "warning"},
        "The changed configuration is invalid. The proxy keeps using the last valid one.",
    )
    tried_out(tmp_path, inputs, fired("ConfigurationBad", "8m"), fired("ConfigurationBad", "20m", words))


def test_other_objectives_are_other_rules() -> None:
    rules = spec("--set-string", "objectives.first.within=0.25", "--set-json", "objectives.first.share=0.99")
    text = "\n".join(rule["expr"] for group in rules["groups"] for rule in group["rules"])
    assert 'le="0.25"' in text
    assert "> 0.144" in text
    assert 'le="0.5"' not in text


def test_no_pod_that_gives_metrics(tmp_path: Path) -> None:
    inputs = [series("build_info", "1x4 _x20 1x10", version="1")]
    absent = ({"severity": "critical"}, "No pod of the proxy gives metrics.")
    tried_out(tmp_path, inputs, fired("Absent", "3m"), fired("Absent", "20m", absent), fired("Absent", "30m"))


def test_forwarded_requests_that_fail(tmp_path: Path) -> None:
    words = "WHICH of searches, requests for metadata and uploads fail at origin pacs."
    for outcome in ("failed", "unreachable", "timeout", "full"):
        inputs = [
            series("origin_requests_total", "0+90x20", origin="pacs", stage="pass", outcome="ok"),
            series("origin_requests_total", "0+10x20", origin="pacs", stage="pass", outcome=outcome),
            series("origin_requests_total", "0+100x20", origin="cloud", stage="pass", outcome="ok"),
            series("origin_requests_total", "0+100x20", origin="cloud", stage="first", outcome="timeout"),
            series("origin_requests_total", "0+100x20", origin="cloud", stage="pass", outcome="refused"),
        ]
        failing = ({"origin": "pacs", "severity": "critical"}, words.replace("WHICH", "10%"))
        tried_out(
            tmp_path, inputs, fired("PassThroughFails", "15m", failing), fired("PassThroughFails", "2m")
        )


@pytest.mark.parametrize(("used", "limit", "share"), [(96, 100, "96%"), (94, 100, None), (96, 0, None)])
def test_memory_near_its_limit(used: int, limit: int, share: str | None, tmp_path: Path) -> None:
    of = {"pod": "a", **OF}
    named = ",".join(f'{key}="{value}"' for key, value in of.items())
    inputs = [
        {"series": f"process_resident_memory_bytes{{{named}}}", "values": f"50x2 {used}x20"},
        series("memory_limit_bytes", f"{limit}x22", pod="a"),
    ]
    near = ({"severity": "warning"}, f"A process of the proxy takes {share} of its memory limit.")
    tried_out(
        tmp_path,
        inputs,
        fired("MemoryNearLimit", "5m"),
        fired("MemoryNearLimit", "15m", *[near] * bool(share)),
    )


@pytest.mark.parametrize(
    ("kind", "origin", "left", "told"),
    [
        ("listener", "", 6 * 86400, "The listener file ends in 5d 23h 45m 0s."),
        ("listener", "", 8 * 86400, None),
        ("certificate", "pacs", 3600, "The certificate file for origin pacs ends in 45m 0s."),
        ("token", "pacs", 1020, "The token file for origin pacs ends in 2m 0s."),
        ("token", "pacs", 3600, None),
        ("certificate", "pacs", 0, "The certificate file for origin pacs ends in -15m 0s."),
    ],
)
def test_what_ends_soon(kind: str, origin: str, left: object, told: str | None, tmp_path: Path) -> None:
    inputs = [series("expires_timestamp_seconds", f"{left}x30", origin=origin, kind=kind, pod="a")]
    named = {"kind": kind, "severity": "warning"} | ({"origin": origin} if origin else {})
    tried_out(tmp_path, inputs, fired("Expires", "15m", *([(named, told)] if told else [])))


@pytest.mark.parametrize("failed", [0, 1])
def test_a_run_of_warm_that_failed(failed: int, tmp_path: Path) -> None:
    inputs = [
        series("warm_failed", f"0x9 {failed}x20 0x10", warm="worklist", pod="a"),
        series("warm_failed", "0x40", warm="worklist", pod="b"),
        series("warm_failed", "0x40", warm="priors", pod="a"),
    ]
    words = "The last run of worklist in warm failed, or could not fetch all of its studies."
    told = ({"warm": "worklist", "severity": "warning"}, words)
    during = fired("WarmFailed", "20m", *[told] * failed)
    tried_out(tmp_path, inputs, fired("WarmFailed", "5m"), during, fired("WarmFailed", "35m"))


def test_each_alert_leads_to_its_section_and_to_the_dashboard_of_its_release() -> None:
    headings = re.findall(r"^### (\w+)$", PAGE.read_text("utf-8"), re.MULTILINE)
    values = (
        "--set",
        "monitoring.runbooks=https://wiki.example/alerts,monitoring.grafana=https://g.example/",
    )
    rules = [rule for group in spec(*values)["groups"] for rule in group["rules"] if "alert" in rule]
    assert sorted({rule["alert"] for rule in rules}) == sorted(headings)
    for rule in rules:
        told = rule["annotations"]
        assert set(told) == {"summary", "description", "runbook_url", "dashboard_url"}
        assert told["runbook_url"] == f"https://wiki.example/alerts#{rule['alert'].lower()}"
        url = "https://g.example/d/progressive-proxy/progressive-proxy"
        assert told["dashboard_url"] == f"{url}?var-namespace=imaging&var-job=imaging-progressive-proxy"
        assert "{{" not in told["description"]
        assert told["description"].startswith("Look ")


def test_panels_that_an_alert_names_exist() -> None:
    panels = json.loads((CHART / "dashboards" / "progressive-proxy.json").read_text("utf-8"))["panels"]
    titles = {panel["title"] for panel in panels}
    for alert, told in annotations().items():
        words = re.split(r"[:,.]? first|[:,.;]", told["description"])[0]
        named = [title for title in titles if title in words]
        if "panel" in words or "row" in words:
            assert named, alert
