"""Additions to the objects that the chart makes, and what its network policy opens for a setting."""

import json
from typing import Any

import pytest

from tests.chart.rendering import HELMS, one, rendered
from tests.chart.test_workloads import KIND, refusal, setting
from tests.chart.tools import run

FROM_OUTSIDE = setting("networkPolicy.viewers", [{"ipBlock": {"cidr": "10.0.0.0/8"}}])
THRASH = "ProgressiveProxyCacheThrash"


def egress(helm: str, *more: str) -> list[Any]:
    return list(one("NetworkPolicy", rendered(helm, "standalone", *more))["spec"]["egress"])


@pytest.mark.parametrize("helm", HELMS)
def test_a_service_for_viewers_from_outside_takes_all_that_kubernetes_knows(helm: str) -> None:
    spec = {
        "loadBalancerClass": "internal",
        "loadBalancerSourceRanges": ["10.0.0.0/8"],
        "externalTrafficPolicy": "Local",
        "ipFamilyPolicy": "PreferDualStack",
        "ipFamilies": ["IPv6", "IPv4"],
    }
    more = (*setting("service.type", "LoadBalancer"), *setting("service.spec", spec), *FROM_OUTSIDE)
    made = one("Service", rendered(helm, "standalone", *more, *setting("service.nodePort", 30080)), "-proxy")
    assert spec.items() <= made["spec"].items()
    assert made["spec"]["ports"] == [
        {
            "name": "viewers",
            "port": 8080,
            "targetPort": "viewers",
            "appProtocol": "http",
            "nodePort": 30080,
        }
    ]
    plain = one("Service", rendered(helm, "standalone"), "-proxy")["spec"]
    assert "nodePort" not in plain["ports"][0]


@pytest.mark.parametrize("service", ["NodePort", "LoadBalancer"])
def test_a_service_that_its_policy_would_close_is_refused(service: str) -> None:
    more = setting("service.type", service)
    assert f"service.type: {service} is for viewers from outside" in refusal("standalone", *more)
    rendered("helm4", "standalone", *more, *FROM_OUTSIDE)
    rendered("helm4", "standalone", *more, *setting("networkPolicy.enabled", value=False))


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize(("mode", "key"), [("standalone", "strategy"), ("daemonset", "updateStrategy")])
def test_the_strategy_is_the_chart_s_unless_it_is_given(helm: str, mode: str, key: str) -> None:
    (kind,) = KIND[mode]
    made = one(kind, rendered(helm, mode))["spec"]
    assert made[key] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    more = {key: {"type": "OnDelete"}, "minReadySeconds": 30}
    given = one(kind, rendered(helm, mode, *setting("workloadSpec", more)))["spec"]
    assert {name: given[name] for name in more} == more
    assert given["template"] == made["template"]


@pytest.mark.parametrize("helm", HELMS)
def test_the_endpoint_of_the_monitor_takes_all_that_the_operator_knows(helm: str) -> None:
    drop = {"sourceLabels": ["__name__"], "regex": "process_.*", "action": "drop"}
    zone = {"targetLabel": "zone", "replacement": "a"}
    more = {"scrapeTimeout": "5s", "metricRelabelings": [drop], "relabelings": [zone]}
    for mode, kind, key in (
        ("standalone", "ServiceMonitor", "endpoints"),
        ("sidecar", "PodMonitor", "podMetricsEndpoints"),
    ):
        made = one(kind, rendered(helm, mode, *setting("monitoring.endpoint", more)))
        (endpoint,) = made["spec"][key]
        assert (endpoint["scrapeTimeout"], endpoint["metricRelabelings"]) == ("5s", [drop])
        # The chart's own is the last, because rules and dashboards rely on it.
        assert endpoint["relabelings"] == [
            zone,
            {"targetLabel": "job", "replacement": "imaging-progressive-proxy"},
        ]


@pytest.mark.parametrize("helm", HELMS)
def test_alerts_have_labels_of_one_s_own_and_can_be_left_out(helm: str, tmp_path: Any) -> None:
    more = (
        *setting("monitoring.alerts.labels", {"team": "imaging"}),
        *setting("monitoring.alerts.disabled", [THRASH]),
    )
    before, after = (
        [rule for group in one("PrometheusRule", made)["spec"]["groups"] for rule in group["rules"]]
        for made in (rendered(helm, "standalone"), rendered(helm, "standalone", *more))
    )
    expected = [
        rule | ({"labels": rule["labels"] | {"team": "imaging"}} if "alert" in rule else {})
        for rule in before
        if rule.get("alert") != THRASH
    ]
    assert after == expected
    assert len(after) == len(before) - 1
    path = tmp_path / "rules.yaml"
    path.write_text(json.dumps({"groups": [{"name": "all", "rules": after}]}), "utf-8")
    assert f"{len(after)} rules found" in run("promtool", "check", "rules", path)


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize(
    ("url", "ports"),
    [
        ("valkey://cache", [6379]),
        ("valkeys://cache:6380/0", [6380]),
        ("redis+cluster://a:7000,b:7001,c", [7000, 7001, 6379]),
        ("valkey+sentinel://a,b:26380/primary", [26379, 26380, 6379]),
        ("unix:///run/valkey.sock", []),
    ],
)
def test_the_policy_lets_replicas_reach_the_server_that_they_share(
    helm: str, url: str, ports: list[int]
) -> None:
    text = url.replace(",", "\\,")
    found = egress(helm, "--set", f"config.cache.shared.url={text}", "--set", "config.access.key_file=/k")
    assert [each["port"] for each in found[1]["ports"]] == [8042, 443, *ports]


@pytest.mark.parametrize("helm", HELMS)
def test_the_policy_takes_more_that_the_pods_may_reach(helm: str) -> None:
    rule = {"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}], "ports": [{"port": 4318}]}
    before = egress(helm)
    assert egress(helm, *setting("networkPolicy.egress", [rule])) == [*before, rule]


@pytest.mark.parametrize("helm", HELMS)
def test_a_pod_that_does_not_serve_keeps_no_node_from_being_drained(helm: str) -> None:
    budget = one("PodDisruptionBudget", rendered(helm, "standalone"))["spec"]
    assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")


@pytest.mark.parametrize(
    ("case", "key", "value", "told"),
    [
        ("standalone", "service.spec", {"type": "NodePort"}, "service.spec.type: is the chart's own"),
        ("standalone", "service.spec", {"selector": {}}, "service.spec.selector: is the chart's own"),
        ("standalone", "workloadSpec", {"replicas": 3}, "workloadSpec.replicas: is the chart's own"),
        ("standalone", "workloadSpec", {"template": {}}, "it follows podSpec"),
        ("standalone", "workloadSpec", {"updateStrategy": {}}, "is not a key of mode standalone"),
        ("daemonset", "workloadSpec", {"strategy": {}}, "is not a key of mode daemonset"),
        ("sidecar", "workloadSpec", {"minReadySeconds": 1}, "workloadSpec: has no effect in mode sidecar"),
        ("sidecar", "service.spec", {"a": "b"}, "service.spec: has no effect in mode sidecar"),
        ("sidecar", "service.nodePort", 30080, "service.nodePort: has no effect in mode sidecar"),
        ("sidecar", "networkPolicy.egress", [{}], "networkPolicy.egress: has no effect in mode sidecar"),
        ("standalone", "monitoring.endpoint", {"interval": "5s"}, "it follows monitoring.interval"),
        ("standalone", "monitoring.alerts.labels", {"severity": "page"}, "is the chart's own"),
        ("standalone", "monitoring.alerts.disabled", ["Thrash"], "Thrash is no alert of the chart"),
    ],
)
def test_what_other_values_say_and_what_has_no_effect_is_refused(
    case: str, key: str, value: object, told: str
) -> None:
    assert told in refusal(case, *setting(key, value))
